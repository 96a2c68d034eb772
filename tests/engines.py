"""Engines nobody here wrote, each with folders of its own: podman with conmon, and a dockerd of the test's own."""

import contextlib
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.oci_cli.runtime import OURS, wait

# Without CAP_SYS_RESOURCE an engine's default limits cannot be raised.
PODMAN_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--network", "none")


class ForeignEngine:
    """One engine: `call` for any command, `run` for containers on our runtime."""

    def __init__(self, command: list[str], run_options: list[str], image: list[str]) -> None:
        self.command, self.run_options, self.image = command, run_options, image

    def call(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [*self.command, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def run(self, *options: str, command: tuple[str, ...] = (), code: int = 0) -> str:
        return self.call("run", *self.run_options, *options, *self.image, *command, code=code)


def runtime_program(folder: Path) -> str:
    """Our OCI runtime as one file, which engines want."""
    path = folder / "pycompose-oci"
    path.write_text(f'#!/bin/sh\nexec {shlex.join(OURS)} "$@"\n')
    path.chmod(0o755)
    return str(path)


@contextmanager
def podman_engine(base: Path, program: str, image: list[str]) -> Iterator[ForeignEngine]:
    if shutil.which("podman") is None or shutil.which("conmon") is None:
        pytest.skip("podman and conmon are not installed (Debian packages podman, conmon)")
    command = [
        "podman", "--root", str(base / "root"), "--runroot", str(base / "run"), "--tmpdir", str(base / "tmp"),
        "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
        "--log-level", "fatal", "--runtime", program,
    ]  # fmt: skip
    try:
        yield ForeignEngine(command, list(PODMAN_LIMITS), image)
    finally:
        subprocess.run([*command, "rm", "-fa", "-t", "0"], capture_output=True, timeout=60)
        _remove_podman_cgroups()


def _remove_podman_cgroups() -> None:
    for folder in (
        *Path("/sys/fs/cgroup").glob("libpod_parent"),
        *Path("/sys/fs/cgroup").glob("*/libpod_parent"),
    ):
        for cgroup in (*sorted(folder.rglob("*/"), reverse=True), folder):
            with contextlib.suppress(OSError):  # another podman's
                cgroup.rmdir()


@contextmanager
def docker_engine(base: Path, program: str, image: list[str]) -> Iterator[ForeignEngine]:
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        pytest.skip("dockerd is not installed (Debian package docker.io)")
    host = f"unix://{base}/docker.sock"
    with open(base / "log", "w") as log:
        daemon = subprocess.Popen(
            [
                "dockerd", "--data-root", str(base / "data"), "--exec-root", str(base / "exec"), "-H", host,
                "--pidfile", str(base / "pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false",
                "--ip-forward=false", "--ip-masq=false", "--storage-driver", "overlay2",
                "--add-runtime", f"ours={program}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        command = ["docker", "-H", host]
        wait(lambda: subprocess.run([*command, "version"], capture_output=True).returncode == 0, 30)
        yield ForeignEngine(command, ["--runtime", "ours", "--network", "none"], image)
        left = subprocess.run([*command, "ps", "-aq"], capture_output=True, text=True).stdout.split()
        if left:
            subprocess.run([*command, "rm", "-f", *left], capture_output=True, timeout=60)
    finally:
        daemon.terminate()
        daemon.wait(30)
