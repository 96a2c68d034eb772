#!/usr/bin/env python3
"""Networks compared with `docker compose` on one machine: throughput, name resolution, and making a network.

    sudo .venv/bin/python benchmarks/network.py [--rounds 5] [--seconds 2]

Needs iperf3 and the system's python3, of which a root filesystem is made that both engines use. Runs both in turn
(A B A B …) and prints medians and the ratio pycompose/docker; for Gbit/s more is better, for times less.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stack import REPOSITORY, Engine, find_docker, make_root

SERVER, PORT = "iperf3 -s", 5201
HOST_PORT = {"pycompose": 25201, "docker": 25202}
ENDPOINTS = 20
# Sends 2,000 questions one after the other and prints the 50th and 99th percentile of the answers' times in µs.
RESOLVE = """
import socket, struct, time
question = b"\\3web\\0" + struct.pack("!HH", 1, 1)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect(("127.0.0.11", 53))
sock.settimeout(2)
times = []
for number in range(2000):
    begun = time.perf_counter()
    sock.send(struct.pack("!HHHHHH", number, 0x100, 1, 0, 0, 0) + question)
    sock.recv(512)
    times.append(time.perf_counter() - begun)
times.sort()
print(times[1000] * 1e6, times[1980] * 1e6)
"""


def add_programs(root: Path) -> None:
    """iperf3 and python3 with what they need, into a root filesystem."""
    python = "/usr/bin/python3"
    iperf = shutil.which("iperf3")
    if iperf is None or not Path(python).exists():
        sys.exit("benchmark: iperf3 and python3 are needed (apt-get install iperf3 python3)")
    library = subprocess.check_output(
        [python, "-c", "import os; print(os.path.dirname(os.__file__))"], text=True
    ).strip()
    shutil.copytree(
        library, f"{root}{library}", ignore=shutil.ignore_patterns("test", "dist-packages", "__pycache__")
    )
    modules = [str(path) for path in Path(library, "lib-dynload").glob("*socket*")]
    for program in (iperf, python, *modules):
        target = Path(f"{root}/usr/bin/{Path(program).name}") if program in (iperf, python) else None
        for needed in (program, *_libraries(program)):
            place = target if target is not None and needed == program else Path(f"{root}{needed}")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                shutil.copy(needed, place)
    for name in ("iperf3", "python3"):
        (root / "bin" / name).symlink_to(f"/usr/bin/{name}")


def _libraries(program: str) -> list[str]:
    lines = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout.splitlines()
    return [word for line in lines for word in line.split() if word.startswith("/")]


def write_stack(engine: Engine, folder: Path) -> None:
    folder.mkdir()
    (folder / "compose.yaml").write_text(
        f"""name: netbench{engine.name}
services:
  web: {{image: "{engine.image}", command: {SERVER}, init: true, ports: ["{HOST_PORT[engine.name]}:{PORT}"]}}
  client: {{image: "{engine.image}", command: sleep 100000, init: true}}
"""
    )


def output(engine: Engine, folder: Path, *words: str) -> str:
    return subprocess.run(
        [*engine.command, *words],
        cwd=folder,
        env=engine.environ,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout


def gbits(report: str) -> float:
    return float(json.loads(report)["end"]["sum_received"]["bits_per_second"]) / 1e9


def measure(engine: Engine, folder: Path, seconds: int) -> dict[str, float]:
    """One round with a running stack."""
    client = ("iperf3", "-J", "-t", str(seconds), "-c")
    inside = gbits(output(engine, folder, "exec", "-T", "client", *client, "web"))
    arguments = [*client, "127.0.0.1", "-p", str(HOST_PORT[engine.name])]
    published = gbits(subprocess.check_output(arguments, text=True, timeout=60))
    middle, slow = map(
        float, output(engine, folder, "exec", "-T", "client", "python3", "-I", "-c", RESOLVE).split()
    )
    return {
        "to a container, Gbit/s": inside,
        "published port, Gbit/s": published,
        "DNS median, µs": middle,
        "DNS p99, µs": slow,
    }


def measure_endpoints(engine: Engine, folder: Path) -> float:
    """Milliseconds of bringing a network with endpoints up, beyond the same containers without it."""
    times = {}
    for mode in ("none", "network"):
        place = folder.parent / f"{folder.name}-{mode}"
        place.mkdir(exist_ok=True)
        line = ", network_mode: none" if mode == "none" else ""
        services = "".join(
            f'  s{number}: {{image: "{engine.image}", command: sleep 100000, init: true{line}}}\n'
            for number in range(ENDPOINTS)
        )
        (place / "compose.yaml").write_text(f"name: netbench{mode}{engine.name}\nservices:\n{services}")
        begun = time.perf_counter()
        engine.run(place, "up", "-d")
        times[mode] = (time.perf_counter() - begun) * 1000
        engine.run(place, "down", "-t", "0")
    return times["network"] - times["none"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare networks with those of docker compose.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pycompose-bench-") as name:
        folder = Path(name)
        root = make_root(folder)
        add_programs(root)
        environ = {
            "PYCOMPOSE_ROOT": str(folder / "data"),
            "PYCOMPOSE_STATE": str(folder / "state"),
            "PYTHONPATH": str(REPOSITORY),
        }
        engines = [Engine("pycompose", [sys.executable, "-P", "-m", "composer"], f"rootfs:{root}", environ)]
        docker = find_docker(root)
        if docker is None:
            print("docker compose: no engine answers, measuring pycompose alone")
        else:
            engines.append(docker)
        results = run(engines, folder, options.rounds, options.seconds)
    report(engines, results)


def run(engines: list[Engine], folder: Path, rounds: int, seconds: int) -> dict[str, dict[str, list[float]]]:
    """Measurement -> engine -> one figure a round."""
    results: dict[str, dict[str, list[float]]] = {}
    for engine in engines:
        write_stack(engine, folder / engine.name)
    try:
        for engine in engines:
            engine.run(folder / engine.name, "up", "-d")
        for _ in range(rounds):
            for engine in engines:
                for what, value in measure(engine, folder / engine.name, seconds).items():
                    results.setdefault(what, {}).setdefault(engine.name, []).append(value)
    finally:
        for engine in engines:
            engine.run(folder / engine.name, "down", "-t", "0")
    for _ in range(rounds):
        for engine in engines:
            value = measure_endpoints(engine, folder / engine.name)
            results.setdefault(f"network of {ENDPOINTS}, ms", {}).setdefault(engine.name, []).append(value)
    return results


def report(engines: list[Engine], results: dict[str, dict[str, list[float]]]) -> None:
    print(f"{'':24}" + "".join(f"{engine.name:>12}" for engine in engines) + f"{'ratio':>9}")
    for what, values in results.items():
        medians = [statistics.median(values[engine.name]) for engine in engines]
        ratio = f"{medians[0] / medians[1]:8.2f}x" if len(medians) > 1 and medians[1] else ""
        print(f"{what:24}" + "".join(f"{value:12.1f}" for value in medians) + ratio)


if __name__ == "__main__":
    main()
