"""Git repositories as contexts and in ADD, from a git server on loopback."""

import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime import EngineError
from tests.build.conftest import Workshop, serve_files
from tests.free_ports import free_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="builds need root")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A git server with a repository: (URL of the server, id of the commit tagged v1); main is one further."""
    work = tmp_path / "served/work"
    (work / "sub/deeper").mkdir(parents=True)
    (work / "sub/Dockerfile").write_text("FROM busybox\nCOPY deeper /got/\n")
    (work / "sub/deeper/file").write_text("first")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(work)]
    for words in ("init -q -b main", "add .", "commit -qm one", "tag v1"):
        subprocess.run([*git, *words.split()], check=True)
    (work / "sub/deeper/file").write_text("second")
    subprocess.run([*git, "commit", "-qam", "two"], check=True)
    commit = subprocess.check_output([*git, "rev-parse", "v1"], text=True).strip()
    bare = tmp_path / "served/repository.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    subprocess.run(["git", "-C", str(bare), "update-server-info"], check=True)
    port = free_port()
    daemon = subprocess.Popen(
        [f"{subprocess.check_output(['git', '--exec-path'], text=True).strip()}/git-daemon", "--export-all",
         f"--base-path={tmp_path}/served", "--listen=127.0.0.1", f"--port={port}", str(tmp_path / "served")],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for_port(port)
        yield f"git://127.0.0.1:{port}/repository.git", commit
    finally:
        daemon.terminate()
        daemon.wait(10)


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the git server did not start")


def test_git_contexts(workshop: Workshop, repository: tuple[str, str], tmp_path: Path) -> None:
    url, commit = repository
    for fragment, content in (
        ("#:sub", "second"), ("#main:sub", "second"), ("#v1:sub", "first"), (f"#{commit}:sub", "first"),
        (f"#{commit[:8]}:sub", "first"),
    ):  # fmt: skip
        workshop.build(context=f"{url}{fragment}")
        assert workshop.text("got/file") == content, fragment
    workshop.build(context=f"{url}?tag=v1&subdir=sub&checksum={commit[:9]}")
    assert workshop.text("got/file") == "first"
    workshop.build(context=f"{url}?branch=main&subdir=/sub&keep-git-dir=1&submodules=false")
    assert workshop.text("got/file") == "second"
    # Left to the context by a build argument, or by the query.
    keep = "FROM busybox\nCOPY .git/HEAD /\n"
    for suffix, args in (("", {"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"}), ("?keep-git-dir=true", {})):
        workshop.build(context=f"{url}{suffix}", dockerfile_inline=keep, args=args)
        assert commit[:8] not in workshop.text("HEAD") and len(workshop.text("HEAD")) == 41
    for query, message in (
        (f"?branch=main&checksum={commit}", f"is at commit .*, not {commit}"),
        ("?branch=main&tag=v1", "only one of ref, branch and tag"),
        ("?branch=main#main", "has a query and a fragment"),
        ("?brunch=main", "brunch is not known"),
    ):
        with pytest.raises(EngineError, match=message):
            workshop.build(context=f"{url}{query}", dockerfile_inline=keep)
    with pytest.raises(EngineError, match="there is no folder nowhere"):
        workshop.build(context=f"{url}#main:nowhere")
    with pytest.raises(EngineError, match="leads out of the repository"):
        workshop.build(context=f"{url}#main:../..")
    with pytest.raises(EngineError, match="git fetch failed"):
        workshop.build(context=f"{url}#no-such-branch")
    # A plain file server, which can't give one commit alone.
    stop, plain = serve_files(tmp_path / "served")
    try:
        workshop.build(context=f"{plain}/repository.git#v1:sub")
        assert workshop.text("got/file") == "first"
        with pytest.raises(EngineError, match="git fetch failed"):
            workshop.build(context=f"{plain}/nothing.git")
    finally:
        stop()


def test_add_of_git(workshop: Workshop, repository: tuple[str, str]) -> None:
    url, commit = repository
    workshop.build(
        f"FROM busybox\nADD {url}#v1:sub /part\nADD --keep-git-dir=true --checksum={commit} {url}#v1 /whole\n"
    )
    files = workshop.files()
    assert workshop.text("part/deeper/file") == "first" and "part/.git" not in files
    assert workshop.text("whole/sub/deeper/file") == "first" and files["whole/.git"].isdir()
    with pytest.raises(EngineError, match=f"is at commit .*, not {commit}"):
        workshop.build(f"FROM busybox\nADD --checksum={commit} {url}#main /x\n")


@contextmanager
def smart_http(folder: Path) -> Iterator[str]:
    """A server whose answers are git's own CGI program's; its URL."""
    program = f"{subprocess.check_output(['git', '--exec-path'], text=True).strip()}/git-http-backend"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            variables = {
                "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }  # fmt: skip
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer = subprocess.run(
                [program], env=variables, input=body, capture_output=True, check=True
            ).stdout
            head, _, body = answer.partition(b"\r\n\r\n")
            headers = [line.partition(": ")[::2] for line in head.decode().split("\r\n")]
            self.send_response(int(dict(headers).get("Status", "200 OK").split()[0]))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 -- the names are http.server's

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_smart_http(workshop: Workshop, repository: tuple[str, str], tmp_path: Path) -> None:
    _, commit = repository
    with smart_http(tmp_path / "served") as url:
        for fragment, content in (("#:sub", "second"), ("#v1:sub", "first"), (f"#{commit[:8]}:sub", "first")):
            workshop.build(context=f"{url}/repository.git{fragment}")
            assert workshop.text("got/file") == content, fragment


def _bring_program(root: Path, name: str) -> None:
    """A program of this machine with its libraries, to be copied into an image."""
    program = shutil.which(name)
    assert program is not None
    libraries = [
        word for word in subprocess.check_output(["ldd", program], text=True).split() if word.startswith("/")
    ]
    for path in (program, *libraries):
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


class SshServer:
    """sshd on loopback for root, with a key that only an agent has, and where the agent listens."""

    def __init__(self, folder: Path) -> None:
        for name in ("host", "key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True
            )
        self.port = free_port()
        self.agent = f"{folder}/agent"
        host_key = (folder / "host.pub").read_text()
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {host_key}")
        shutil.copy(folder / "key.pub", folder / "authorized")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
            f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        )
        self.options = f"-o UserKnownHostsFile={folder}/known -o StrictHostKeyChecking=yes"
        os.makedirs("/run/sshd", exist_ok=True)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._processes = [
            subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config")], **quiet),
            subprocess.Popen(["ssh-agent", "-D", "-a", self.agent], **quiet),
        ]
        _wait_for_port(self.port)
        environment = {**os.environ, "SSH_AUTH_SOCK": self.agent}
        subprocess.run(["ssh-add", "-q", str(folder / "key")], env=environment, check=True)
        (folder / "key").unlink()

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(10)


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[SshServer]:
    if not os.path.exists("/usr/sbin/sshd") or shutil.which("ssh-agent") is None:
        pytest.skip("sshd and ssh-agent are not installed (packages openssh-server, openssh-client)")
    (tmp_path / "ssh").mkdir()
    server = SshServer(tmp_path / "ssh")
    yield server
    server.stop()


def test_ssh(
    workshop: Workshop,
    repository: tuple[str, str],
    ssh_server: SshServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A context fetched by ssh, and a RUN that uses the agent without ever seeing the key."""
    url = f"ssh://root@127.0.0.1:{ssh_server.port}{tmp_path}/served/repository.git"
    monkeypatch.setenv("SSH_AUTH_SOCK", ssh_server.agent)
    monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh {ssh_server.options}")
    workshop.build(context=f"{url}#v1:sub")
    assert workshop.text("got/file") == "first"
    _bring_program(workshop.folder / "tools", "ssh-add")
    (key,) = subprocess.check_output(["ssh-add", "-L"], text=True).splitlines()
    dockerfile = """
    FROM busybox
    COPY tools /
    RUN --mount=type=ssh ssh-add -L
    RUN --mount=type=ssh,id=other,target=/agent ssh-add -L && ls /agent
    USER worker
    RUN ssh-add -L || echo none
    RUN --mount=type=ssh,uid=1000,mode=0640 stat -c "%u %a" $SSH_AUTH_SOCK && ssh-add -L
    RUN --mount=type=ssh ssh-add -L 2>/dev/null || echo not for this user
    """
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "second")], check=True
    )
    second = (tmp_path / "second.pub").read_text().strip()
    workshop.build(dockerfile, ssh={"default": "", "other": str(tmp_path / "second")})
    assert [line for line in workshop.output.splitlines() if "Could not" not in line] == [
        key, second, "/agent", "none", "1000 640", key, "not for this user",
    ]  # fmt: skip
    with pytest.raises(EngineError, match="neither an agent's socket nor a key"):
        workshop.build("FROM busybox\nRUN --mount=type=ssh true\n", ssh={"default": "/nonexistent"})
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -o UserKnownHostsFile=/dev/null")
    with pytest.raises(EngineError, match="git fetch failed"):  # a host that is not known: nobody is asked
        workshop.build(context=f"{url}#v1:sub")
