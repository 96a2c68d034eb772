"""What the layers of an image hold, as an overlay of them would show it."""

import os
import stat
from pathlib import Path

import pytest

from runtime.image.lookup import MergedTree
from runtime.image.snapshot import SnapshotMount, mount_snapshot, prepare_layer_dir
from runtime.linux import syscalls
from runtime.linux.constants import CLONE_NEWNS

LINES = {
    "/bin/sh": True,
    "/sh": True,
    "/usr/bin/tool": True,
    "/usr/bin/gone": False,
    "/opaque/new": True,
    "/opaque/old": False,
    "/usr/bin/../bin/tool": True,
    "/bin/sh/x": False,
    "/loop": False,
    "/escape": True,
    "/nope/tool": False,
    "/part/inner": True,
    "/part/hidden": False,
    "/back/tool": True,
}


@pytest.fixture
def mounts(tmp_path: Path) -> tuple[SnapshotMount, ...]:
    """Two layers and a part of its own below /part."""
    if os.geteuid() != 0:
        pytest.skip("whiteouts are devices: needs root")
    lower, upper, part = (tmp_path / name for name in ("lower", "upper", "part"))
    for folder in (
        lower / "usr/bin",
        lower / "opaque",
        lower / "part",
        upper / "usr/bin",
        upper / "opaque",
        part,
    ):
        folder.mkdir(parents=True)
    for file in ("lower/usr/bin/tool", "lower/usr/bin/gone", "lower/opaque/old", "lower/part/hidden",
                 "upper/opaque/new", "upper/usr/bin/sh", "part/inner"):  # fmt: skip
        (tmp_path / file).write_text("")
    os.mknod(upper / "usr/bin/gone", stat.S_IFCHR, 0)
    os.setxattr(upper / "opaque", "trusted.overlay.opaque", b"y")
    (lower / "bin").symlink_to("usr/bin")
    (lower / "sh").symlink_to("/bin/sh")
    (lower / "loop").symlink_to("loop")
    (lower / "escape").symlink_to("../../../../usr/bin/tool")
    (part / "up").symlink_to("..")
    (upper / "back").symlink_to("/part/up/usr/bin")
    layers = tmp_path / "layers"
    return (
        SnapshotMount("/", (str(upper), str(lower)), f"{layers}/root/upper", f"{layers}/root/work"),
        SnapshotMount("/part", (str(part),), f"{layers}/part/upper", f"{layers}/part/work"),
    )


@pytest.mark.parametrize("path", LINES)
def test_lookup(mounts: tuple[SnapshotMount, ...], path: str) -> None:
    assert MergedTree(mounts).may_hold(path) is LINES[path]


def test_the_kernel_agrees(mounts: tuple[SnapshotMount, ...], tmp_path: Path) -> None:
    root = tmp_path / "mounted"
    root.mkdir()
    prepare_layer_dir(mounts)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            syscalls.unshare(CLONE_NEWNS)
            syscalls.mount(None, "/", None, 0x44000, None)
            mount_snapshot(mounts, str(root))
            os.chroot(root)
            code = 0 if {path: os.path.exists(path) for path in LINES} == LINES else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_mounts_bring_is_unknown(mounts: tuple[SnapshotMount, ...]) -> None:
    tree = MergedTree(mounts, ["/opaque/", "/usr/bin/plugin"])
    assert tree.may_hold("/opaque/anything")
    assert tree.may_hold("/bin/plugin")
    assert not tree.may_hold("/bin/other")
