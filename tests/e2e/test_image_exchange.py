"""Images go to and come from podman and docker by way of a registry: what one pushed the other runs."""

import re
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.engines import ForeignEngine, docker_engine, podman_engine, runtime_program
from tests.project import Project
from tests.registry import Registry, skopeo

pytestmark = pytest.mark.root


def _open(kind: str, folder: Path) -> AbstractContextManager[ForeignEngine]:
    start = {"podman": podman_engine, "docker": docker_engine}[kind]
    return start(folder, runtime_program(folder), [])


def _digest(name: str) -> str:
    """What the registry says a name is."""
    return skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{name}").strip()


@pytest.mark.parametrize("kind", ["podman", "docker"])
def test_both_directions(
    project: Project,
    registry: Registry,
    busybox_tar: Path,
    kind: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    ours, theirs = f"{registry.host}/from-us-{kind}:1", f"{registry.host}/from-{kind}:1"
    project.run("image", "import", str(busybox_tar), "box")
    project.write(f"""
        services:
          made:
            image: {ours}
            build:
              context: .
              dockerfile_inline: |
                FROM box
                RUN echo ours >/ours && chown 1000:1001 /ours && rm -r /home
                USER worker
                CMD ["cat", "/ours"]
          got: {{image: '{theirs}', network_mode: none}}
    """)
    project.run("build")
    project.run("push", "made")
    insecure = ("--tls-verify=false",) if kind == "podman" else ()
    with _open(kind, tmp_path_factory.mktemp(kind)) as engine:
        engine.call("pull", "-q", *insecure, ours)
        assert f"@{_digest(ours)}" in engine.call("inspect", "--format", "{{.RepoDigests}}", ours)
        assert engine.run("--rm", ours) == "ours\n"
        look = ("stat", "-c", "%u:%g", "/ours")
        assert engine.run("--rm", ours, command=look) == "1000:1001\n"
        assert "No such file" in _failed(engine, ours, "ls", "/home")
        engine.run(
            "--name", "changed", "--user", "0", ours, command=("sh", "-c", "echo theirs >/t; rm /ours")
        )
        command = '["sh","-c","cat /t; ls /ours 2>&1"]'
        engine.call("commit", "--change", f"CMD {command}", "changed", theirs)
        engine.call("rm", "changed")
        assert _push(engine, kind, theirs) == _digest(theirs)
    project.run("pull", "got")
    assert _digest(theirs) in project.run("image", "inspect", theirs).stdout
    project.run("up", "got")
    assert (
        project.run("logs", "--no-log-prefix", "got").stdout
        == "theirs\nls: /ours: No such file or directory\n"
    )
    project.run("down", "-t", "0")


def _push(engine: ForeignEngine, kind: str, name: str) -> str:
    """The digest that the engine says it pushed."""
    if kind == "docker":
        engine.call("push", "-q", name)
        return engine.call("inspect", "--format", "{{index .RepoDigests 0}}", name).strip().partition("@")[2]
    # podman keeps images unpacked: what it compresses for the registry has another digest than it shows itself.
    file = Path(engine.command[engine.command.index("--root") + 1], "pushed")
    engine.call("push", "-q", "--tls-verify=false", "--digestfile", str(file), name)
    return file.read_text().strip()


def _failed(engine: ForeignEngine, *words: str) -> str:
    done = subprocess.run(
        [*engine.command, "run", *engine.run_options, "--rm", *words],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return re.sub(r"\s+", " ", done.stderr)
