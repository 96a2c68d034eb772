"""What a root has on the machine: taken before and after a test and compared."""

import os
import subprocess
from pathlib import Path

from runtime import Paths


class Snapshot:
    """Sets of descriptions of kernel objects that belong to one root."""

    @staticmethod
    def take(paths: Paths) -> set[str]:
        """All processes, mounts, links, cgroups and nft tables that carry the root's name or path."""
        return {
            *_links(paths.root_id),
            *_mounts(paths.data, paths.state),
            *_cgroups(paths.cgroup_parent),
            *_tables(paths.nft_table),
        }


def _links(root_id: str) -> set[str]:
    return {f"link {name}" for name in os.listdir("/sys/class/net") if name[2:6] == root_id}


def _mounts(*folders: str) -> set[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {f"mount {line.split()[4]}" for line in lines if line.split()[4].startswith(folders)}


def _cgroups(parent: str) -> set[str]:
    found = set()
    base = Path("/sys/fs/cgroup")
    # The base itself on a pure v2 machine, one folder per hierarchy on the others.
    for top in (base, *base.glob("*")):
        folder = top / parent
        for inner in [folder, *folder.glob("*")]:
            try:
                processes = (inner / "cgroup.procs").read_text().split()
            except OSError:
                continue  # not there, or gone this moment
            found.add(f"cgroup {inner} with processes {processes}")
    return found


def _tables(name: str) -> set[str]:
    answer = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    return {f"nft {line}" for line in answer.stdout.splitlines() if line.split()[-1] == name}
