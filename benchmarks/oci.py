#!/usr/bin/env python3
"""Times `pycompose-oci run` of `true` against crun and runc, each in its turn: wall and CPU time of whole processes.
Then create and start inside a running process, as the shim does them, against crun's two commands.

    benchmarks/oci.py [--rounds N] [--ours PROGRAM] [--resources JSON]

Needs root, busybox, and crun and runc for a comparison (Debian packages). CPU time is that of all processes and
the number to trust on a busy machine. The goals: at most three times crun's wall time, in-process at most twice.
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

# In a mount namespace like this one: crun refuses to run where cgroup v1 and v2 stand side by side.
PRIVATE = ["unshare", "-m", "sh", "-c"]
WITHOUT_HYBRID = "umount /sys/fs/cgroup/unified 2>/dev/null; "


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
        if "crun" in runtimes:
            report_in_process(Path(folder), runtimes["crun"], options.rounds)
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
                *PRIVATE,
                f'{WITHOUT_HYBRID} exec "$@"',
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


def report_in_process(bundle: Path, crun: list[str], rounds: int) -> None:
    """Create and start: in this process, and by `crun create && crun start`; wall time without what comes after."""
    ours, theirs, nothing = [], [], []
    for number in range(rounds + 2):
        identity = f"bench-{os.getpid()}-in-{number}"
        ours.append(start_in_process(bundle, identity))
        root = [*crun, "--root", str(bundle / "crun")]
        both = '"$@" create --bundle "$BUNDLE" "$ID" && "$@" start "$ID"'
        theirs.append(_shell_ms(both, root, bundle, identity))
        _shell_ms('"$@" delete --force "$ID"', root, bundle, identity)
        nothing.append(_shell_ms('"$@" && "$@"', ["true"], bundle, identity))
    mine = statistics.median(ours[2:])
    crun_ms = statistics.median(theirs[2:]) - statistics.median(nothing[2:])
    print(f"create + start  in-process {mine:.1f} ms, crun {crun_ms:.1f} ms: {mine / crun_ms:.1f} times")


def start_in_process(bundle: Path, identity: str) -> float:
    """Create and start a container with everything imported, wait for it, remove it: ms until it was started."""
    from runtime.container.bundle import load_bundle
    from runtime.container.create import Options, create_container
    from runtime.container.delete import remove_container
    from runtime.container.oci_start import start_now

    start = time.perf_counter()
    settings = Options(root=str(bundle / "in-process"), bundle=str(bundle))
    created = create_container(load_bundle(str(bundle), ""), identity, settings, waiting=False)
    start_now(created)
    started_ms = (time.perf_counter() - start) * 1000
    os.waitpid(created.record.pid, 0)
    remove_container(created.directory, created.record)
    os.close(created.pidfd)
    return started_ms


def _shell_ms(script: str, command: list[str], bundle: Path, identity: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [*PRIVATE, WITHOUT_HYBRID + script, "sh", *command],
        check=True,
        env={**os.environ, "BUNDLE": str(bundle), "ID": identity},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    sys.exit(main())
