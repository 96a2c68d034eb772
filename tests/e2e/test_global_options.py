"""--progress, --ansi and the COMPOSE_ variables."""

import json

from tests.project import Project

FILE = "services: {a: {image: IMAGE, command: sleep 1000, init: true, network_mode: none}}"


def test_progress(project: Project) -> None:
    project.write(FILE)
    told = [json.loads(line) for line in project.run("--progress", "json", "up", "-d").stderr.splitlines()]
    assert {"id": "Container project-a-1", "status": "Started"} in told
    assert project.run("--progress", "quiet", "stop", "-t", "0").stderr == ""
    project.environ["COMPOSE_PROGRESS"] = "quiet"
    assert project.run("start").stderr == ""
    del project.environ["COMPOSE_PROGRESS"]
    project.environ["COMPOSE_STATUS_STDOUT"] = "1"
    stopped = project.run("stop", "-t", "0")
    assert "Stopped" in stopped.stdout and stopped.stderr == ""
    assert "\033[" in project.run("--ansi", "always", "start").stdout
    project.environ["COMPOSE_ANSI"] = "always"
    assert "\033[" in project.run("restart", "-t", "0").stdout
    assert "\033[" not in project.run("--ansi", "never", "stop", "-t", "0").stdout
    project.environ["COMPOSE_ANSI"] = "sometimes"
    assert "COMPOSE_ANSI 'sometimes'" in project.run("ps", code=1).stderr
    del project.environ["COMPOSE_ANSI"]
    assert "--progress 'loud'" in project.run("--progress", "loud", "ps", code=1).stderr

    project.write(FILE.replace("{a:", "{b:"))
    assert "found orphan containers" in project.run("up", "-d").stderr
    project.environ["COMPOSE_IGNORE_ORPHANS"] = "true"
    assert "orphan" not in project.run("up", "-d").stderr
    assert "exclude each other" in project.run("down", "--remove-orphans", code=1).stderr
    del project.environ["COMPOSE_IGNORE_ORPHANS"]
    # Some of them may stand in the .env beside the file, too.
    dotenv = project.folder / ".env"
    dotenv.write_text(
        "COMPOSE_IGNORE_ORPHANS=true\nCOMPOSE_PARALLEL_LIMIT=${NUMBER:-none}\nCOMPOSE_PROGRESS=loud\n"
    )
    assert "'none' is not a limit" in project.run("up", "-d", code=1).stderr
    project.environ["COMPOSE_PARALLEL_LIMIT"] = "2"
    assert "orphan" not in project.run("up", "-d").stderr
    del project.environ["COMPOSE_PARALLEL_LIMIT"]
    dotenv.unlink()
    project.environ["COMPOSE_REMOVE_ORPHANS"] = "1"
    project.run("up", "-d")
    assert set(project.ps()) == {"project-b-1"}
    project.run("down", "-t", "0")
