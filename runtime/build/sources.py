"""Where a build takes files from: its context, additional contexts, other stages, images. One `Tree` for each.

Made in the coordinator, used in every stage's process: what is mounted for one is mounted in that process's own
mount namespace and ends with it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from runtime.build.cache import Layer
from runtime.build.ignore import Matcher
from runtime.build.tree import Tree
from runtime.image.snapshot import SnapshotMount, mount_snapshot, prepare_layer_dir
from runtime.linux.paths import ensure_directory, open_root
from runtime.oci.digest import chain_ids

if TYPE_CHECKING:
    from runtime.build.stage import StageResult


class Sources:
    """`image` brings an image into the store and gives it as a stage's result."""

    def __init__(
        self,
        layers_folder: str,
        space: str,
        context: Tree,
        contexts: Mapping[str, Tree],
        image: "Callable[[str], StageResult]",
    ) -> None:
        self._layers_folder = layers_folder
        self._space = space
        self.context = context
        self._contexts = dict(contexts)
        self._image = image
        self._stages: dict[int, StageResult] = {}
        self._mounted: dict[str, Tree] = {}
        self.nothing = f"{space}/nothing"
        os.makedirs(self.nothing, mode=0o755, exist_ok=True)

    def built(self, number: int, result: "StageResult") -> None:
        """A stage that is finished."""
        self._stages[number] = result

    def stage_key(self, number: int) -> str:
        return self._stages[number].key

    def named_context(self, name: str) -> Tree | None:
        return self._contexts.get(name)

    def stage(self, number: int) -> Tree:
        """The files of a finished stage."""
        return self._of_layers(f"stage {number}", self._stages[number].layers)

    def image(self, name: str) -> Tree:
        """The files of an image. Raises EngineError."""
        return self._of_layers(f"image {name}", self._image(name).layers)

    def _of_layers(self, identity: str, layers: Sequence[Layer]) -> Tree:
        if identity not in self._mounted:
            chains = chain_ids([layer.diff_id for layer in layers])
            lower = [f"{self._layers_folder}/{chain.removeprefix('sha256:')}" for chain in reversed(chains)]
            self._mounted[identity] = Tree(self.overlay(tuple(lower)), keep_owner=True)
        return self._mounted[identity]

    def overlay(self, lower: tuple[str, ...]) -> str:
        """Directories as one that may be written to, without a trace in them; a path in this process."""
        space = f"{self._space}/mount-{os.getpid()}-{os.urandom(4).hex()}"
        root = f"{space}/rootfs"
        os.makedirs(root)
        snapshot = SnapshotMount("/", lower or (self.nothing,), f"{space}/upper", f"{space}/work")
        prepare_layer_dir((snapshot,))
        mount_snapshot((snapshot,), root)
        return root

    def bindable(self, tree: Tree, *, writable: bool) -> str:
        """A directory with just the visible files of a tree, to be mounted into a step."""
        if not tree.ignore and not writable:
            return tree.root
        root = self.overlay((os.path.realpath(tree.root),))
        if tree.ignore:
            _hide(root, tree.ignore)
        return root


def _hide(root: str, ignore: Matcher) -> None:
    """Delete in an overlay what is to be left out of it."""
    import shutil

    for folder, folders, files in os.walk(root, topdown=True):
        prefix = "" if folder == root else f"{folder[len(root) + 1 :]}/"
        for name in files:
            if ignore.excludes(prefix + name):
                os.unlink(f"{folder}/{name}")
        for name in list(folders):
            if ignore.excludes(prefix + name) and not ignore.has_exceptions:
                folders.remove(name)
                if os.path.islink(f"{folder}/{name}"):
                    os.unlink(f"{folder}/{name}")
                else:
                    shutil.rmtree(f"{folder}/{name}")


def ensure_inside(root: str, path: str) -> str:
    """A directory below a root nobody trusts, made where it is missing; its real path."""
    fd = open_root(root)
    try:
        inner = ensure_directory(fd, path)
        try:
            return os.readlink(f"/proc/self/fd/{inner}")
        finally:
            os.close(inner)
    finally:
        os.close(fd)
