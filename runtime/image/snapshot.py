"""A container's root file system: which overlays it is made of, and mounting them (overlayfs).

Planning is pure; `prepare_layer_dir` makes the writable directories, `mount_snapshot` mounts in the
caller's mount namespace. On the start path.
"""

import errno
import os
import stat
from contextlib import suppress
from typing import NamedTuple

from runtime.errors import StartError, UnsupportedError
from runtime.image.store import ResolvedImage
from runtime.linux import syscalls
from runtime.linux.constants import (
    MS_BIND,
    MS_RDONLY,
    MS_REMOUNT,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_SYMLINKS,
)

_O_PATH = 0x200000
# mount(2) takes one page of options, its NUL included.
_MAX_OPTIONS_BYTES = 4095
_HOST_PARTS = 2  # the skeleton and the mask of /etc come before the host's own directories


class SnapshotMount(NamedTuple):
    """One overlay. `target` is a path inside the root, "/" for the root itself; `lower` has the topmost
    first.
    """

    target: str
    lower: tuple[str, ...]
    upper: str
    work: str


def plan_snapshot(image: ResolvedImage, layer_dir: str, *, base: str = "") -> tuple[SnapshotMount, ...]:
    """The overlays of a container, in the order they are mounted. `layer_dir` holds what it writes. Pure.

    `base` (`ensure_base`) lies below an image's layers, which may hide what it has; `host:/` needs none.
    """
    if image.kind != "host":
        lower = (*reversed(image.layers), base) if base else tuple(reversed(image.layers))
        return (_overlay("/", lower, layer_dir),)
    skeleton, mask = image.layers[:_HOST_PARTS]
    mounts = [_overlay("/", (skeleton,), layer_dir)]
    for directory in image.layers[_HOST_PARTS:]:
        lower = (mask, directory) if directory == "/etc" else (directory,)
        mounts.append(_overlay(directory, lower, layer_dir))
    return tuple(mounts)


def _overlay(target: str, lower: tuple[str, ...], layer_dir: str) -> SnapshotMount:
    base = f"{layer_dir}/{target.strip('/').replace('/', '-') or 'root'}"
    return SnapshotMount(target, lower, f"{base}/upper", f"{base}/work")


def ensure_base(path: str) -> str:
    """The directory with what every container has unless its image has it: what Docker gives one. Raises OSError.

    /.dockerenv, by which programs see that they are in a container, and /etc/mtab, which older ones read.
    """
    last = f"{path}/etc/mtab"
    if not os.path.lexists(last):
        # Several shims may do this at the same time, and each mounts it when all is there.
        for folder in (path, f"{path}/etc"):
            os.makedirs(folder, exist_ok=True)
            os.chmod(folder, 0o755)
        fd = os.open(f"{path}/.dockerenv", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o755)
        os.fchmod(fd, 0o755)  # whatever the caller's umask
        os.close(fd)
        with suppress(FileExistsError):
            os.symlink("/proc/mounts", last)
    return path


def prepare_layer_dir(mounts: tuple[SnapshotMount, ...]) -> None:
    """Makes the upper and work directories; what is there already stays. Raises OSError.

    An overlay's root has the owner and mode of its upper directory, which therefore gets those of the
    lower one.
    """
    for mount in mounts:
        os.makedirs(mount.work, mode=0o700, exist_ok=True)
        try:
            os.mkdir(mount.upper, 0o700)
        except FileExistsError:
            continue
        like = os.stat(mount.lower[0])
        os.chown(mount.upper, like.st_uid, like.st_gid)
        os.chmod(mount.upper, stat.S_IMODE(like.st_mode))


def mount_read_only(image: ResolvedImage, target: str) -> None:
    """Mounts an image's file system at `target` for reading. Raises StartError, UnsupportedError for `host:/`."""
    if image.kind == "host":
        raise UnsupportedError(f"{image.reference} cannot be mounted into a container", hint="bind / instead")
    mount = SnapshotMount("/", tuple(reversed(image.layers)), "", "")
    try:
        if len(mount.lower) == 1:
            syscalls.mount(mount.lower[0], target, None, MS_BIND, None)
            syscalls.mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY, None)
        else:
            _mount_overlay(mount, target, volatile=False)
    except OSError as error:
        raise _mount_error(mount, error) from error


def mount_snapshot(mounts: tuple[SnapshotMount, ...], rootfs: str, *, volatile: bool = False) -> None:
    """Mounts a prepared snapshot at `rootfs`, which exists. Raises StartError, UnsupportedError.

    `volatile` leaves out syncing when it is unmounted: after a power cut the writable layer is lost.
    """
    for mount in mounts:
        try:
            if volatile:
                _forget_volatile(mount.work)
            if mount.target == "/":
                _mount_overlay(mount, rootfs, volatile)
            else:
                _mount_below(mount, rootfs, volatile)
        except OSError as error:
            raise _mount_error(mount, error) from error


def _mount_below(mount: SnapshotMount, rootfs: str, volatile: bool) -> None:
    """The root's writable layer is the container's to change: no link in it may lead the mount elsewhere."""
    root = os.open(rootfs, _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = _O_PATH | os.O_DIRECTORY
        target = syscalls.openat2(root, mount.target, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)
    finally:
        os.close(root)
    try:
        _mount_overlay(mount, f"/proc/self/fd/{target}", volatile)
    finally:
        os.close(target)


def _mount_overlay(mount: SnapshotMount, target: str, volatile: bool) -> None:
    opened: list[int] = []
    try:
        options = overlay_options(mount, mount.lower, volatile=volatile)
        if len(os.fsencode(options)) > _MAX_OPTIONS_BYTES:
            # Many layers: descriptors have shorter names than digests.
            opened += [os.open(path, _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in mount.lower]
            short = tuple(f"/proc/self/fd/{fd}" for fd in opened)
            options = overlay_options(mount, short, volatile=volatile)
        syscalls.mount("overlay", target, "overlay", 0, options)
    finally:
        for fd in opened:
            os.close(fd)


def overlay_options(mount: SnapshotMount, lower: tuple[str, ...], *, volatile: bool = False) -> str:
    """The option string of mount(2), with the separators in paths escaped. Pure."""
    text = "lowerdir=" + ":".join(_escape(path, ":,\\") for path in lower)
    if not mount.upper:
        return text
    text += f",upperdir={_escape(mount.upper, ',' + chr(92))},workdir={_escape(mount.work, ',' + chr(92))}"
    return text + (",volatile" if volatile else "")


def _escape(path: str, special: str) -> str:
    return "".join("\\" + char if char in special else char for char in path)


def _forget_volatile(work: str) -> None:
    """overlayfs refuses a layer that was mounted volatile before; ours are only used again after a stop."""
    for path in (f"{work}/work/incompat/volatile/dirty", f"{work}/work/incompat/volatile"):
        try:
            os.rmdir(path) if os.path.isdir(path) else os.unlink(path)
        except FileNotFoundError:
            pass


def _mount_error(mount: SnapshotMount, error: OSError) -> StartError | UnsupportedError:
    number = error.errno or 0
    what = f"cannot mount the overlay for {mount.target}: {error.strerror}"
    if number == errno.ENODEV:
        return UnsupportedError(what, hint="the kernel has no overlayfs: load the module `overlay`")
    hint = ""
    if number == errno.EINVAL:
        hint = "the data directory must be on a file system that overlayfs can write to: no overlay, no NFS"
    elif number == errno.ENOENT:
        hint = f"one of these is missing: {', '.join((*mount.lower, mount.upper))}"
    return StartError(what, step=f"mount overlay {mount.target}", errno=number, hint=hint)
