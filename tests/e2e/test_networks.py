"""Names, isolation and published ports, from containers and from the host."""

import socket
import threading
import time

import pytest

from tests.project import Project

SERVER = "httpd -f -p 80 -h /etc"


def fetch(address: str, port: int, timeout_s: float = 5) -> str:
    """The body of GET /passwd, tried until somebody answers."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with socket.create_connection((address, port), timeout=1) as connection:
                connection.sendall(b"GET /passwd HTTP/1.0\r\n\r\n")
                data = b""
                while chunk := connection.recv(4096):
                    data += chunk
                return data.decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.covers("services.*.networks.*", "aliases")
def test_services_find_each_other_by_name_and_alias(project: Project) -> None:
    project.write(
        f"""
        services:
          web:
            image: IMAGE
            command: {SERVER}
            init: true
            networks: {{default: {{aliases: [other.example]}}}}
          client: {{image: IMAGE, command: sleep 1000, init: true}}
        """
    )
    project.run("up", "-d")
    for name in ("web", "other.example", "project-web-1", "web.project_default"):
        assert "root:x:0" in project.exec("client", "wget", "-qO-", f"http://{name}/passwd"), name
    assert (
        "bad address" in project.run("exec", "-T", "client", "wget", "-qO-", "http://nosuch/", code=1).stderr
    )
    project.run("down", "-t", "0")


def test_all_replicas_answer_and_stopped_ones_do_not(project: Project) -> None:
    project.write(
        """
        services:
          web: {image: IMAGE, command: sleep 1000, init: true, scale: 3}
          client: {image: IMAGE, command: sleep 1000, init: true}
        """
    )
    project.run("up", "-d")

    def addresses() -> set[str]:
        answer = project.exec("client", "nslookup", "-type=a", "web").split("Name:", 1)[1]
        return {line.split()[-1] for line in answer.splitlines() if line.startswith("Address")}

    assert len(addresses()) == 3
    project.run("up", "-d", "--scale", "web=2")
    assert len(addresses()) == 2
    project.run("down", "-t", "0")


@pytest.mark.covers("networks.*", "internal")
def test_networks_are_isolated(project: Project) -> None:
    project.write(
        f"""
        services:
          one: {{image: IMAGE, command: {SERVER}, init: true, networks: [a]}}
          two: {{image: IMAGE, command: {SERVER}, init: true, networks: [b]}}
          both: {{image: IMAGE, command: sleep 1000, init: true, networks: [a, b]}}
          inside: {{image: IMAGE, command: sleep 1000, init: true, networks: [closed]}}
        networks:
          a: {{}}
          b: {{}}
          closed: {{internal: true}}
        """
    )
    project.run("up", "-d")
    two = project.exec("two", "hostname", "-i").split()[0]
    project.exec("both", "wget", "-qO-", "http://one/passwd")
    project.exec("both", "wget", "-qO-", "http://two/passwd")
    project.run("exec", "-T", "one", "timeout", "1", "wget", "-qO-", f"http://{two}/passwd", code=143)
    project.run("exec", "-T", "one", "nslookup", "two", code=1)
    assert "default" not in project.exec("inside", "ip", "route")
    project.run("down", "-t", "0")


def test_published_ports_answer_everywhere(project: Project) -> None:
    project.write(
        f"""
        services:
          web:
            image: IMAGE
            command: {SERVER}
            init: true
            ports: ["PORT0:80", "127.0.0.1:PORT1:80"]
          client: {{image: IMAGE, command: sleep 1000, init: true, networks: [elsewhere]}}
        networks: {{elsewhere: {{}}}}
        """
    )
    project.run("up", "-d")
    for port in project.ports[:2]:
        assert "root:x:0" in fetch("127.0.0.1", port)
    own = socket.gethostbyname(socket.gethostname())
    gateway = project.exec("client", "ip", "route").split("via ")[1].split()[0]
    assert "root:x:0" in project.exec(
        "client", "timeout", "2", "wget", "-qO-", f"http://{gateway}:{project.ports[0]}/passwd"
    )
    if not own.startswith("127."):
        assert "root:x:0" in fetch(own, project.ports[0])
    assert f"0.0.0.0:{project.ports[0]}->80/tcp" in project.run("ps").stdout
    project.run("stop", "-t", "0", "web")
    try:
        fetch("127.0.0.1", project.ports[0], timeout_s=0)
        raise AssertionError("a stopped container's port answers")
    except OSError:
        pass
    project.run("start", "web")
    assert "root:x:0" in fetch("127.0.0.1", project.ports[0])
    project.run("down", "-t", "0")


UDP_ECHO = """
            image: host:/
            command:
              - python3
              - -c
              - |
                import socket
                server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                server.bind(("0.0.0.0", LISTEN))
                while True:
                    data, peer = server.recvfrom(100)
                    server.sendto(data, peer)
            init: true
"""


def test_udp_is_published(project: Project) -> None:
    project.write(
        "services:\n          echo:"
        + UDP_ECHO.replace("LISTEN", "9000")
        + "            ports: ['127.0.0.1:PORT0:9000/udp']\n"
    )
    project.run("up", "-d")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        client.connect(("127.0.0.1", project.ports[0]))
        for _ in range(20):
            client.send(b"ping")
            try:
                assert client.recv(100) == b"ping"
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise AssertionError("no answer over UDP")
    project.run("down", "-t", "0")


def test_a_taken_port_is_found_before_anything_starts(project: Project) -> None:
    project.write(
        """
        services:
          a: {image: IMAGE, command: sleep 1000, init: true}
          b: {image: IMAGE, command: sleep 1000, init: true, ports: ["127.0.0.1:PORT0:80"]}
        """
    )
    with socket.create_server(("127.0.0.1", project.ports[0])):
        error = project.run("up", "-d", code=1).stderr
        assert str(project.ports[0]) in error
        assert "python" in error, "the holder is named"
        assert project.ps() == {}
    project.run("up", "-d")
    project.run("up", "-d", "--force-recreate", "-t", "0")
    project.run("down", "-t", "0")


def test_outside_names_are_forwarded_and_networks_reach_out(project: Project) -> None:
    project.write("services: {a: {image: IMAGE, command: sleep 1000, init: true}}\n")
    project.run("up", "-d")
    resolv = project.exec("a", "cat", "/etc/resolv.conf")
    assert "nameserver 127.0.0.11" in resolv
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        host.connect(("192.0.2.1", 9))
        own = host.getsockname()[0]
        host.close()
        peers: list[str] = []

        def serve() -> None:
            connection, peer = server.accept()
            peers.append(peer[0])
            connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        project.run("exec", "-T", "a", "nc", "-w", "2", own, str(port), timeout_s=10)
        thread.join(timeout=5)
        assert peers
    project.run("down", "-t", "0")


def test_a_service_may_bind_port_53_itself(project: Project) -> None:
    project.write(
        "services:\n          a:"
        + UDP_ECHO.replace("LISTEN", "53")
        + "          b: {image: IMAGE, command: sleep 1000, init: true}\n"
    )
    project.run("up", "-d")
    assert project.exec("a", "python3", "-c", "import socket; print(socket.gethostbyname('b'))").strip()
    assert project.ps()["project-a-1"]["State"] == "running"
    project.run("down", "-t", "0")
