"""`publish`, and running what was published with `-f oci://…`; git repositories as -f."""

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from composer.cli import remote
from composer.errors import ComposeError
from runtime import Artifact, Document, Engine
from tests.project import Project
from tests.registry import Registry


def _manifest(registry: Registry, repository: str, tag: str) -> dict:
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
    request = urllib.request.Request(
        f"http://{registry.host}/v2/{repository}/manifests/{tag}", headers={"Accept": accept}
    )
    with urllib.request.urlopen(request) as answer:
        return dict(json.load(answer))


def test_publish(project: Project, registry: Registry, busybox_tar: Path) -> None:
    image = f"{registry.host}/stack/busybox:1"
    project.run("image", "import", str(busybox_tar), image)
    project.run("image", "push", image)
    (project.folder / "vars.env").write_text("A=from-env-file\n")
    (project.folder / "common.yaml").write_text("services: {base: {init: true, network_mode: none}}\n")
    project.write(
        f"""
        services:
          web:
            image: {image}
            extends: {{file: common.yaml, service: base}}
            command: sh -c 'echo $$A; sleep 1000'
            env_file: vars.env
        """
    )
    name = f"{registry.host}/stack/app"
    assert "environment variable(s) declared" in project.run("publish", name, code=1).stderr
    assert "publish vars.env" in project.run("publish", "--with-env", "--dry-run", name).stdout
    assert (
        "Anybody who can read" in project.run("publish", "--with-env", name, code=1).stderr
    )  # nobody answers: no
    project.run("publish", "--with-env", "-y", name)
    manifest = _manifest(registry, "stack/app", "latest")
    assert manifest["artifactType"] == "application/vnd.docker.compose.project"
    assert [layer["mediaType"] for layer in manifest["layers"]] == [
        "application/vnd.docker.compose.file+yaml",
        "application/vnd.docker.compose.file+yaml",
        "application/vnd.docker.compose.envfile",
    ]
    for file in ("compose.yaml", "common.yaml", "vars.env"):
        (project.folder / file).unlink()

    remote = ("-f", f"oci://{name}")
    project.run(*remote, "up", "-d")
    assert json.loads(project.run("ls", "--format", "json").stdout)[0]["Name"] == "app"
    assert "from-env-file" in project.run(*remote, "logs", "--no-log-prefix").stdout
    project.run(*remote, "down", "-t", "0")

    # All that is needed in one repository, and the old format.
    project.write(f"services: {{web: {{image: '{image}', command: 'true'}}}}")
    project.run("publish", "--app", "--resolve-image-digests", "-y", f"{name}:2")
    index = _manifest(registry, "stack/app", "2")
    assert (
        len(index["manifests"]) == 1
        and index["subject"]["artifactType"] == "application/vnd.docker.compose.project"
    )
    assert "@sha256:" in project.run("-f", f"oci://{name}:2", "config", "--images").stdout
    project.run("publish", "--oci-version", "1.0", "-y", f"{name}:old")
    assert "artifactType" not in _manifest(registry, "stack/app", "old")
    assert project.run("-f", f"oci://{name}:old", "config", "--services").stdout == "web\n"
    assert "is not a Compose project" in project.run("-f", f"oci://{image}", "config", code=1).stderr
    assert "not in the registry" in project.run("-f", f"oci://{name}:none", "config", code=1).stderr
    project.run("image", "rm", "-f", image)


def test_hostile_artifact(project: Project, registry: Registry) -> None:
    engine = Engine(project.paths.data, project.paths.state)
    compose = Document(remote.FILE_TYPE, b"services: {a: {image: a}}", {remote.FILE: "compose.yaml"})
    for path in ("", ".", "..", "../x", "a/../../x", "/x", "compose.yaml/x", "a/", "a\0b", "x" * 300):
        entry = Document(remote.ENV_TYPE, b"A=1", {remote.ENV_FILE: path})
        name = f"{registry.host}/stack/bad"
        artifact = Artifact(remote.KIND, remote.CONFIG_TYPE, (compose, entry))
        engine.images.begin_publish(name, artifact).finish()
        with pytest.raises(ComposeError, match="stack/bad has a file"):
            remote.fetch_files(engine, f"oci://{name}")
        assert os.listdir(f"{engine.paths.cache}/remote") == []
    engine.close()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("oci://h:5000/a/App:v1", "app"),
        ("oci://h/a/app@sha256:00", "app"),
        ("https://h/...git", "project"),
        ("https://h/x.git#main:a/..", "project"),
        ("https://h/x.git#main:a/sub/", "sub"),
        ("https://h/x.git#a/b", "x"),
        ("https://h/x.git?branch=main&subdir=a/sub", "sub"),
        ("git@h:x.git", "x"),
    ],
)
def test_project_name(file: str, name: str) -> None:
    assert remote._project_name(file) == name


