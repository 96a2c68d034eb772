"""A Compose project in a folder of its own, driven through the `pycompose` command as a user would."""

import json
import os
import subprocess
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime import Paths
from tests.free_ports import free_port

# How many times as long as usual commands may take, for slow machines (scripts/vm-tests.sh).
PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))


class Project:
    """`write` the Compose file, `run` commands, look at `ps`."""

    def __init__(self, folder: Path, paths: Paths, busybox_root: Path, command: Sequence[str]) -> None:
        self.folder = folder
        self.paths = paths
        self.image = f"rootfs:{busybox_root}"
        self.command = list(command)
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            "PYCOMPOSE_ROOT": paths.data,
            "PYCOMPOSE_STATE": paths.state,
        }
        self.ports = [free_port() for _ in range(4)]
        folder.mkdir(exist_ok=True)

    def write(self, text: str, name: str = "compose.yaml") -> None:
        """Write a file of the project; IMAGE stands for the busybox root filesystem, PORT0 to PORT3 for `ports`."""
        text = textwrap.dedent(text).replace("IMAGE", self.image)
        for index, port in enumerate(self.ports):
            text = text.replace(f"PORT{index}", str(port))
        (self.folder / name).write_text(text)

    def popen(self, *words: str, **options: Any) -> "subprocess.Popen[str]":
        """Start the command and return at once."""
        return subprocess.Popen(
            [*self.command, *words],
            cwd=self.folder,
            env=self.environ,
            text=True,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def run(
        self, *words: str, code: int | None = 0, timeout_s: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """Run the command to its end and check its exit code; any will do where it is None."""
        answer = subprocess.run(
            [*self.command, *words],
            cwd=self.folder,
            env=self.environ,
            text=True,
            capture_output=True,
            timeout=timeout_s * PATIENCE,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert code in (None, answer.returncode), (
            f"{words} ended with {answer.returncode}\n{answer.stdout}\n{answer.stderr}"
        )
        assert "Traceback" not in answer.stderr, answer.stderr
        return answer

    def ps(self, *words: str) -> dict[str, dict[str, Any]]:
        """`ps -a` as name -> JSON object."""
        lines = self.run("ps", "-a", "--format", "json", *words).stdout.splitlines()
        return {item["Name"]: item for item in map(json.loads, lines)}

    def exec(self, service: str, *words: str) -> str:
        """The output of a command in a service's container."""
        return self.run("exec", "-T", service, *words).stdout

    def exec_in(self, service: str, number: str, *words: str) -> str:
        """The output of a command in the service's container of that number."""
        return self.run("exec", "-T", "--index", number, service, *words).stdout
