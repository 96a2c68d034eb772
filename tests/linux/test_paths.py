"""Paths inside a root, option words, /proc."""

import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest

from runtime.linux import constants as k
from runtime.linux import features, paths, pidfd, procfs, syscalls
from runtime.linux.capabilities import mask_of, names_of
from runtime.linux.mounts import parse_options


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root/real").mkdir(parents=True)
    (tmp_path / "secret").write_text("outside")
    os.symlink("/real", tmp_path / "root/absolute")
    os.symlink("../../../secret", tmp_path / "root/dots")
    os.symlink("/proc/self/root", tmp_path / "root/magic")
    (tmp_path / "root/real/file").write_text("inside")
    return tmp_path / "root"


def test_links_stay_inside(root: Path) -> None:
    fd = paths.open_root(str(root))
    try:
        assert paths.read_in_root(fd, "/absolute/file") == b"inside"
        assert paths.read_in_root(fd, "../../real/file") == b"inside"
        with pytest.raises(FileNotFoundError):
            paths.read_in_root(fd, "dots")
        assert paths.exists_in_root(fd, "absolute")
        assert not paths.exists_in_root(fd, "magic")
        assert not paths.exists_in_root(fd, "real/file/x")
    finally:
        os.close(fd)


def test_making_directories_and_files(root: Path) -> None:
    fd = paths.open_root(str(root))
    try:
        os.close(paths.ensure_directory(fd, "/absolute/a/./b//c"))
        assert (root / "real/a/b/c").is_dir()
        os.close(paths.ensure_file(fd, "absolute/x/y"))
        assert (root / "real/x/y").read_bytes() == b""
        os.close(paths.ensure_file(fd, "/top"))
        os.close(paths.ensure_directory(fd, "/dots/new"))  # what a dangling link names inside is made
        (root / "loop").symlink_to("loop/loop")
        with pytest.raises(OSError, match="symbolic links"):
            paths.ensure_directory(fd, "/loop/new")
        assert sorted(path.name for path in root.parent.iterdir()) == ["root", "secret"]
        assert len(os.listdir("/proc/self/fd")) < 200
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("words", "flags", "data"),
    [
        (["nosuid", "noexec", "ro", "mode=755"], k.MS_NOSUID | k.MS_NOEXEC | k.MS_RDONLY, "mode=755"),
        (["ro", "rw"], 0, ""),
        (["rbind", "noatime"], k.MS_BIND | k.MS_REC | k.MS_NOATIME, ""),
        (["size=1k", "uid=5"], 0, "size=1k,uid=5"),
    ],
)
def test_option_words(words: list[str], flags: int, data: str) -> None:
    options = parse_options(words)
    assert (options.flags, options.data) == (flags, data)


def test_recursive_and_propagation_words() -> None:
    options = parse_options(["rbind", "rro", "rslave"])
    assert options.tree_set == k.MOUNT_ATTR_RDONLY
    assert options.propagation == k.MS_SLAVE | k.MS_REC


def test_mountinfo_escapes() -> None:
    (mount,) = procfs.parse_mountinfo("9 1 0:5 /a\\040b /x\\134y rw shared:1 master:2 - ext4 /dev/a rw,b\n")
    assert (mount.root, mount.target, mount.source) == ("/a b", "/x\\y", "/dev/a")


def test_own_process() -> None:
    pid = os.getpid()
    os.close(pidfd.open_checked(pid, procfs.start_time(pid)))
    with pytest.raises(ProcessLookupError):
        pidfd.open_checked(pid, 1)
    with pytest.raises(ProcessLookupError):
        procfs.start_time(2**22 + 1)
    assert len(procfs.boot_id()) == 36


def test_signal_by_pidfd() -> None:
    process = subprocess.Popen(["sleep", "30"])
    fd = os.pidfd_open(process.pid)
    try:
        assert not pidfd.has_exited(fd)
        assert pidfd.send_signal(fd, signal.SIGTERM)
        assert pidfd.has_exited(fd, 5000)
        assert process.wait(5) == -signal.SIGTERM
        assert not pidfd.send_signal(fd, signal.SIGTERM)
    finally:
        os.close(fd)
        process.kill()
        process.wait()


def test_features_of_this_kernel() -> None:
    assert features.missing_calls() == ()
    assert features.has_namespace("pid")
    assert not features.has_namespace("nosuch")
    assert features.has_filesystem("proc")


def test_capability_masks() -> None:
    assert mask_of(["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"]) == 1 | 1 << 40
    assert names_of(0b11) == ("CAP_CHOWN", "CAP_DAC_OVERRIDE")


def test_errors_name_the_path() -> None:
    with pytest.raises(OSError, match="/nosuch/place") as caught:
        syscalls.umount2("/nosuch/place")
    assert caught.value.errno in (errno.ENOENT, errno.EPERM)


def test_clone3_forks() -> None:
    pid, fd = syscalls.clone3(0)
    if pid == 0:
        os._exit(7)
    try:
        result = os.waitid(os.P_PIDFD, fd, os.WEXITED)
        assert result is not None and (result.si_pid, result.si_status) == (pid, 7)
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)
