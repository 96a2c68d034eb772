"""Logging drivers, and `logs` over what they keep."""

import json
import queue
import re
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.project import Project
from tests.registry import make_certificate

DRIVERS = """
    services:
      docker:
        image: IMAGE
        labels: {team: core}
        environment: {STAGE: test}
        command: sh -c 'echo out; echo err >&2; head -c 40000 /dev/zero | tr "\\0" x; echo; printf end'
        logging:
          driver: json-file
          options: {labels: team, env: STAGE, tag: "{{.Name}}"}
      small:
        image: IMAGE
        command: sh -c 'i=0; while [ $$i -lt 2000 ]; do echo line $$i; i=$$((i+1)); done'
        logging: {options: {max-size: 20k, max-file: "3", compress: "true"}}
      local:
        image: IMAGE
        command: sh -c 'echo kept here'
        logging: {driver: local}
      nothing:
        image: IMAGE
        command: echo gone
        logging: {driver: none}
"""


@pytest.mark.covers("services.*", "logging")
@pytest.mark.covers("services.*.logging", "driver options")
def test_json_file_is_dockers_and_none_says_why(project: Project) -> None:
    project.write(DRIVERS)
    project.run("up", "-d")
    project.run("wait", "docker", "small", "local", "nothing")
    folder = {item["Service"]: item["ID"] for item in project.ps().values()}
    path = next(Path(project.paths.data).glob(f"containers/{folder['docker']}*/*-json.log"))
    messages = [json.loads(line) for line in path.read_text().splitlines()]
    assert path.name == f"{path.parent.name}-json.log"
    assert messages[0]["attrs"] == {"team": "core", "STAGE": "test", "tag": "project-docker-1"}
    by_stream = {item["stream"]: item["log"] for item in messages if item["log"] in ("out\n", "err\n")}
    assert by_stream == {"stdout": "out\n", "stderr": "err\n"}
    assert [len(item["log"]) for item in messages if item["log"].startswith("x")] == [16384, 16384, 7233]
    assert messages[-1]["log"] == "end"
    shown = project.run("logs", "docker").stdout
    assert f"| {'x' * 40000}\n" in shown and "| end" in shown
    rotated = sorted(item.name.partition("-json.log")[2] for item in _log_files(project, folder["small"]))
    assert rotated == ["", ".1.gz", ".2.gz"]
    lines = project.run("logs", "--no-log-prefix", "small").stdout.splitlines()
    assert (
        lines == [f"line {number}" for number in range(2000 - len(lines), 2000)] and 300 < len(lines) < 2000
    )
    assert project.run("logs", "--no-log-prefix", "-n", "2", "small").stdout == "line 1998\nline 1999\n"
    assert "local-1  | kept here" in project.run("logs", "local").stdout
    nothing = project.run("logs", "nothing")
    assert nothing.stdout == "" and "its logging driver is none" in nothing.stderr
    (entry,) = (json.loads(line) for line in project.run("logs", "--json", "local").stdout.splitlines())
    assert (entry["container"], entry["service"], entry["stream"], entry["message"]) == (
        "project-local-1", "local", "stdout", "kept here"
    )  # fmt: skip
    project.run("down")


def _log_files(project: Project, short_id: str) -> list[Path]:
    return list(Path(project.paths.data).glob(f"containers/{short_id}*/*-json.log*"))


@pytest.mark.parametrize(
    ("logging", "message"),
    [
        ("{driver: fluentd}", "there is no logging driver 'fluentd'"),
        ("{driver: json-file, options: {max-sizee: 1m}}", "json-file has no option 'max-sizee'"),
        ("{options: {max-size: 1x}}", "max-size: '1x' is not a size"),
        ("{options: {compress: 'true'}}", "compress needs a max-size"),
        ("{driver: syslog, options: {syslog-address: 'foo://x'}}", "is not like udp://"),
    ],
)
def test_what_is_not_known_is_refused_before_anything_is_made(
    project: Project, logging: str, message: str
) -> None:
    project.write(f"services:\n  web:\n    image: IMAGE\n    command: sleep 9\n    logging: {logging}\n")
    answer = project.run("up", "-d", code=1)
    assert message in answer.stderr and "compose.yaml:5:" in answer.stderr
    assert project.ps() == {}


SYSLOG = """
    services:
      udp:
        image: IMAGE
        command: sh -c 'echo over udp; echo bad >&2'
        logging:
          driver: syslog
          options: {syslog-address: "udp://127.0.0.1:UDP", syslog-facility: local3, tag: "{{.Name}}"}
      tcp:
        image: IMAGE
        command: sh -c 'sleep 0.2; echo over tcp'
        logging:
          driver: syslog
          options: {syslog-address: "tcp://127.0.0.1:TCP", syslog-format: rfc5424micro}
      unix:
        image: IMAGE
        command: sh -c 'echo over unix'
        logging: {driver: syslog, options: {syslog-address: "unixgram://SOCKET"}}
"""


