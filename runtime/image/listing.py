"""What `image ls`, `inspect` and `history` tell of the store's images."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime.image.store import ORIGINAL, SOURCE, ImageStore, name_of, size_of
from runtime.oci.reference import parse_reference


class ImageSummary(NamedTuple):
    """One image; `references` and `digests` are short forms, empty for an image without a name."""

    id: str
    references: tuple[str, ...]
    created: str  # RFC 3339
    size_bytes: int  # of the blobs
    digests: tuple[str, ...] = ()
    platform: str = ""
    labels: Mapping[str, str] = {}


class HistoryRow(NamedTuple):
    """One step that made an image, the last first. `size_bytes` is that of the layer's blob."""

    created: str
    created_by: str
    size_bytes: int
    comment: str
    empty: bool


def list_images(store: ImageStore) -> list[ImageSummary]:
    """All images, the newest first."""
    found: dict[str, ImageSummary] = {}
    for entry in store.entries():
        manifest = store.manifest(entry["digest"])
        digest, document = store.config(manifest)
        known = found.get(digest) or ImageSummary(
            digest,
            (),
            str(document.get("created", "")),
            size_of(manifest),
            platform=f"{document.get('os', '')}/{document.get('architecture', '')}",
            labels=(document.get("config") or {}).get("Labels") or {},
        )
        found[digest] = known._replace(
            references=tuple(sorted({*known.references, *_names(entry)})),
            digests=tuple(sorted({*known.digests, *_digests(entry)})),
        )
    return sorted(found.values(), key=lambda image: image.created, reverse=True)


def _names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    name = name_of(entry)
    return (parse_reference(name).familiar,) if name else ()


def _digests(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """NAME@DIGEST, as the registry it came from or went to knows it."""
    source = entry.get("annotations", {}).get(SOURCE)
    name = name_of(entry)
    if not source or not name:
        return ()
    return (parse_reference(name)._replace(tag="", digest=source).familiar,)


def inspect_image(store: ImageStore, reference: str) -> dict[str, Any]:
    """What `image inspect` prints, with the reference engine's field names. Raises NotFoundError."""
    entry = store.find_entry(reference)
    digest, document = store.config(store.manifest(entry["digest"]))
    summary = next(image for image in list_images(store) if image.id == digest)
    history = document.get("history") or [{}]
    return {
        "Id": digest,
        "RepoTags": [name for name in summary.references if "@" not in name],
        "RepoDigests": list(summary.digests),
        "Comment": str(history[-1].get("comment", "")),
        "Created": summary.created,
        "Author": document.get("author", ""),
        "Architecture": document.get("architecture", ""),
        "Variant": document.get("variant", ""),
        "Os": document.get("os", ""),
        "Size": summary.size_bytes,
        "Manifest": entry["digest"],
        "OriginalManifest": entry.get("annotations", {}).get(ORIGINAL, entry["digest"]),
        "Config": document.get("config") or {},
        "RootFS": {"Type": "layers", "Layers": document["rootfs"]["diff_ids"]},
        "GraphDriver": {"Name": "overlay", "Data": {"Layers": list(store.resolve(reference).layers)}},
    }


def history_of(store: ImageStore, reference: str) -> list[HistoryRow]:
    """The steps that made an image, the last first. Raises NotFoundError."""
    manifest = store.manifest(store.find_entry(reference)["digest"])
    _, document = store.config(manifest)
    sizes = [int(layer["size"]) for layer in manifest["layers"]]
    rows = []
    for step in document.get("history") or ():
        empty = bool(step.get("empty_layer"))
        size = sizes.pop(0) if not empty and sizes else 0
        rows.append(
            HistoryRow(
                str(step.get("created", "")),
                str(step.get("created_by", "")),
                size,
                str(step.get("comment", "")),
                empty,
            )
        )
    return rows[::-1]
