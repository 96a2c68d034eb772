"""`provider`: a program that is asked for a service, what it is told and what its dependants get of its answers."""

from pathlib import Path

import pytest

from tests.project import Project
from tests.reference import reference_project

_PROGRAM = """\
#!/bin/sh
echo "$@" >> calls
if [ "$2" = metadata ]; then
    [ -e described ] && cat described
    exit
fi
[ "$3" = up ] || exit 0
echo '{"type": "info", "message": "half of it"}'
echo '{"type": "debug", "message": "never shown"}'
echo '{"type": "setenv", "message": "URL=http://'"$(cat value) $OF_ENV_FILE"'"}'
[ -e broken ] && exec sh ./broken
exit 0
"""
_FILE = """
    name: provided
    services:
      db:
        provider: {type: pycompose-test-cloud, options: {kind: mysql, size: 256, many: [a, b]}}
      app:
        image: IMAGE
        command: sleep 1000
        init: true
        depends_on: {db: {condition: service_healthy}}
        stop_grace_period: 0s
        network_mode: none
"""


def _provide(project: Project) -> None:
    folder = project.folder / "bin"
    folder.mkdir()
    (folder / "pycompose-test-cloud").write_text(_PROGRAM)
    (folder / "pycompose-test-cloud").chmod(0o755)
    (project.folder / "value").write_text("first")
    (project.folder / ".env").write_text("OF_ENV_FILE=env-file\n")
    project.environ["PATH"] = f"{folder}:{project.environ['PATH']}"
    project.write(_FILE)


def _calls(project: Project) -> list[list[str]]:
    """The words of each call, options in the order of their names; what is asked for its description left out."""
    calls = project.folder / "calls"
    lines = calls.read_text().splitlines()
    calls.unlink()
    return [sorted(line.split()) for line in lines if "metadata" not in line]


@pytest.mark.covers("services.*", "provider")
@pytest.mark.covers("services.*.provider", "type options")
def test_provider(project: Project) -> None:
    _provide(project)
    assert "ask provider of service db" in project.run("up", "--dry-run").stdout
    assert not (project.folder / "calls").exists(), "a dry run asks nobody"
    told = project.run("up", "-d", "--wait").stderr
    assert "db: half of it" in told and "never shown" not in told
    asked = sorted(
        [
            "compose",
            "--project-name=provided",
            "up",
            "--kind=mysql",
            "--size=256",
            "--many=a",
            "--many=b",
            "db",
        ]
    )
    assert _calls(project) == [asked]
    assert "DB_URL=http://first env-file" in project.exec("app", "env").splitlines()
    assert list(project.ps()) == ["provided-app-1"]
    # The same answer changes nothing, another one does, and a plan does not know.
    assert "Running" in project.run("up", "-d").stderr
    assert "container" not in project.run("plan").stdout
    assert "DB_URL=http://first" in project.run("run", "--rm", "-T", "app", "env").stdout
    (project.folder / "value").write_text("second")
    assert "environment.DB_URL" in project.run("up", "-d", "--explain").stderr
    assert "DB_URL=http://second env-file" in project.exec("app", "env").splitlines()
    _calls(project)
    # It says which options it knows: others are not given, those it needs have to be there.
    described = project.folder / "described"
    described.write_text('{"description": "x", "up": {"parameters": [{"name": "size"}]}}')
    project.run("up", "-d")
    assert _calls(project) == [sorted(["compose", "--project-name=provided", "up", "--size=256", "db"])]
    described.write_text('{"up": {"parameters": [{"name": "zone", "required": true}]}}')
    assert "needs the option 'zone'" in project.run("up", "-d", code=1).stderr
    described.unlink()
    # What goes wrong is told, and nothing is made.
    broken = project.folder / "broken"
    for script, message in (
        ('echo \'{"type": "error", "message": "no cloud today"}\'; sleep 100', "no cloud today"),
        ("echo oh dear >&2; exit 3", "ended with 3\n  | oh dear"),
        ("echo plain words", "no message of the protocol"),
        ('echo \'{"type": "setenv", "message": "NOTHING"}\'', "is not NAME=VALUE"),
    ):
        broken.write_text(script)
        assert message in project.run("up", "-d", code=1).stderr
    broken.unlink()
    assert list(project.ps()) == ["provided-app-1"]
    _calls(project)
    project.run("down", "-t", "0")
    assert _calls(project) == [sorted("down" if word == "up" else word for word in asked)]
    project.write(_FILE.replace("pycompose-test-cloud", "pycompose-no-such-cloud"))
    assert "there is no such program" in project.run("up", "-d", code=1).stderr


def test_provider_on_the_reference(project: Project, tmp_path: Path) -> None:
    """The same program hears the same words there."""
    with reference_project(tmp_path / "reference", "busybox") as reference:
        heard = []
        for each in (project, reference):
            _provide(each)
            each.run("up", "-d")
            environment = each.exec("app", "env")
            each.run("down", "-t", "0")
            variables = [line for line in environment.splitlines() if line.startswith("DB_")]
            heard.append((variables, _calls(each)))
        assert heard[0] == heard[1]
