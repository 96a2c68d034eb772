"""Layers that steps have just made: archived in the background, then given their places and cache records."""

import json
import os
from collections.abc import Sequence
from typing import Any

from runtime.build.cache import BuildCache, Layer
from runtime.errors import EngineError
from runtime.image.intake import NewLayer
from runtime.image.store import ImageStore, sync_directory, sync_file_systems
from runtime.image.workers import die_with, preserve, revive
from runtime.oci.digest import chain_ids


class PendingLayer:
    """An upper directory that a child is archiving. `wait` tells what came of it."""

    def __init__(self, directory: str, *, latest: int | None) -> None:
        self.directory = directory
        self._reader, writer = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _archive(directory, latest, writer, parent)
        os.close(writer)

    def wait(self) -> NewLayer:
        """Raises EngineError."""
        with os.fdopen(self._reader, "rb") as stream:
            data = stream.read()
        os.waitpid(self._pid, 0)
        if not data:
            raise EngineError("the process that archived a layer died", hint="is there enough memory?")
        message = json.loads(data)
        if "error" in message:
            raise revive(message)
        return NewLayer(**{**message, "implied": ()})


def _archive(directory: str, latest: int | None, writer: int, parent: int) -> None:
    try:
        die_with(parent)
        from runtime.image.differ import make_layer

        try:
            message = make_layer(directory, f"{directory}.blob", latest=latest)._asdict()
        except BaseException as error:
            message = preserve(error)
        with os.fdopen(writer, "wb") as stream:
            stream.write(json.dumps(message).encode())
    finally:
        os._exit(0)


def is_empty(directory: str) -> bool:
    """Whether an upper directory changes nothing."""
    with os.scandir(directory) as entries:
        if next(entries, None) is not None:
            return False
    try:
        return os.getxattr(directory, "trusted.overlay.opaque") != b"y"
    except OSError:
        return True


def settle(
    store: ImageStore,
    items: Sequence[Layer | PendingLayer],
    cache: BuildCache,
    records: Sequence[tuple[str, dict[str, Any], int]],
) -> list[Layer]:
    """Wait for all layers, rename them into their places and keep the records of the steps that made them.

    A record is (key, fields, number of its layer or -1); one without a layer says in "after" how many come before.
    """
    new = {n: item.wait() for n, item in enumerate(items) if isinstance(item, PendingLayer)}
    layers = [Layer.of(new[n]) if isinstance(item, PendingLayer) else item for n, item in enumerate(items)]
    diff_ids = [layer.diff_id for layer in layers]
    chains = chain_ids(diff_ids)
    sync_file_systems({os.path.dirname(layer.directory) for layer in new.values()})
    with store.locked():
        for number, layer in new.items():
            target = f"{store.paths.layers}/{chains[number].removeprefix('sha256:')}"
            blob = store.blob(layer.digest)
            os.makedirs(os.path.dirname(blob), mode=0o700, exist_ok=True)
            if not os.path.exists(blob):
                os.rename(layer.blob, blob)
            if not os.path.exists(target):
                os.rename(layer.directory, target)
        if new:
            sync_directory(store.paths.layers)
            sync_directory(os.path.dirname(store.blob(layers[0].digest)))
        # The records keep the layers from being collected: they are written before the lock is given back.
        for key, fields, number in records:
            length = number + 1 if number >= 0 else fields.pop("after")
            layer_fields = list(layers[number]) if number >= 0 else None
            cache.keep(key, {**fields, "layer": layer_fields, "chain": diff_ids[:length]})
    return layers
