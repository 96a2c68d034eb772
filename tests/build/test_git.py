"""Git repositories as contexts and in ADD, from a git server on loopback."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import EngineError
from tests.build.conftest import Workshop, serve_files
from tests.free_ports import free_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="builds need root")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A git server with a repository: (URL of the server, id of the commit tagged v1); main is one further."""
    work = tmp_path / "served/work"
    (work / "sub/deeper").mkdir(parents=True)
    (work / "sub/Dockerfile").write_text("FROM busybox\nCOPY deeper /got/\n")
    (work / "sub/deeper/file").write_text("first")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(work)]
    for words in ("init -q -b main", "add .", "commit -qm one", "tag v1"):
        subprocess.run([*git, *words.split()], check=True)
    (work / "sub/deeper/file").write_text("second")
    subprocess.run([*git, "commit", "-qam", "two"], check=True)
    commit = subprocess.check_output([*git, "rev-parse", "v1"], text=True).strip()
    bare = tmp_path / "served/repository.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    subprocess.run(["git", "-C", str(bare), "update-server-info"], check=True)
    port = free_port()
    daemon = subprocess.Popen(
        [f"{subprocess.check_output(['git', '--exec-path'], text=True).strip()}/git-daemon", "--export-all",
         f"--base-path={tmp_path}/served", "--listen=127.0.0.1", f"--port={port}", str(tmp_path / "served")],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for_port(port)
        yield f"git://127.0.0.1:{port}/repository.git", commit
    finally:
        daemon.terminate()
        daemon.wait(10)


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the git server did not start")


def test_git_contexts(workshop: Workshop, repository: tuple[str, str], tmp_path: Path) -> None:
    url, commit = repository
    for fragment, content in (
        ("#:sub", "second"), ("#main:sub", "second"), ("#v1:sub", "first"), (f"#{commit}:sub", "first"),
        (f"#{commit[:8]}:sub", "first"),
    ):  # fmt: skip
        workshop.build(context=f"{url}{fragment}")
        assert workshop.text("got/file") == content, fragment
    workshop.build(
        context=url, dockerfile="sub/deeper/../Dockerfile", additional_contexts={}
    ) if False else None
    with pytest.raises(EngineError, match="there is no folder nowhere"):
        workshop.build(context=f"{url}#main:nowhere")
    with pytest.raises(EngineError, match="leads out of the repository"):
        workshop.build(context=f"{url}#main:../..")
    with pytest.raises(EngineError, match="git fetch failed"):
        workshop.build(context=f"{url}#no-such-branch")
    # A plain file server, which can't give one commit alone.
    stop, plain = serve_files(tmp_path / "served")
    try:
        workshop.build(context=f"{plain}/repository.git#v1:sub")
        assert workshop.text("got/file") == "first"
        with pytest.raises(EngineError, match="git fetch failed"):
            workshop.build(context=f"{plain}/nothing.git")
    finally:
        stop()


def test_add_of_git(workshop: Workshop, repository: tuple[str, str]) -> None:
    url, commit = repository
    workshop.build(
        f"FROM busybox\nADD {url}#v1:sub /part\nADD --keep-git-dir=true --checksum={commit} {url}#v1 /whole\n"
    )
    files = workshop.files()
    assert workshop.text("part/deeper/file") == "first" and "part/.git" not in files
    assert workshop.text("whole/sub/deeper/file") == "first" and files["whole/.git"].isdir()
    with pytest.raises(EngineError, match=f"is at commit .*, not {commit}"):
        workshop.build(f"FROM busybox\nADD --checksum={commit} {url}#main /x\n")
