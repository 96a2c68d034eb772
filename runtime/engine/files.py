"""The root file system of a container, running or not, as a directory to work in.

A running program's is the one it sees (/proc/PID/root). That of a stopped container is mounted, with its volumes, by a
child in a mount namespace of its own, which ends with the work. What is in it is never trusted: paths inside are
resolved by `linux.paths`.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime.errors import NotFoundError, StateError, UnsupportedError
from runtime.image.snapshot import (
    SnapshotMount,
    ensure_base,
    mount_snapshot,
    plan_snapshot,
    prepare_layer_dir,
)
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.linux.paths import O_PATH, ensure_directory, ensure_file, mount_path, open_in_root, open_root
from runtime.linux.pidfd import open_checked
from runtime.oci.container_spec import MountRequest

if TYPE_CHECKING:
    from runtime.engine.containers import Container
    from runtime.engine.engine import Engine
    from runtime.shim.sources import Sources


@contextmanager
def container_root(engine: "Engine", container: "Container", *, mounts: bool) -> Iterator[int]:
    """A descriptor (O_PATH) of a container's root directory, with its volumes and other mounts or without.

    The caller holds the project's lock where the container does not run, so that nobody starts it meanwhile.
    Raises StateError for a container between two runs of its program, UnsupportedError for one that runs with ids of
    its own, OSError, EngineError.
    """
    live = container.live
    rootfs = f"{engine.paths.container(container.id)}/rootfs"
    if live is None:
        with _mounted(engine, container, mounts=mounts) as root:
            yield root
        return
    if container.spec.id_range:
        raise UnsupportedError(
            f"container {container.name} has ids of its own (userns_mode), which files from outside do not have",
            hint="stop it first, use a volume, or `exec` with tar in the container",
        )
    if not live.pid:
        raise StateError(f"container {container.name} is restarting", hint="try again in a moment")
    # The pidfd proves that the pid is still that of the program when the directory has been opened.
    pidfd = open_checked(live.pid, live.pid_start)
    try:
        root = open_root(f"/proc/{live.pid}/root" if mounts else f"/proc/{live.shim_pid}/root{rootfs}")
        try:
            signal.pidfd_send_signal(pidfd, 0)
            yield root
        finally:
            os.close(root)
    finally:
        os.close(pidfd)


@contextmanager
def _mounted(engine: "Engine", container: "Container", *, mounts: bool) -> Iterator[int]:
    from runtime.engine.starting import mounted_images, stored_image, stored_mounts
    from runtime.shim.sources import Sources

    row = engine.database.row("SELECT * FROM containers WHERE id = ?", container.id)
    if row is None:
        raise NotFoundError(f"container {container.name} was removed by another command")
    engine.containers.repair(container.id)
    layer = f"{engine.paths.container(container.id)}/layer"
    snapshot = plan_snapshot(stored_image(engine, row), layer, base=ensure_base(engine.paths.base))
    wanted = stored_mounts(engine, container.id, container.spec) if mounts else ()
    images = mounted_images(engine, container.spec) if mounts else {}
    sources = Sources(engine.paths, container.id, wanted, images)
    rootfs = f"{engine.paths.container(container.id)}/rootfs"
    ready_reader, ready_writer = os.pipe2(os.O_CLOEXEC)
    hold_reader, hold_writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.close(hold_writer)
        _hold(snapshot, rootfs, sources, ready_writer, hold_reader)
    try:
        os.close(ready_writer)
        os.close(hold_reader)
        with open(ready_reader) as answer:
            failure = answer.read()
        if failure != "ready":
            raise StateError(f"container {container.name}: {failure or 'its files cannot be mounted'}")
        root = open_root(f"/proc/{pid}/root{rootfs}")
        try:
            yield root
        finally:
            os.close(root)
    finally:
        os.close(hold_writer)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass  # where SIGCHLD is ignored the kernel reaps


def _hold(
    snapshot: tuple[SnapshotMount, ...],
    rootfs: str,
    sources: "Sources",
    ready: int,
    hold: int,
) -> None:
    """Mount, say so, and keep it until the other side has finished. Never returns."""
    try:
        syscalls.unshare(k.CLONE_NEWNS)
        syscalls.mount(None, "/", None, k.MS_REC | k.MS_SLAVE, None)
        prepare_layer_dir(snapshot)
        mount_snapshot(snapshot, rootfs)
        _mount_all(sources, rootfs)
        os.write(ready, b"ready")
        os.close(ready)
        os.read(hold, 1)
    except BaseException as error:
        os.write(ready, str(error).encode()[:4096])
    finally:
        os._exit(0)


def _mount_all(sources: "Sources", rootfs: str) -> None:
    """Volumes, images and binds, as a start mounts them; what is on a tmpfs ended with the program."""
    mounts = sources.prepare()
    root = open_root(rootfs)
    try:
        for mount in sorted(mounts, key=lambda mount: mount.target.count("/")):
            if mount.type in ("volume", "bind") and os.path.exists(mount.source):
                _bind(root, mount)
    finally:
        os.close(root)


def _bind(root: int, mount: MountRequest) -> None:
    ensure = ensure_directory if os.path.isdir(mount.source) else ensure_file
    target = ensure(root, mount.target)
    try:
        syscalls.mount(mount.source, mount_path(target), None, k.MS_BIND | k.MS_REC, None)
    finally:
        os.close(target)
    if mount.read_only:
        # The mount just made is what its target now leads to.
        placed = open_in_root(root, mount.target, O_PATH)
        try:
            syscalls.mount(None, mount_path(placed), None, k.MS_REMOUNT | k.MS_BIND | k.MS_RDONLY, None)
        finally:
            os.close(placed)
