"""`commit`: what a container has written becomes a layer upon its image."""

import os
from collections.abc import Sequence

from runtime.errors import UnsupportedError
from runtime.image.changes import parse_changes
from runtime.image.differ import make_layer
from runtime.image.intake import NewLayer, commit, config_document, take_layer, timestamp, workspace
from runtime.image.naming import parse_target
from runtime.image.store import ImageStore, ResolvedImage, encode_json
from runtime.image.stream import chunks


def commit_container(
    store: ImageStore,
    image: ResolvedImage,
    upper: str,
    name: str,
    *,
    changes: Sequence[str] = (),
    author: str = "",
    message: str = "",
) -> str:
    """Make an image of an image and the upper directory of a container upon it; its id. `name` "" = none.

    Raises UnsupportedError for `host:/` and `rootfs:`, which are no layers of the store.
    """
    if image.kind != "layers":
        raise UnsupportedError(
            f"a container of {image.reference} can't become an image: that is no image itself"
        )
    names = [parse_target(name)] if name else []
    manifest = store.manifest(store.find_entry(image.id)["digest"])
    _, document = store.config(manifest)
    with workspace(store) as space:
        os.mkdir(f"{space}/made")
        made = make_layer(upper, f"{space}/made/blob")
        # The container goes on writing to its own directory: the layer is unpacked from the archive just made.
        with open(made.blob, "rb") as file:
            layer = take_layer(chunks(file), f"{space}/1")
        created = timestamp()
        config = {**(document.get("config") or {}), **parse_changes(changes)}
        history = [
            *(document.get("history") or ()),
            {"created": created, "comment": message, "author": author},
        ]
        diff_ids = [*document["rootfs"]["diff_ids"], layer.diff_id]
        out = config_document(config, diff_ids, history, created)
        if author:
            out["author"] = author
        below = [
            NewLayer(item["digest"], item["size"], diff_id, item["mediaType"])
            for item, diff_id in zip(manifest["layers"], document["rootfs"]["diff_ids"], strict=True)
        ]
        return commit(store, names, encode_json(out), [*below, layer])