def test_no_secrets(project: Project) -> None:
    (project.folder / "sub").mkdir()
    for name in (".env", "prod.env", "prod.yaml", "sub/.env", "sub/more.env"):
        (project.folder / name).write_text("SECRET=1\n")
    (project.folder / "sub/compose.yaml").write_text("services: {a: {image: 'a:${SECRET}'}}\n")
    (project.folder / "more.compose").write_text("services: {b: {image: b}}\n")
    (project.folder / "labels").write_text("KEY=value\n")
    web = "{image: w, label_file: labels}"
    text = "include: [sub/compose.yaml, {path: more.compose, env_file: sub/more.env}]\nservices: {web: WEB}\n"
    project.write(text.replace("WEB", web))
    told = project.run(
        "--env-file", "prod.env", "--env-file", "prod.yaml", "publish", "--with-env", "--dry-run", "r/a"
    )
    names = ("compose.yaml", "sub/compose.yaml", "more.compose", "labels")
    assert told.stdout.splitlines() == [f"publish {name} to r/a" for name in names]
    assert (
        project.run("publish", "--dry-run", "r/a").stdout
        == project.run("publish", "-y", "--dry-run", "r/a").stdout
    )
    # An env file is refused whatever is in it, and whether its service is active or not.
    (project.folder / "quiet.env").write_text("# a secret in a comment\n")
    project.write(text.replace("WEB", "{image: w, profiles: [p], env_file: quiet.env}"))
    assert "quiet.env, which would be published" in project.run("publish", "--dry-run", "r/a", code=1).stderr
    assert "Anybody who can read" in project.run("publish", "--with-env", "r/a", code=1).stderr
    assert "publish quiet.env" in project.run("publish", "--with-env", "--dry-run", "r/a").stdout


def test_git(project: Project) -> None:
    work = project.folder / "work"
    (work / "sub").mkdir(parents=True)
    (work / "sub/compose.yaml").write_text(
        f"services: {{a: {{image: '{project.image}', volumes: ['./data:/data'], command: 'true'}}}}\n"
    )
    environ = {
        **project.environ,
        **{f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=work, env=environ, check=True)
    bare = project.folder / "repo.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True, capture_output=True)
    server = subprocess.Popen(
        [
            "git",
            "daemon",
            "--listen=127.0.0.1",
            f"--port={project.ports[0]}",
            "--export-all",
            f"--base-path={project.folder}",
            "--reuseaddr",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"git://127.0.0.1:{project.ports[0]}/repo.git"

        for _ in range(50):
            if subprocess.run(["git", "ls-remote", url], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        assert project.run("-f", f"{url}#main:sub", "config", "--services").stdout == "a\n"
        assert "has no compose.yaml" in project.run("-f", url, "config", code=1).stderr

        # What containers wrote beside the file stays, and a new commit has a folder of its own, not a name.
        def config() -> dict:
            return dict(json.loads(project.run("-f", f"{url}#main:sub", "config", "--format", "json").stdout))

        before = config()
        data = Path(before["services"]["a"]["volumes"][0]["source"])
        assert before["name"] == "sub" and data.parent.name == "sub"
        data.mkdir()
        (data / "kept").touch()
        trace = project.folder / "trace"
        project.environ["GIT_TRACE"] = str(trace)
        assert config() == before and (data / "kept").exists()
        asked = trace.read_text()
        assert "ls-remote" in asked and "fetch" not in asked, "a commit that is here is not fetched again"
        for words in (("tag", "-a", "v1", "-m", "one"), ("push", "-q", str(bare), "v1")):
            subprocess.run(["git", *words], cwd=work, env=environ, check=True)
        trace.unlink()
        assert project.run("-f", f"{url}#v1:sub", "config", "--services").stdout == "a\n"
        assert "fetch" not in trace.read_text(), "whatever it is called"
        for words in (("commit", "-q", "--allow-empty", "-m", "y"), ("push", "-q", str(bare), "main")):
            subprocess.run(["git", *words], cwd=work, env=environ, check=True)
        assert config()["name"] == "sub" and config() != before and (data / "kept").exists()
        assert not list(Path(project.paths.cache, "remote").glob("*.new*"))
    finally:
        server.terminate()
        server.wait()
