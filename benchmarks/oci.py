#!/usr/bin/env python3
"""Times `pycompose-oci run` of `true` against crun and runc, each in its turn: wall and CPU time of whole processes.

    benchmarks/oci.py [--rounds N] [--ours PROGRAM] [--resources JSON]

Needs root, busybox, and crun and runc for a comparison (Debian packages). CPU time is that of all processes and
the number to trust on a busy machine. The goal: at most three times crun's wall time.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--ours", default=str(REPOSITORY / ".venv/bin/pycompose-oci"), help="our command")
    parser.add_argument("--resources", type=json.loads, default={}, help="linux.resources of the bundle")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("oci.py: needs root", file=sys.stderr)
        return 77
    with tempfile.TemporaryDirectory() as folder:
        make_bundle(Path(folder), options.resources)
        runtimes = {"pycompose-oci": [options.ours]}
        for name in ("crun", "runc"):
            path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
            if path:
                runtimes[name] = [path]
        report(measure(runtimes, Path(folder), options.rounds))
    return 0


def make_bundle(folder: Path, resources: dict[str, object]) -> None:
    """The least a container of each runtime needs: busybox, and the mounts of `spec`."""
    sys.path.insert(0, str(REPOSITORY))
    from runtime.oci_cli.spec import plan_spec

    for name in ("bin", "proc", "sys", "dev"):
        (folder / "rootfs" / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "rootfs/bin/busybox")
    (folder / "rootfs/bin/true").symlink_to("busybox")
    spec = plan_spec(rootless=False)
    spec["ociVersion"] = "1.0.2"  # crun 1.8 knows no later one
    spec["process"].update(terminal=False, args=["true"])
    spec["linux"]["resources"].update(resources)
    (folder / "config.json").write_text(json.dumps(spec))


def measure(
    runtimes: dict[str, list[str]], bundle: Path, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """(wall, CPU) in ms of every run, the runtimes taking turns so that all meet the same load."""
    # All in a mount namespace like this one: crun refuses to run where cgroup v1 and v2 stand side by side.
    prepare = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ("nothing", *runtimes)}
    for number in range(rounds + 2):
        for name, command in (("nothing", ["true"]), *runtimes.items()):
            words = [
                "--root",
                str(bundle / name),
                "run",
                "--bundle",
                str(bundle),
                f"bench-{os.getpid()}-{number}",
            ]
            whole = [
                "unshare",
                "-m",
                "sh",
                "-c",
                prepare,
                "sh",
                *command,
                *(words if name != "nothing" else []),
            ]
            before, start = _children_ms(), time.perf_counter()
            subprocess.run(whole, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            wall_ms = (time.perf_counter() - start) * 1000
            if number >= 2:  # the first ones warm caches
                found[name].append((wall_ms, _children_ms() - before))
    return found


def _children_ms() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1000


def report(found: dict[str, list[tuple[float, float]]]) -> None:
    """A table, each without the cost of the measuring itself (`nothing`)."""
    base_wall = statistics.median(wall for wall, _ in found["nothing"])
    base_cpu = statistics.median(cpu for _, cpu in found["nothing"])
    crun = statistics.median(wall for wall, _ in found["crun"]) - base_wall if found.get("crun") else 0.0
    print(f"{'':16}{'wall min':>10}{'wall med':>10}{'CPU med':>10}   ms; median wall as a multiple of crun's")
    for name, runs in found.items():
        if name == "nothing":
            continue
        walls = [wall - base_wall for wall, _ in runs]
        cpu = statistics.median(cpu for _, cpu in runs) - base_cpu
        ratio = f"{statistics.median(walls) / crun:.1f}" if crun else ""
        print(f"{name:16}{min(walls):10.1f}{statistics.median(walls):10.1f}{cpu:10.1f}   {ratio}")


if __name__ == "__main__":
    sys.exit(main())
