"""Volumes on NFS and CIFS servers of this machine: real servers, where they are installed."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.free_ports import free_port
from tests.project import Project

_ENVIRON = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
_STACK = """
services:
  a:
    image: IMAGE
    command: sh -c 'cat /v/seed; echo from-a > /v/made; exec sleep 1000'
    init: true
    stop_grace_period: 0s
    volumes: ['shared:/v']
volumes:
  shared:
    driver_opts: {OPTIONS}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a server gives away, with a file in it."""
    made = tmp_path / "served"
    made.mkdir(mode=0o777)
    made.chmod(0o777)
    (made / "seed").write_text("seed\n")
    return made


@pytest.fixture
def nfs(folder: Path) -> Iterator[str]:
    """The folder, exported to this machine by the kernel's NFS server."""
    if shutil.which("exportfs", path=_ENVIRON["PATH"]) is None or not Path("/proc/fs/nfsd/exports").exists():
        pytest.skip("needs a running NFS server (package nfs-kernel-server)")
    place = f"127.0.0.1:{folder}"
    options = "rw,no_root_squash,insecure,no_subtree_check,fsid=4711"
    subprocess.run(["exportfs", "-o", options, place], check=True, env=_ENVIRON)
    yield str(folder)
    subprocess.run(["exportfs", "-u", place], check=True, env=_ENVIRON)


@pytest.fixture
def cifs(folder: Path, tmp_path: Path) -> Iterator[int]:
    """The port of an SMB server that gives the folder to guests."""
    if shutil.which("smbd", path=_ENVIRON["PATH"]) is None:
        pytest.skip("needs an SMB server (package samba)")
    port, config = free_port(), tmp_path / "smb.conf"
    places = "".join(
        f"{name} = {tmp_path}/smb\n"
        for name in ("private dir", "lock directory", "state directory", "cache directory", "pid directory")
    )
    (tmp_path / "smb").mkdir()
    config.write_text(
        f"[global]\nsmb ports = {port}\ninterfaces = 127.0.0.1\nbind interfaces only = yes\nmap to guest = bad user\n"
        f"guest account = root\nload printers = no\ndisable spoolss = yes\nlog file = {tmp_path}/smb/log\n{places}"
        f"[share]\npath = {folder}\nguest ok = yes\nread only = no\n"
    )
    server = subprocess.Popen(
        ["smbd", "--foreground", "--no-process-group", f"--configfile={config}"], env=_ENVIRON
    )
    time.sleep(0.5)
    yield port
    server.terminate()
    server.wait()


def _check(project: Project, folder: Path, options: str) -> None:
    project.write(_STACK.replace("OPTIONS", options))
    project.run("up", "-d", "--wait", timeout_s=300)
    assert "seed" in project.run("logs", "a").stdout
    assert project.exec("a", "cat", "/v/made") == "from-a\n" == (folder / "made").read_text()
    (folder / "later").write_text("later\n")
    assert project.exec("a", "cat", "/v/later") == "later\n"
    project.run("down", "-v", timeout_s=300)
    assert (folder / "seed").read_text() == "seed\n", "what a server keeps is not the volume's to delete"


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_nfs(project: Project, nfs: str, folder: Path, address: str) -> None:
    _check(project, folder, f"{{type: nfs, o: 'addr={address},rw,nfsvers=4', device: ':{nfs}'}}")


def test_cifs(project: Project, cifs: int, folder: Path) -> None:
    _check(
        project,
        folder,
        f"{{type: cifs, o: 'username=guest,password=,port={cifs},vers=3.0', device: //localhost/share}}",
    )
