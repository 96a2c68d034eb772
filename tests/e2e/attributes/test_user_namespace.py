"""`userns_mode: auto`: ids of the host that nobody else has, and files that keep the owners they have inside."""

import os
import urllib.request
from pathlib import Path

import pytest

from runtime import Engine
from tests.project import Project

FIRST_UNUSED = 0x70000000


def _user_of(project: Project, name: str) -> int:
    """The uid on the host of a container's first process."""
    engine = Engine(project.paths.data, project.paths.state)
    container = engine.containers.find(name)
    engine.close()
    assert container is not None and container.live is not None
    return os.stat(f"/proc/{container.live.pid}").st_uid


def _first_id(project: Project, service: str, size: int) -> int:
    """Where the range of a service begins, as its own /proc shows it."""
    inside, first, number = project.exec(service, "cat", "/proc/self/uid_map").split()
    assert (inside, number) == ("0", str(size))
    assert project.exec(service, "cat", "/proc/self/gid_map").split() == [inside, first, number]
    return int(first)


@pytest.mark.covers("services.*", "userns_mode")
def test_ids_of_its_own(project: Project, tmp_path: Path, busybox_root: Path) -> None:
    home = tmp_path / "host"
    (home / "theirs").mkdir(parents=True)
    os.chown(home / "theirs", 1000, 1001)
    project.write(
        f"""
        x-usual: &usual {{image: IMAGE, init: true, stop_grace_period: 0s}}
        services:
          a:
            <<: *usual
            command: sh -c 'echo out > /dev/stdout; touch /root-made; httpd -f -p 80 -h /etc'
            userns_mode: auto
            volumes: ['etc:/etc', '{home}:/host', 'proc-of-host:/unused', {{type: tmpfs, target: /fast}}]
            secrets: [{{source: token, uid: '1000', mode: 0o400}}]
            configs: [note]
            ports: ["127.0.0.1:PORT0:80"]
            ulimits: {{nofile: 100}}
            healthcheck: {{test: test -e /root-made, interval: 50ms}}
          b:
            <<: *usual
            command: sleep 1000
            userns_mode: auto:size=3000
            user: worker
            volumes: ['etc:/etc', '/proc:/of-host']
            post_start: [{{command: touch /tmp/by-hook, user: root}}]
            depends_on: {{a: {{condition: service_healthy}}}}
          plain: {{<<: *usual, command: sleep 1000, userns_mode: host, volumes: ['etc:/shared']}}
        volumes: {{etc: {{}}, proc-of-host: {{}}}}
        secrets: {{token: {{environment: HOME}}}}
        configs: {{note: {{content: noted}}}}
        """
    )
    told = project.run("up", "-d").stderr
    first, second = _first_id(project, "a", 65536), _first_id(project, "b", 3000)
    assert min(first, second) >= FIRST_UNUSED
    assert abs(first - second) >= 3000, "their ranges are apart"
    assert _user_of(project, "project-a-1") == first
    assert _user_of(project, "project-b-1") == second + 1000
    assert project.exec("b", "id", "-u", "-n") == "worker\n"
    # What is on disk has the owners that the container sees, and another one without a user namespace too.
    volume = Path(project.paths.data, "volumes/project_etc/_data")
    project.exec(
        "a", "sh", "-c", "touch /etc/mine /etc/workers; chown 1000:1001 /etc/workers; touch /host/new"
    )
    for path, owner in (
        (volume / "passwd", (0, 0)),
        (volume / "mine", (0, 0)),
        (volume / "workers", (1000, 1001)),
        (home / "new", (0, 0)),
    ):
        assert (path.stat().st_uid, path.stat().st_gid) == owner, path
    script = "stat -c '%u:%g' /etc/workers /host/theirs /root-made /etc/hosts /run/secrets/token /note /fast /dev/mqueue"
    assert project.exec("a", "sh", "-c", script).split() == [
        "1000:1001", "1000:1001", "0:0", "0:0", "1000:0", "0:0", "0:0", "0:0",
    ]  # fmt: skip
    assert project.exec("plain", "stat", "-c", "%u:%g", "/shared/workers") == "1000:1001\n"
    assert project.exec("a", "cat", "/run/secrets/token", "/note").endswith("noted")
    assert "the owners in /proc cannot be mapped" in told and "/of-host" in told
    # Nothing of the host is its own, and its own network is.
    refused = project.run("exec", "-T", "a", "sh", "-c", "echo 1 > /proc/sys/vm/drop_caches", code=None)
    assert refused.returncode
    assert project.exec("a", "ls", "/sys/class/net").split() == ["eth0", "lo"]
    assert "1 packets received" in project.exec("a", "ping", "-c", "1", "-W", "3", "plain")
    with urllib.request.urlopen(f"http://127.0.0.1:{project.ports[0]}/mine", timeout=5) as answer:
        assert answer.status == 200
    assert project.exec("a", "sh", "-c", "ulimit -n") == "100\n"
    assert project.exec("b", "stat", "-c", "%u", "/tmp/by-hook") == "0\n"
    project.run("exec", "-T", "-d", "a", "touch", "/in-background")
    assert "stop it first" in project.run("cp", "a:/root-made", ".", code=1).stderr
    # The next run has the same ids, and the layer the same owners.
    project.run("restart", "a")
    assert _first_id(project, "a", 65536) == first
    assert project.exec("a", "stat", "-c", "%u", "/root-made", "/in-background") == "0\n0\n"
    project.run("stop", "a")
    project.run("cp", "a:/root-made", ".")
    project.run("down", "-v", "-t", "0")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("userns_mode: keep-id", "known: host, auto"),
        ("userns_mode: auto:size=99999999999", "out of range"),
        ("userns_mode: auto\n    privileged: true", "privileged contradict"),
        ("userns_mode: auto\n    network_mode: host", "network_mode contradict"),
        ("userns_mode: auto\n    pid: service:other", "pid contradict"),
    ],
)
def test_what_does_not_go_with_it(project: Project, attributes: str, message: str) -> None:
    project.write(f"services:\n  a:\n    image: IMAGE\n    {attributes}\n  other: {{image: IMAGE}}\n")
    answer = project.run("up", "-d", code=1).stderr
    assert "compose.yaml:4:" in answer and message in answer
