"""A file whose images come from a registry or are built: what a user sees."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.project import Project
from tests.registry import Registry, skopeo


@pytest.fixture
def remote(project: Project, registry: Registry, busybox_tar: Path) -> str:
    """A name in the registry, with busybox behind it; nothing of it is in the project's store."""
    name = f"{registry.host}/e2e/{project.folder.parent.name.lower()}:1"
    project.run("image", "import", str(busybox_tar), name)
    project.run("image", "push", name)
    project.run("image", "rm", name)
    return name


@pytest.mark.covers("services.*", "pull_policy")
def test_up_pulls_what_is_missing(project: Project, remote: str) -> None:
    project.write(f"services: {{a: {{image: '{remote}', command: sleep 1000, init: true}}}}\n")
    assert f"pull image {remote}  (it is missing)" in project.run("up", "--dry-run").stdout
    errors = project.run("up", "-d").stderr
    assert f"Image {remote}  Pulling" in errors and f"Image {remote}  Pulled" in errors
    assert "Pull" not in project.run("up", "-d").stderr
    assert "Pulled" in project.run("up", "-d", "--pull", "always").stderr
    (row,) = json.loads(project.run("images", "--format", "json").stdout)
    assert row["ContainerName"] == "project-a-1" and f"{row['Repository']}:{row['Tag']}" == remote
    assert project.run("down", "-t", "0", "--rmi", "all").stderr.count(f"Image {remote}  Removed") == 1
    assert project.run("image", "ls", "-q").stdout == ""


def test_a_pull_that_fails(project: Project, registry: Registry) -> None:
    project.write(f"services: {{a: {{image: '{registry.host}/e2e/nothing', command: x}}}}\n")
    errors = project.run("up", "-d", code=1).stderr
    assert "is not in the registry" in errors and "hint" in errors.lower()
    assert project.ps() == {}


def test_pull_and_push_of_services(project: Project, remote: str) -> None:
    target = f"{remote.rpartition(':')[0]}:built"
    project.write(
        f"""
        services:
          plain: {{image: '{remote}', command: sleep 1000}}
          made:
            image: '{target}'
            build: {{dockerfile_inline: 'FROM {remote}'}}
        """
    )
    assert "Pulled" in project.run("pull", "plain").stderr
    project.run("build")
    assert "Pushed" in project.run("push").stderr
    assert json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{target}"))["Os"] == "linux"


def test_build_up_and_change(project: Project, busybox_tar: Path) -> None:
    project.run("image", "import", str(busybox_tar), "box")
    (project.folder / "app").write_text("one")
    (project.folder / "Dockerfile").write_text(
        'FROM box\nARG WHO\nCOPY app /app\nRUN echo $WHO >/who\nCMD ["sleep", "1000"]\n'
    )
    project.write("services: {a: {build: {context: ., args: {WHO: me}}, init: true}}\n")
    assert "build image project-a" in project.run("up", "-d", "--dry-run", "--build").stdout
    project.run("up", "-d", "--build")
    assert (project.exec("a", "cat", "/app"), project.exec("a", "cat", "/who")) == ("one", "me\n")
    assert "Recreat" not in project.run("up", "-d", "--build").stderr
    (project.folder / "app").write_text("two")
    assert "Recreat" not in project.run("up", "-d").stderr
    assert "is another one now" in project.run("up", "-d", "-t", "0", "--build").stderr
    assert project.exec("a", "cat", "/app") == "two"
    project.exec("a", "sh", "-c", "echo new >/written")
    image = project.run("commit", "a", "committed:1", "-c", "ENV X=y").stdout.strip()
    (found,) = json.loads(project.run("image", "inspect", "committed:1").stdout)
    assert found["Id"] == image and "X=y" in found["Config"]["Env"]
    project.run("down", "-t", "0", "--rmi", "local")
    assert "project-a" not in project.run("image", "ls").stdout
    exported = subprocess.check_output(
        [*project.command, "image", "export", "committed:1"], env=project.environ, cwd=project.folder
    )
    assert b"written" in exported


def test_a_failed_build_is_told_with_its_line_and_output(project: Project, busybox_tar: Path) -> None:
    project.run("image", "import", str(busybox_tar), "box")
    (project.folder / "Dockerfile").write_text("FROM box\n\nRUN echo the reason && exit 7\n")
    project.write("services: {a: {build: .}}\n")
    errors = project.run("up", "-d", code=1).stderr
    assert "line 3: RUN echo the reason && exit 7 ended with exit code 7" in errors and "the reason" in errors
    assert project.ps() == {}


def test_archives_and_transports(project: Project, busybox_tar: Path) -> None:
    project.run("image", "import", str(busybox_tar), "box:1")
    for format in ("docker-archive", "oci-archive", "oci-dir"):
        project.run("image", "save", "box:1", "-o", f"saved-{format}", "--format", format)
    project.run("image", "rm", "box:1")
    assert project.run("image", "load", "-i", "saved-docker-archive").stdout == "Loaded image: box:1\n"
    project.run("image", "rm", "box:1")
    project.run("image", "load", "-i", "saved-oci-dir")
    project.run("image", "rm", "box:1")
    project.write(
        """
        services:
          a: {image: 'oci:FOLDER/saved-oci-dir', command: echo from a layout}
          b: {image: 'oci-archive:FOLDER/saved-oci-archive', command: echo from an oci archive}
          c: {image: 'docker-archive:FOLDER/saved-docker-archive:box:1', command: echo from a docker archive}
        """.replace("FOLDER", str(project.folder))
    )
    project.run("up", "-d", "--wait")
    logs = project.run("logs", "--no-log-prefix").stdout
    assert {"from a layout", "from an oci archive", "from a docker archive"} <= set(logs.splitlines())
    project.run("down")


@pytest.mark.covers("services.*.build", "cache_from")
@pytest.mark.parametrize("kind", ["local", "registry"])
def test_a_travelling_build_cache(
    project: Project, busybox_tar: Path, tmp_path: Path, registry: Registry, kind: str
) -> None:
    project.run("image", "import", str(busybox_tar), "box")
    (project.folder / "Dockerfile").write_text("FROM box\nRUN date +%N >/random\nRUN true\n")
    name = f"{registry.host}/e2e/{project.folder.parent.name.lower()}:cache"
    source, target = {
        "local": (f"type=local,src={tmp_path}/cache", f"type=local,dest={tmp_path}/cache"),
        "registry": (name, f"type=registry,ref={name},mode=max"),
    }[kind]
    project.write(
        f"""
        services:
          a: {{build: {{context: ., cache_from: ['{source}'], cache_to: ['{target}']}}}}
        """
    )
    done = project.run("build", "-q")
    first = done.stdout
    assert ("mode=max" in project.run("build").stderr) == (kind == "registry")
    for image in ("project-a", *([name] if kind == "registry" else ())):
        project.run("image", "rm", image)
    project.run("image", "prune", "-f", "--build-cache")
    assert project.run("build", "-q").stdout == first
