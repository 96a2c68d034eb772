"""`config` and `graph` as commands: what each option prints, and what the cache spares."""

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.registry import Registry

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE = """\
x-base: &base {DEBUG: base, Z: "1"}
services:
  web:
    image: nginx:${TAG:-1}
    env_file: [a.env]
    environment: {<<: *base, DEBUG: "0"}
    user: ${WHO?needed}
    labels: {text: "two\\nlines"}
    depends_on: [db]
    networks: [front]
  db: {build: ., profiles: [p], volumes: ["data:/d"]}
  plain: {image: b, models: [m]}
networks: {front: , unused: }
volumes: {data: }
models: {m: {model: ai/x}}
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("--services", code=0)`: the command in a folder with COMPOSE."""
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "compose.override.yaml").write_text("services: {web: {environment: [DEBUG=1]}}\n")
    (folder / "a.env").write_text("# comment\nDEBUG=file\nOTHER=x\n")
    (folder / ".env").write_text("WHO=me\n")

    def command(
        *words: str,
        code: int = 0,
        before: tuple[str, ...] = ("--profile", "p"),
        cwd: Path = folder,
        **env: str,
    ) -> "subprocess.CompletedProcess[str]":
        answer = subprocess.run(
            [sys.executable, "-P", "-m", "composer", *before, *(words or ("config",))],
            cwd=cwd,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": str(REPOSITORY),
                "PYCOMPOSE_ROOT": str(tmp_path / "data"),
                **env,
            },
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert answer.returncode == code, answer.stderr
        assert "Traceback" not in answer.stderr
        return answer

    return command


@pytest.mark.parametrize(
    ("option", "lines"),
    [
        ("--services", ["db", "plain", "web"]),
        ("--networks", ["default", "front"]),
        ("--volumes", ["data"]),
        ("--images", ["demo-db", "b", "nginx:1"]),
        ("--profiles", ["p"]),
        ("--models", ["ai/x"]),
    ],
)
def test_lists(run: Run, option: str, lines: list[str]) -> None:
    assert run("config", option).stdout.splitlines() == lines


def test_compatibility_joins_with_underscores(run: Run) -> None:
    answer = run("config", "--images", before=("--profile", "p", "--compatibility"))
    assert answer.stdout.splitlines()[0] == "demo_db"


def test_all_resources(run: Run) -> None:
    answer = run("config", "--networks", before=("--profile", "p", "--all-resources"))
    assert answer.stdout.split() == ["default", "front", "unused"]


def test_hash_is_that_of_the_label(run: Run) -> None:
    every = dict(line.split() for line in run("config", "--hash", "*").stdout.splitlines())
    assert list(every) == ["db", "plain", "web"]
    assert run("config", "--hash", "web").stdout == f"web {every['web']}\n"
    assert "no such service: nope" in run("config", "--hash", "nope", code=1).stderr


def test_environment(run: Run) -> None:
    values = dict(line.split("=", 1) for line in run("config", "--environment", TAG="7").stdout.splitlines())
    assert (values["WHO"], values["TAG"], values["COMPOSE_PROJECT_NAME"]) == ("me", "7", "demo")


def test_variables(run: Run) -> None:
    rows = [line.split() for line in run("config", "--variables").stdout.splitlines()]
    assert rows == [
        ["NAME", "REQUIRED", "DEFAULT", "VALUE", "ALTERNATE", "VALUE"],
        ["TAG", "false", "1"],
        ["WHO", "true"],
    ]
    document = json.loads(run("config", "--variables", "--format", "json").stdout)
    assert document["TAG"] == {"Name": "TAG", "DefaultValue": "1", "PresenceValue": "", "Required": False}


def test_explain_names_every_place_and_the_winner(run: Run, tmp_path: Path) -> None:
    lines = run("config", "--explain", "services.web.environment.DEBUG").stdout.splitlines()
    folder = tmp_path / "demo"
    assert lines[0] == "services.web.environment.DEBUG: 1"
    assert [line.strip() for line in lines[1::2]] == [
        f"{folder}/a.env:2:1",
        f"{folder}/compose.yaml:1:16",
        f"{folder}/compose.yaml:6:30",
        f"{folder}/compose.override.yaml:1:32  (wins)",
    ]
    assert lines[2].strip() == "DEBUG=file"


def test_explain_of_what_is_not_there(run: Run) -> None:
    answer = run("config", "--explain", "services.web.imag", code=1)
    assert "services.web has no 'imag'" in answer.stderr
    assert "did you mean 'image'?" in answer.stderr


