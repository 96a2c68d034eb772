"""A container whose ids are others on the host (`userns_mode: auto`): its mounts, and the start of its program.

Nothing on disk is of those ids. Layers, volumes and binds are mounted with their owners mapped (mount_setattr(2),
MOUNT_ATTR_IDMAP), so that they keep the container's own numbers, whatever range it gets the next time. The user
namespace is the shim's to keep, like the network namespace that belongs to it; `bundled` starts the program in both.
Used by a builder; loaded only for a container that wants it.
"""

import errno
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from runtime.errors import UnsupportedError
from runtime.image.snapshot import SnapshotMount, mount_snapshot
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.oci.container_spec import MountRequest
from runtime.oci.user_mapping import IdRange
from runtime.shim.sources import Sources

_LAYERS_HINT = "it takes Linux 5.19 and a file system such as ext4, xfs or btrfs; leave out userns_mode"


def mount_remapped(
    snapshot: Sequence[SnapshotMount],
    rootfs: str,
    sources: Sources,
    ids: IdRange,
    user_namespace: int,
    warnings: list[str],
) -> tuple[MountRequest, ...]:
    """Mount the root file system and make the mounts ready, all with their owners mapped.

    Raises UnsupportedError for a file system that cannot, StartError, OSError.
    """
    # Volumes are filled from a root that shows the numbers on disk.
    mount_snapshot(tuple(snapshot), rootfs)
    requests = sources.prepare()
    syscalls.umount2(rootfs, k.MNT_DETACH)
    mapped = [
        _map_layers(mount, f"layers-{number}", sources, user_namespace)
        for number, mount in enumerate(snapshot)
    ]
    with _as_root_of(ids):
        mount_snapshot(tuple(mapped), rootfs)
    return tuple(
        _map_request(number, request, sources, user_namespace, warnings)
        for number, request in enumerate(requests)
    )


@contextmanager
def _as_root_of(ids: IdRange) -> Iterator[None]:
    """With the ids of the container's root and all capabilities of our own.

    overlayfs makes its working directory, and later every copy, as whoever mounts it, and an idmapped mount has no
    owner for files of anybody else's.
    """
    effective, permitted, inheritable = syscalls.capget()
    os.setresgid(-1, ids.first, -1)
    os.setresuid(-1, ids.first, -1)
    try:
        syscalls.capset(effective, permitted, inheritable)
        yield
    finally:
        os.setresuid(-1, 0, -1)
        os.setresgid(-1, 0, -1)
        # Which a change of credentials has taken away: a builder dies with its shim.
        syscalls.prctl(k.PR_SET_PDEATHSIG, signal.SIGKILL)


def _map_layers(mount: SnapshotMount, name: str, sources: Sources, user_namespace: int) -> SnapshotMount:
    """The overlay of the same directories, by mounts of them that have their owners mapped."""
    lower = []
    for number, layer in enumerate(mount.lower):
        lower.append(sources.place(f"{name}-{number}", _mapped_layer(layer, user_namespace)))
    # Both in one mount: overlayfs moves files from the one to the other.
    writable = os.path.dirname(mount.upper)
    place = sources.place(f"{name}-writable", _mapped_layer(writable, user_namespace))
    return SnapshotMount(mount.target, tuple(lower), f"{place}/upper", f"{place}/work")


def _mapped_layer(path: str, user_namespace: int) -> int:
    try:
        return _mapped(path, user_namespace)
    except OSError as error:
        raise UnsupportedError(
            f"the owners of {path} cannot be mapped (idmapped mount): {error.strerror}", hint=_LAYERS_HINT
        ) from error


def _map_request(
    number: int, request: MountRequest, sources: Sources, user_namespace: int, warnings: list[str]
) -> MountRequest:
    """The request for a mount of the same tree that has its owners mapped.

    A folder of the host on a file system that cannot (procfs, some networks') stays as it is, which is told; a
    volume's content would change hands, so that is refused.
    """
    if request.type == "tmpfs":
        return request
    try:
        tree = _mapped(request.source, user_namespace, recursive=request.recursive != "disabled")
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP):
            raise
        if request.type == "volume":
            raise UnsupportedError(
                f"the owners of the volume at {request.target} cannot be mapped (idmapped mount): {error.strerror}",
                hint="its file system, or one mounted below it, does not know how; leave out userns_mode",
            ) from error
        warnings.append(
            f"{request.target}: the owners in {request.source} cannot be mapped ({error.strerror}):"
            " inside, its files belong to nobody"
        )
        return request
    return request._replace(source=sources.place(f"mapped-{number}", tree))


def _mapped(path: str, user_namespace: int, *, recursive: bool = False) -> int:
    """A detached mount of a tree with its owners mapped. Raises OSError."""
    below = k.AT_RECURSIVE if recursive else 0
    tree = syscalls.open_tree(k.AT_FDCWD, path, k.OPEN_TREE_CLONE | below)
    try:
        syscalls.mount_setattr(
            tree, "", k.AT_EMPTY_PATH | below, attr_set=k.MOUNT_ATTR_IDMAP, userns_fd=user_namespace
        )
    except BaseException:
        os.close(tree)
        raise
    return tree
