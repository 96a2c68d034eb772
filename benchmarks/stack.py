#!/usr/bin/env python3
"""How long a stack of small services takes to come up, to be listed, entered and taken down.

    sudo .venv/bin/python benchmarks/stack.py [--sizes 1,10,50] [--rounds 5]

Runs `pycompose` and, where DOCKER_HOST answers and `docker compose` is there, the same file through that, in turn
(A B A B …) on one machine. Prints medians in ms, the ratio docker/pycompose, and what supervising the running stack
costs in memory: the PSS of all shims, against that of dockerd, containerd and its shims.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
STEPS = ("up", "ps", "exec", "down")


class Engine:
    """One way to run the stack: a command and the image its services use."""

    def __init__(self, name: str, command: list[str], image: str, environ: dict[str, str]) -> None:
        self.name = name
        self.command = command
        self.image = image
        self.environ = {**os.environ, **environ}

    def write(self, folder: Path, size: int) -> None:
        """A Compose file of `size` services, each waiting for a signal."""
        script = "trap 'exit 0' TERM; sleep 100000 & wait"
        lines = [f"name: bench{self.name}", "services:"]
        for number in range(size):
            lines += [
                f"  s{number}:",
                f"    image: {self.image}",
                f'    command: ["sh", "-c", "{script}"]',
            ]
        folder.mkdir(exist_ok=True)
        (folder / "compose.yaml").write_text("\n".join(lines) + "\n")

    def run(self, folder: Path, *words: str) -> float:
        """Milliseconds that one command takes. Raises CalledProcessError."""
        started = time.perf_counter()
        subprocess.run(
            [*self.command, *words],
            cwd=folder,
            env=self.environ,
            check=True,
            capture_output=True,
            timeout=300,
        )
        return (time.perf_counter() - started) * 1000

    def round(self, folder: Path, memory: Callable[[], float]) -> dict[str, float]:
        """One life of the stack; ms per step and the supervisors' memory in MB."""
        try:
            times = {"up": self.run(folder, "up", "-d")}
            times["ps"] = self.run(folder, "ps")
            times["exec"] = self.run(folder, "exec", "-T", "s0", "true")
            times["memory"] = memory()
        finally:
            down = self.run(folder, "down", "-t", "5")
        return {**times, "down": down}


def pss_mb(pids: list[int]) -> float:
    """Proportional set size of some processes in MB (proc(5): smaps_rollup)."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


def shim_pids(state: Path) -> list[int]:
    """The shims of a pycompose root, as their state files name them."""
    import json

    return [json.loads(path.read_text())["shim_pid"] for path in state.glob("containers/*/state.json")]


def docker_pids() -> list[int]:
    """dockerd, containerd and the shims of containers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name in ("dockerd", "containerd") or name.startswith(("containerd-shim", "docker-proxy")):
            found.append(int(folder.name))
    return found


def make_root(folder: Path) -> Path:
    """A root filesystem with busybox only."""
    busybox = shutil.which("busybox")
    if busybox is None:
        sys.exit("benchmark: busybox is not installed (apt-get install busybox-static)")
    root = folder / "root"
    for name in ("bin", "etc", "tmp", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    for applet in ("sh", "sleep", "true"):
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    return root


def find_docker(root: Path) -> Engine | None:
    """`docker compose`, with the same root filesystem imported; None where no engine answers."""
    try:
        subprocess.run(["docker", "compose", "version"], check=True, capture_output=True, timeout=30)
        subprocess.run(["docker", "info"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    archive = subprocess.run(["tar", "-C", str(root), "-c", "."], check=True, capture_output=True).stdout
    subprocess.run(
        ["docker", "import", "-", "pycompose-bench"], input=archive, check=True, capture_output=True
    )
    return Engine("docker", ["docker", "compose"], "pycompose-bench", {})


def measure(engines: list[tuple[Engine, Callable[[], float]]], folder: Path, size: int, rounds: int) -> None:
    """Run the rounds of one size and print their medians."""
    results: dict[str, list[dict[str, float]]] = {engine.name: [] for engine, _ in engines}
    for engine, memory in engines:
        engine.write(folder / engine.name, size)
        engine.round(folder / engine.name, memory)  # warm
    for _ in range(rounds):
        for engine, memory in engines:
            results[engine.name].append(engine.round(folder / engine.name, memory))
    print(f"\n{size} service{'s' if size > 1 else ''}, median of {rounds} rounds")
    print(f"{'':8}" + "".join(f"{engine.name:>14}" for engine, _ in engines) + f"{'ratio':>10}")
    for step in (*STEPS, "memory"):
        medians = [statistics.median(item[step] for item in results[engine.name]) for engine, _ in engines]
        unit = "MB" if step == "memory" else "ms"
        ratio = f"{medians[1] / medians[0]:9.1f}x" if len(medians) > 1 and medians[0] else ""
        print(f"{step:8}" + "".join(f"{value:11.1f} {unit}" for value in medians) + ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the life of a stack with docker compose.")
    parser.add_argument("--sizes", default="1,10,50")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pycompose-bench-") as name:
        folder = Path(name)
        root = make_root(folder)
        state = folder / "state"
        ours = Engine(
            "pycompose",
            [sys.executable, "-P", "-m", "composer"],
            f"rootfs:{root}",
            {
                "PYCOMPOSE_ROOT": str(folder / "data"),
                "PYCOMPOSE_STATE": str(state),
                "PYTHONPATH": str(REPOSITORY),
            },
        )
        engines: list[tuple[Engine, Callable[[], float]]] = [(ours, lambda: pss_mb(shim_pids(state)))]
        docker = find_docker(root)
        if docker is None:
            print("docker compose: no engine answers, measuring pycompose alone")
        else:
            engines.append((docker, lambda: pss_mb(docker_pids())))
        for size in map(int, options.sizes.split(",")):
            measure(engines, folder, size, options.rounds)


if __name__ == "__main__":
    main()
