"""Makes what a container mounts ready, in a mount namespace of its own: volumes, subpaths, images, shared trees.

A path below a volume or an image is not trusted. It is opened once, inside its root, and what was opened is mounted in
a folder of the container's own; from there it is bound, whatever becomes of the path.
"""

import errno
import os
import stat
from collections.abc import Mapping

from runtime.errors import InvalidError, StartError
from runtime.image.snapshot import mount_read_only
from runtime.image.store import ResolvedImage
from runtime.linux import constants as k
from runtime.linux import paths, syscalls
from runtime.oci.container_spec import MountRequest
from runtime.store.paths import Paths
from runtime.volume.store import VolumeStore

_SHARED = ("shared", "rshared")


class Sources:
    """The sources of one container's mounts. `hold_shared` before the namespace is cut off, `prepare` after.

    `images` are those that are mounted, by reference.
    """

    def __init__(
        self,
        roots: Paths,
        container_id: str,
        mounts: tuple[MountRequest, ...],
        images: Mapping[str, ResolvedImage],
    ) -> None:
        self._container_id = container_id
        self._mounts = mounts
        self._images = images
        self._rootfs = f"{roots.container(container_id)}/rootfs"
        self._volumes = VolumeStore(roots)
        self._folder = f"{roots.container(container_id)}/sources"
        self._held: dict[int, int] = {}

    def hold_shared(self) -> None:
        """Take the trees that are to stay peers of the host's (propagation shared): what the container mounts there
        appears on the host as well.
        """
        for number, request in enumerate(self._mounts):
            if request.type == "bind" and request.propagation in _SHARED:
                _ensure_source(request)
                self._held[number] = _clone(k.AT_FDCWD, request.source, recursive=True)

    def prepare(self) -> tuple[MountRequest, ...]:
        """The requests with sources that are there. Raises StartError, InvalidError, OSError."""
        return tuple(self._prepare(number, request) for number, request in enumerate(self._mounts))

    def _prepare(self, number: int, request: MountRequest) -> MountRequest:
        if number in self._held:
            return request._replace(source=self.place(str(number), self._held.pop(number)))
        if request.type == "bind":
            _ensure_source(request)
        elif request.type == "volume":
            return self._prepare_volume(number, request)
        elif request.type == "image":
            return self._prepare_image(number, request)
        return request

    def _prepare_volume(self, number: int, request: MountRequest) -> MountRequest:
        name = os.path.basename(os.path.dirname(request.source))
        self._volumes.prepare(
            name,
            self._rootfs,
            request.target,
            copy=not (request.nocopy or request.subpath),
            container_id=self._container_id,
        )
        return self._below(number, request, request.source, f"volume {name}")

    def _prepare_image(self, number: int, request: MountRequest) -> MountRequest:
        folder = f"{self._folder}/image-{number}"
        os.makedirs(folder, mode=0o700, exist_ok=True)
        mount_read_only(self._images[request.source], folder)
        request = request._replace(read_only=True, recursive="")
        return self._below(number, request, folder, f"image {request.source}")._replace(type="bind")

    def _below(self, number: int, request: MountRequest, root: str, what: str) -> MountRequest:
        """The request for `subpath` below `root`, which may have links that lead astray."""
        if not request.subpath:
            return request._replace(source=root)
        root_fd = paths.open_root(root)
        try:
            opened = paths.open_in_root(root_fd, request.subpath, paths.O_PATH)
            try:
                tree = _clone(opened, "", recursive=True)
            finally:
                os.close(opened)
        except OSError as error:
            raise StartError(
                f"cannot mount {request.subpath!r} of {what}: {error.strerror}",
                step="open subpath",
                errno=error.errno or 0,
                hint="it has to be there, inside, when the container starts"
                if error.errno == errno.ENOENT
                else "",
            ) from error
        finally:
            os.close(root_fd)
        return request._replace(source=self.place(str(number), tree))

    def place(self, name: str, tree: int) -> str:
        """Mount a detached tree in a place of its own, whose path is returned; closes the tree. Raises OSError."""
        place = f"{self._folder}/{name}"
        try:
            if stat.S_ISDIR(os.fstat(tree).st_mode):
                os.makedirs(place, mode=0o700, exist_ok=True)
            else:
                os.makedirs(self._folder, mode=0o700, exist_ok=True)
                os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            syscalls.move_mount(tree, "", k.AT_FDCWD, place, k.MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            os.close(tree)
        return place


def _clone(directory: int, path: str, *, recursive: bool) -> int:
    flags = k.OPEN_TREE_CLONE | (k.AT_RECURSIVE if recursive else 0) | (0 if path else k.AT_EMPTY_PATH)
    return syscalls.open_tree(directory, path, flags)


def _ensure_source(request: MountRequest) -> None:
    if request.create_host_path and not os.path.exists(request.source):
        try:
            os.makedirs(request.source, exist_ok=True)
        except OSError as error:
            raise InvalidError(
                f"cannot make the bind source {request.source}: {error.strerror}",
                hint="make it yourself, or correct the path",
            ) from error
