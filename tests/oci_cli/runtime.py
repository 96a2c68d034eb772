"""Drives `pycompose-oci`, or another runtime with the same command line, as an engine does."""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# As the installed command starts, with this interpreter.
OURS = [sys.executable, "-IS", str(REPOSITORY / "bin/pycompose-oci")]


class Bundle:
    """A bundle whose configuration a test changes before `write`."""

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config

    @property
    def linux(self) -> dict[str, Any]:
        return self.config["linux"]

    @property
    def process(self) -> dict[str, Any]:
        return self.config["process"]

    def shell(self, script: str) -> "Bundle":
        self.process["args"] = ["sh", "-c", script]
        return self

    def mount(self, destination: str, kind: str, source: str = "none", *options: str, **more: Any) -> None:
        self.config["mounts"].append(
            {"destination": destination, "type": kind, "source": source, "options": list(options), **more}
        )

    def namespace(self, kind: str, path: str = "") -> None:
        self.linux["namespaces"] = [n for n in self.linux["namespaces"] if n["type"] != kind]
        self.linux["namespaces"].append({"type": kind, "path": path} if path else {"type": kind})

    def map_user(self, host_id: int = 100_000, size: int = 65_536) -> None:
        self.namespace("user")
        for key in ("uidMappings", "gidMappings"):
            self.linux[key] = [{"containerID": 0, "hostID": host_id, "size": size}]

    def write(self) -> Path:
        (self.path / "config.json").write_text(json.dumps(self.config))
        return self.path


class Runtime:
    """One runtime with a --root of its own."""

    def __init__(self, root: Path, command: list[str] = OURS) -> None:
        self.root = root
        self.command = [*command, "--root", str(root)]
        self.made: list[str] = []

    _count = itertools.count()

    def call(self, *words: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        options = {
            "capture_output": True,
            "text": True,
            "timeout": 60,
            "stdin": subprocess.DEVNULL,
            **options,
        }
        done = subprocess.run([*self.command, *words], **options)
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode} {done.stderr}{done.stdout}"
        return done

    def run(
        self, bundle: Bundle, *words: str, name: str = "", **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """`run` in the foreground."""
        options.setdefault("check", False)
        return self.call("run", "--bundle", str(bundle.write()), *words, self.name(name), **options)

    def output(self, bundle: Bundle, script: str, *words: str) -> str:
        """What a shell script prints in the container, which must succeed."""
        return self.run(bundle.shell(script), *words, check=True).stdout

    def detached(self, bundle: Bundle, *words: str, name: str = "") -> str:
        """The id of a container that runs in the background. Its output goes nowhere."""
        made = self.name(name)
        path = str(bundle.write())
        # Files and not pipes: those would be read until the container ends.
        with open(f"{path}/err", "w+") as errors:
            streams = {"stdout": subprocess.DEVNULL, "stderr": errors, "capture_output": False}
            done = self.call("run", "--detach", "--bundle", path, *words, made, check=False, **streams)
            errors.seek(0)
            assert done.returncode == 0, errors.read()
        return made

    def name(self, given: str = "") -> str:
        made = given or f"pctest-{os.getpid()}-{next(self._count)}"
        self.made.append(made)
        return made

    def state(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.call("state", name).stdout)
        return found

    def wait_for(self, name: str, status: str) -> None:
        wait(lambda: self.state(name)["status"] == status)

    def clean_up(self) -> None:
        for name in self.made:
            self.call("delete", "--force", name, check=False)


def wait(done: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def cgroups_of(name: str) -> list[str]:
    """Directories of a container's cgroup that are there."""
    top = Path("/sys/fs/cgroup")
    return [str(path) for path in (top / name, *(child / name for child in top.iterdir())) if path.is_dir()]
