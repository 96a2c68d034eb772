"""Copying between two roots when one side gives up."""

import os
import subprocess
from pathlib import Path

import pytest

from runtime.engine.transfer import Location, copy_files

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a full file system is a tmpfs of its own")


def children() -> set[str]:
    """This process's children: other tests may have left servers running."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_a_full_target_ends_the_copy(tmp_path: Path) -> None:
    """The writer has more to say than a pipe holds, and must not wait for a reader that has given up."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    for number in range(8):
        (source / str(number)).write_bytes(b"x" * (1 << 20))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", target], check=True)
    before = children()
    roots = [os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in (source, target)]
    try:
        with pytest.raises(Exception, match="No space left"):
            copy_files(Location(roots[0], "/."), Location(roots[1], "/"))
        assert children() == before
    finally:
        for root in roots:
            os.close(root)
        subprocess.run(["umount", target], check=True)