def test_syslog_gets_messages_from_inside_networks(project: Project) -> None:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp = socket.create_server(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = str(project.folder / "log.sock")
    udp.bind(("127.0.0.1", 0))
    unix.bind(path)
    for listener in (udp, tcp, unix):
        listener.settimeout(10)
    text = SYSLOG.replace("UDP", str(udp.getsockname()[1])).replace("TCP", str(tcp.getsockname()[1]))
    project.write(text.replace("SOCKET", path))
    project.run("up", "-d")
    got = {udp.recv(4096).decode() for _ in range(2)}
    assert {re.sub(r"^(<\d+>)... .. ..:..:.. \S+ ([^[]+)\[\d+\]", r"\1\2", item) for item in got} == {
        "<158>project-udp-1: over udp", "<155>project-udp-1: bad"
    }  # fmt: skip
    connection, _ = tcp.accept()
    assert re.fullmatch(
        r"<30>1 \d{4}-..-..T..:..:..\.\d{6}Z \S+ [0-9a-f]{12} \d+ [0-9a-f]{12} - over tcp\n",
        connection.recv(4096).decode(),
    )
    assert re.fullmatch(r"<30>... .. ..:..:.. [0-9a-f]{12}\[\d+\]: over unix", unix.recv(4096).decode())
    assert "tcp-1   | over tcp" in project.run("logs").stdout, "`logs` reads what is kept besides"
    for listener in (udp, tcp, unix, connection):
        listener.close()
    project.run("down")
    assert "can not be reached" in project.run("up", "-d", code=1).stderr
    project.run("down")


def test_follow_goes_on_through_restarts_recreations_and_new_replicas(project: Project) -> None:
    text = """
        services:
          web:
            image: IMAGE
            init: true
            environment: {WHO: first}
            command: sh -c 'echo begun $$WHO; sleep 1000'
    """
    project.write(text)
    project.run("up", "-d")
    follower = project.popen("logs", "-f")
    time.sleep(0.5)
    project.run("restart", "-t", "0")
    project.write(text.replace("first", "second"))
    project.run("up", "-d", "-t", "0")
    project.run("up", "-d", "--scale", "web=2")
    time.sleep(0.3)
    project.run("down", "-t", "0")
    shown, _ = follower.communicate(timeout=20)
    begun = [line for line in shown.splitlines() if "begun" in line]
    assert begun == [
        "web-1  | begun first", "web-1  | begun first", "web-1  | begun second", "web-2  | begun second"
    ], shown  # fmt: skip


def test_a_log_daemon_that_hangs_neither_blocks_nor_fills_the_memory(project: Project) -> None:
    tcp = socket.create_server(("127.0.0.1", 0))
    project.write(
        f"""
        services:
          chatty:
            image: IMAGE
            command: sh -c 'head -c 30000000 /dev/zero | tr "\\0" x | fold -w 100'
            logging:
              driver: syslog
              options: {{syslog-address: "tcp://127.0.0.1:{tcp.getsockname()[1]}", mode: non-blocking, max-buffer-size: 1m}}
        """
    )
    project.run("up", "-d")
    assert project.run("wait", "chatty", timeout_s=50).stdout.endswith("status code 0\n")
    tcp.close()
    project.run("down")


@pytest.mark.skipif(
    not Path("/run/systemd/journal/socket").exists(), reason="journald does not run on this machine"
)
def test_journald(project: Project) -> None:
    project.write(
        """
        services:
          web: {image: IMAGE, command: echo to the journal, logging: {driver: journald, options: {tag: pycompose-test}}}
        """
    )
    project.run("up", "-d")
    time.sleep(1)
    found = subprocess.check_output(["journalctl", "-o", "json", "-n", "1", "CONTAINER_TAG=pycompose-test"])
    assert json.loads(found)["MESSAGE"] == "to the journal"
    project.run("down")


class EncryptedServer(threading.Thread):
    """Collects what clients send by TLS, one client after the other; each is cut off after its first message."""

    def __init__(self, certificate: str, key: str) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.messages: queue.Queue[bytes] = queue.Queue()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
                with self.context.wrap_socket(client, server_side=True) as connection:
                    self.messages.put(connection.recv(4096))
            except ssl.SSLError:
                continue  # who does not trust us
            except OSError:
                return


def test_syslog_by_tls(project: Project) -> None:
    make_certificate(project.folder)
    certificate = str(project.folder / "ca.crt")
    server = EncryptedServer(certificate, str(project.folder / "key.pem"))
    server.start()
    text = f"""
        services:
          web:
            image: IMAGE
            command: sh -c 'for i in 1 2 3 4 5 6; do echo line $$i; sleep 1; done'
            stop_grace_period: 0s
            logging:
              driver: syslog
              options:
                syslog-address: tcp+tls://127.0.0.1:{server.port}
                syslog-format: rfc5424
                syslog-tls-ca-cert: {certificate}
    """
    project.write(text.replace(f"syslog-tls-ca-cert: {certificate}", "tag: x"))
    assert "certificate verify failed" in project.run("up", "-d", code=1).stderr
    project.run("down")
    project.write(text)
    project.run("up", "-d")
    for _ in range(2):  # the second by a connection of its own, made when the first had been cut off
        length, _, message = server.messages.get(timeout=20).partition(b" ")
        assert len(message) >= int(length) and message.startswith(b"<30>1 ") and b" - line " in message
    project.write(text.replace(f"syslog-tls-ca-cert: {certificate}", "syslog-tls-skip-verify: 'true'"))
    project.run("up", "-d")
    assert server.messages.get(timeout=20)
    project.write(text.replace(certificate, "/no/such.pem"))
    assert "/no/such.pem) can't be used" in project.run("up", "-d", code=1).stderr
    project.run("down")
    server.listener.close()
