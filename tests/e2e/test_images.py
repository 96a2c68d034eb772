"""Images of the store, made and used through the command."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.project import Project


@pytest.fixture
def archive(tmp_path: Path, busybox_root: Path) -> Path:
    path = tmp_path / "root.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(busybox_root, arcname=".")
    return path


def test_an_imported_image_runs_and_goes_when_unused(project: Project, archive: Path) -> None:
    image_id = project.run("image", "import", str(archive), "box:1").stdout.strip()
    assert image_id.startswith("sha256:")
    assert project.run("image", "ls").stdout.splitlines()[1].split()[:2] == ["box", "1"]
    (found,) = json.loads(project.run("image", "inspect", "box:1").stdout)
    assert found["Id"] == image_id
    project.write("services: {a: {image: 'box:1', command: sleep 1000, init: true}}\n")
    project.run("up", "-d")
    project.exec("a", "touch", "/written")
    assert "used by a container" in project.run("image", "rm", "box:1", code=1).stderr
    project.run("down", "-t", "0")
    project.run("image", "rm", "box:1")
    assert project.run("image", "ls", "-q").stdout == ""
    assert "there is no image box:1" in project.run("up", "-d", "--pull", "never", code=1).stderr


def test_another_image_of_the_same_name_makes_containers_anew(
    project: Project, archive: Path, busybox_root: Path
) -> None:
    project.run("image", "import", str(archive), "box")
    project.write("services: {a: {image: box, command: sleep 1000, init: true}}\n")
    project.run("up", "-d")
    (project.folder / "extra").write_text("more")
    with tarfile.open(archive, "a") as tar:
        tar.add(project.folder / "extra", arcname="./extra")
    project.run("image", "import", str(archive), "box")
    assert "image box is another one now" in project.run("up", "-d", "-t", "0").stderr
    assert project.exec("a", "cat", "/extra") == "more"
    project.run("down", "-t", "0")


def test_import_from_standard_input(project: Project, archive: Path) -> None:
    with archive.open("rb") as stream:
        answer = subprocess.run(
            [*project.command, "image", "import", "-", "piped:latest"],
            stdin=stream,
            env=project.environ,
            cwd=project.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert answer.returncode == 0, answer.stderr
    assert "piped" in project.run("image", "ls").stdout


def test_what_is_no_archive_is_refused(project: Project) -> None:
    (project.folder / "junk.tar").write_bytes(b"x" * 5000)
    errors = project.run("image", "import", "junk.tar", "junk", code=1).stderr
    assert "junk.tar" in errors
    assert project.run("image", "ls", "-q").stdout == ""
    assert "/no/such.tar is not there" in project.run("image", "import", "/no/such.tar", "x", code=1).stderr


def test_the_host_is_never_written(project: Project) -> None:
    project.write(
        """
        services:
          a:
            image: host:/
            command: sh -c 'echo x > /etc/pycompose-test; echo x > /usr/pycompose-test; cat /etc/shadow; ls /root /home'
        """
    )
    project.run("up", "-d")
    project.run("logs", "-f")
    logs = project.run("logs", "--no-log-prefix").stdout
    assert "/etc/shadow: No such file" in logs
    assert not Path("/etc/pycompose-test").exists()
    assert not Path("/usr/pycompose-test").exists()
    project.run("down")
