#!/usr/bin/env python3
"""How long `config` takes, from the cache and without it, on small and large projects.

    .venv/bin/python benchmarks/config.py [--sizes 10,100,1000] [--rounds 9]

Runs `pycompose config` and, where `docker compose` is installed (it needs no engine for this), that on the same file,
in turn (A B C A B C …). Prints medians of the wall time in ms, the ratio to docker compose, and how the time without
the cache grows with the size: 1.0 is linear.
"""

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# What the project promises: at most this many times the wall time of docker compose.
PROMISED = {("cached", 10): 2.0, ("fresh", 10): 6.0, ("fresh", 1000): 3.0}


def write_project(folder: Path, size: int) -> None:
    """A Compose file whose services have what services usually have."""
    folder.mkdir(parents=True)
    lines = ["services:"]
    for number in range(size):
        lines += [
            f"  s{number}:",
            f"    image: nginx:1.{number}",
            '    command: ["nginx", "-g", "daemon off;"]',
            "    environment:",
            '      A: "1"',
            "      B: ${HOME}",
            f"      DB: postgres://db{number}/x",
            "    ports:",
            f'      - "{20000 + number}:80"',
            "    volumes:",
            f"      - data{number}:/data",
            "      - ./conf:/etc/conf:ro",
            "    healthcheck:",
            '      test: ["CMD", "true"]',
            "      interval: 10s",
            "    restart: unless-stopped",
            "    networks: [front, back]",
        ]
        if number:
            lines += ["    depends_on:", f"      - s{number - 1}"]
    lines += ["networks: {front: , back: }", "volumes:", *(f"  data{number}:" for number in range(size))]
    (folder / "compose.yaml").write_text("\n".join(lines) + "\n")


def run_ms(command: list[str], folder: Path, environ: dict[str, str]) -> float:
    """Wall time of one command. Raises CalledProcessError."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True, timeout=600)
    return (time.perf_counter() - started) * 1000


def measure(folder: Path, size: int, rounds: int, docker: bool) -> dict[str, float]:
    """Medians of each way in ms."""
    project, data = folder / f"p{size}", folder / f"data{size}"
    write_project(project, size)
    ours = [sys.executable, "-P", "-m", "composer", "config"]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYCOMPOSE_ROOT": str(data)}
    times: dict[str, list[float]] = {"fresh": [], "cached": [], "docker": []}
    for count in range(rounds + 1):
        shutil.rmtree(data, ignore_errors=True)
        found = {"fresh": run_ms(ours, project, environ)}
        time.sleep(0.1)  # an entry made while its file was young is not used at once
        run_ms(ours, project, environ)
        found["cached"] = run_ms(ours, project, environ)
        if docker:
            found["docker"] = run_ms(["docker", "compose", "config"], project, dict(os.environ))
        for way, ms in found.items() if count else ():  # the first round warms up
            times[way].append(ms)
    return {way: statistics.median(values) for way, values in times.items() if values}


def has_docker() -> bool:
    try:
        subprocess.run(["docker", "compose", "version"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare `config` with docker compose.")
    parser.add_argument("--sizes", default="10,100,1000")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    docker = has_docker()
    if not docker:
        print("docker compose is not installed: pycompose alone")
    broken = 0
    fresh: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="pycompose-bench-") as name:
        print(f"{'services':>8} {'way':>8} {'ms':>9} {'ratio':>7} {'promised':>9}")
        for size in map(int, options.sizes.split(",")):
            medians = measure(Path(name), size, options.rounds, docker)
            fresh[size] = medians["fresh"]
            for way, ms in medians.items():
                ratio = ms / medians["docker"] if docker and way != "docker" else 0.0
                promised = PROMISED.get((way, size), 0.0)
                broken += bool(ratio and promised and ratio > promised)
                print(
                    f"{size:8} {way:>8} {ms:9.1f} {f'{ratio:.2f}x' if ratio else '':>7}"
                    f" {f'{promised:.0f}x' if promised else '':>9}"
                )
    small, large = min(fresh), max(fresh)
    if large > 10 * small:
        growth = math.log(fresh[large] / fresh[small]) / math.log(large / small)
        print(f"without the cache the time grows with the size to the power of {growth:.2f}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