def test_origins_are_comments_that_change_nothing(run: Run, tmp_path: Path) -> None:
    plain, noted = run("config").stdout, run("config", "--origins").stdout
    line = next(line for line in noted.splitlines() if "DEBUG:" in line)
    assert line.split("#") == [line.split("#")[0], f" {tmp_path}/demo/compose.override.yaml:1:32"]
    assert yaml.safe_load(noted) == yaml.safe_load(plain)


def test_output_file(run: Run, tmp_path: Path) -> None:
    assert run("config", "-o", "out.yaml").stdout == ""
    assert (tmp_path / "demo/out.yaml").read_text() == run("config").stdout


def _put_image(host: str, name: str, tag: str) -> str:
    """An image without layers in a registry; its digest."""

    def send(method: str, path: str, data: bytes, kind: str) -> str:
        address = path if path.startswith("http") else f"http://{host}{path}"
        request = urllib.request.Request(address, data, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers.get("Location", ""))

    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    ).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    place = send("POST", f"/v2/{name}/blobs/uploads/", b"", "application/octet-stream")
    send("PUT", f"{place}&digest={digest}", config, "application/octet-stream")
    kind = "application/vnd.oci.image.manifest.v1+json"
    described = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": digest,
        "size": len(config),
    }
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": described, "layers": []}).encode()
    send("PUT", f"/v2/{name}/manifests/{tag}", manifest, kind)
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def test_digests_come_from_the_registry(run: Run, tmp_path: Path, registry: Registry) -> None:
    digest = _put_image(registry.host, "config/web", "1")
    name = f"{registry.host}/config/web:1"
    file = tmp_path / "demo/compose.yaml"
    (tmp_path / "demo/compose.override.yaml").unlink()
    file.write_text(f"services: {{a: {{image: '{name}'}}, b: {{image: 'host:/'}}}}")
    resolved = yaml.safe_load(run("config", "--resolve-image-digests").stdout)["services"]
    assert (resolved["a"]["image"], resolved["b"]["image"]) == (f"{name}@{digest}", "host:/")
    locked = yaml.safe_load(run("config", "--lock-image-digests").stdout)
    assert locked == {"services": {"a": {"image": f"{name}@{digest}"}, "b": {"image": "host:/"}}}
    file.write_text(f"services: {{a: {{image: '{registry.host}/config/web:2'}}}}")
    assert "has no image" in run("config", "--resolve-image-digests", code=1).stderr


def test_an_unchanged_project_is_not_loaded_again(run: Run, tmp_path: Path) -> None:
    for name in ("compose.yaml", "compose.override.yaml", "a.env", ".env"):
        os.utime(tmp_path / "demo" / name, (time.time() - 60,) * 2)
    first = run("config")
    (entry,) = (tmp_path / "data/cache").glob("config-*.json")
    content = json.loads(entry.read_text())
    content["content"]["text"] = "from the cache\n"
    entry.write_text(json.dumps(content))
    assert run("config").stdout == "from the cache\n"
    assert run("config", TAG="2").stdout == first.stdout.replace("nginx:1", "nginx:2")
    (tmp_path / "demo/a.env").write_text("OTHER=y\n")
    assert "OTHER: y" in run("config").stdout


def test_a_hit_imports_nothing_heavy(run: Run, tmp_path: Path) -> None:
    for name in ("compose.yaml", "compose.override.yaml", "a.env", ".env"):
        os.utime(tmp_path / "demo" / name, (time.time() - 60,) * 2)
    run("config")
    answer = run("config", PYTHONPROFILEIMPORTTIME="1")
    imported = {
        line.rsplit("|", 1)[-1].strip() for line in answer.stderr.splitlines() if "import time" in line
    }
    assert not imported & {
        "yaml",
        "jsonschema",
        "networkx",
        "typer",
        "dataclasses",
        "sqlite3",
        "composer.load.pipeline",
    }


def test_a_folder_reached_by_a_link_is_named_after_the_link(run: Run, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("demo")
    answer = run("config", "--format", "json", cwd=link, PWD=str(link))
    assert json.loads(answer.stdout)["name"] == "link"


@pytest.mark.parametrize("format", ["tree", "dot", "mermaid", "svg", "json"])
def test_graph(run: Run, format: str) -> None:
    text = run("graph", "--format", format).stdout
    assert "web" in text and "db" in text
    assert run("graph", "--format", format, "-o", "out").stdout == ""


def test_graph_of_one_service(run: Run) -> None:
    assert "plain" not in run("graph", "web").stdout
    assert "is not one of tree, dot" in run("graph", "--format", "x", code=1).stderr


def test_standard_input_that_is_no_text(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-P", "-m", "composer", "-f", "-", "config"],
        input=b"services: \xff",
        capture_output=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert answer.returncode == 1
    assert b"standard input is not UTF-8 text" in answer.stderr
