"""What the attributes of `build` do, read from the image that comes out and from what its steps saw."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from tests.project import Project

_DOCKERFILE = """\
FROM box AS first
ARG WHO
RUN echo $WHO > /who
RUN cat /etc/hosts > /hosts
RUN ls /sys/class/net > /links
RUN grep /dev/shm /proc/mounts > /shm
RUN ulimit -Sn > /files; ulimit -Hn >> /files
RUN --mount=type=secret,id=token cat /run/secrets/token > /copied
RUN --mount=type=secret,id=other,uid=7,mode=0444 stat -c '%u %a' /run/secrets/other > /owner
RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && echo agent > /agent
RUN --security=insecure grep CapEff /proc/self/status > /capabilities
RUN cat /proc/sys/kernel/random/uuid > /random
COPY --from=more note /note
FROM first AS second
RUN cat /proc/sys/kernel/random/uuid > /random-too
FROM second AS third
RUN touch /not-this
"""


_ELSEWHERE = "127.0.0.1:1/box"  # where nobody answers


@pytest.mark.covers("services.*", "build")
@pytest.mark.covers(
    "services.*.build",
    "additional_contexts args context dockerfile dockerfile_inline entitlements extra_hosts labels network no_cache"
    " no_cache_filter platforms privileged pull secrets shm_size ssh tags target ulimits cache_to",
)
@pytest.mark.covers("services.*.build.secrets[]", "source target")
@pytest.mark.covers("services.*.build.ulimits.*", "soft hard")
def test_build(project: Project, busybox_tar: Path, tmp_path: Path) -> None:
    _prepare(project, busybox_tar)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "amd64")
    text = f"""
        services:
          a:
            image: built:1
            pull_policy: never
            command: sleep 1000
            init: true
            build:
              context: context
              dockerfile: Other
              args: {{WHO: me}}
              target: second
              labels: {{mark: here}}
              extra_hosts: ["other:10.1.2.3"]
              network: none
              shm_size: 3m
              ulimits: {{nofile: {{soft: 111, hard: 222}}}}
              secrets: [token, {{source: other-name, target: other}}]
              ssh: ["default={tmp_path}/agent"]
              tags: ["built:again"]
              entitlements: [security.insecure]
              platforms: [linux/{machine}]
              additional_contexts: {{more: ./extra}}
              cache_to: ["type=local,dest={tmp_path}/cache"]
              cache_from: ["type=local,src={tmp_path}/cache"]
              pull: false
              OPTION
          b:
            image: inline:1
            command: sleep 1000
            init: true
            build:
              dockerfile_inline: |
                FROM {_ELSEWHERE}
                RUN echo inline > /x; grep CapEff /proc/self/status > /capabilities
              privileged: true
              pull: PULL
        secrets: {{token: {{file: token}}, other-name: {{environment: SECRET}}}}
        """
    agent = socket.socket(socket.AF_UNIX)
    agent.bind(f"{tmp_path}/agent")
    agent.listen(8)
    threading.Thread(target=_serve, args=(agent,), daemon=True).start()
    project.write(text.replace("OPTION", "").replace("PULL", "true"))
    assert "127.0.0.1:1" in project.run("build", "b", code=1).stderr, (
        "a base that is there is pulled all the same"
    )
    text = text.replace("PULL", "false")
    project.write(text.replace("OPTION", ""))
    project.run("up", "-d", "--build")
    seen = lambda path, service="a": project.exec(service, "cat", path).strip()  # noqa: E731
    assert seen("/who") == "me" and seen("/note") == "from the other context" and seen("/x", "b") == "inline"
    assert "10.1.2.3" in seen("/hosts") and seen("/links") == "lo"
    assert "size=3072k" in seen("/shm") and seen("/files") == "111\n222"
    assert (seen("/copied"), seen("/owner"), seen("/agent")) == ("hush", "7 444", "agent")
    for service in ("a", "b"):
        held = int(seen("/capabilities", service).split()[1], 16)
        assert held & 1 << 21, "an insecure step, and every step of a privileged build, may administer"
    assert project.exec("a", "ls", "/").split().count("not-this") == 0
    (found,) = json.loads(project.run("image", "inspect", "built:again").stdout)
    assert found["Config"]["Labels"]["mark"] == "here" and found["Architecture"] == machine
    assert any((tmp_path / "cache").iterdir())
    random = seen("/random"), seen("/random-too")
    project.run("up", "-d", "--build", "-t", "0")
    assert (seen("/random"), seen("/random-too")) == random
    project.write(text.replace("OPTION", "no_cache_filter: [second]"))
    project.run("up", "-d", "--build", "-t", "0")
    assert seen("/random") == random[0] and seen("/random-too") != random[1]
    project.write(text.replace("OPTION", "no_cache: true"))
    project.run("up", "-d", "--build", "-t", "0")
    assert seen("/random") != random[0]
    agent.close()
    project.run("down", "-t", "0")


def _prepare(project: Project, busybox_tar: Path) -> None:
    """The base images, two contexts and the secrets."""
    for name in ("box", _ELSEWHERE):
        project.run("image", "import", str(busybox_tar), name)
    (project.folder / "context").mkdir()
    (project.folder / "context/Other").write_text(_DOCKERFILE)
    (project.folder / "extra").mkdir()
    (project.folder / "extra/note").write_text("from the other context\n")
    (project.folder / "token").write_text("hush")
    project.environ["SECRET"] = "hidden"


def _serve(agent: socket.socket) -> None:
    while True:
        try:
            agent.accept()
        except OSError:
            return
