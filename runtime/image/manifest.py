"""Manifests and indexes, OCI's and Docker's, checked before anything in them is used. Pure.

OCI image-spec manifest.md and image-index.md; Docker's "image manifest version 2, schema 2".
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime.errors import ImageError, UnsupportedError
from runtime.oci.digest import parse_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_DOCKER_LAYER_PLAIN = "application/vnd.docker.image.rootfs.diff.tar"
_SCHEMA_1 = ("application/vnd.docker.distribution.manifest.v1+prettyjws",
             "application/vnd.docker.distribution.manifest.v1+json")  # fmt: skip
ACCEPTED = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)

# What registries and other engines accept too.
MOST_MANIFEST_BYTES = 4 << 20
MOST_CONFIG_BYTES = 8 << 20
_MOST_LAYERS = 500
_MOST_ENTRIES = 1000
_MOST_LAYER_BYTES = 1 << 40
_OCI_TYPES = {
    DOCKER_MANIFEST: OCI_MANIFEST,
    DOCKER_CONFIG: OCI_CONFIG,
    DOCKER_LAYER: OCI_LAYER + "+gzip",
    _DOCKER_LAYER_PLAIN: OCI_LAYER,
}


class Descriptor(NamedTuple):
    """What a manifest says of a blob (OCI image-spec descriptor.md)."""

    media_type: str
    digest: str
    size: int

    def as_json(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class Manifest(NamedTuple):
    """One image for one platform."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = {}


def parse_json(data: bytes, what: str) -> Mapping[str, Any]:
    """A JSON object. Raises ImageError."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ImageError(f"{what} is no JSON object")
    return document


def media_type_of(document: Mapping[str, Any], said: str = "") -> str:
    """What kind of document it is; `said` is what its server or descriptor calls it. Raises UnsupportedError."""
    kind = str(document.get("mediaType") or said.partition(";")[0].strip())
    if kind in ACCEPTED:
        both = "manifests" in document and ("layers" in document or "config" in document)
        if both:
            raise ImageError("the manifest is an image and an index at once")
        return kind
    if kind in _SCHEMA_1 or document.get("schemaVersion") == 1:
        raise UnsupportedError(
            "the image has the old manifest format (schema 1)", hint="push it again with a current tool"
        )
    if "manifests" in document:
        return OCI_INDEX
    if "layers" in document and "config" in document:
        return OCI_MANIFEST
    raise UnsupportedError(f"{kind or 'a document without mediaType'} is not an image")


def is_index(media_type: str) -> bool:
    return media_type in (OCI_INDEX, DOCKER_LIST)


def parse_index(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The entries of an index, without attestations. Raises ImageError."""
    entries = document.get("manifests")
    if not isinstance(entries, list) or len(entries) > _MOST_ENTRIES:
        raise ImageError("the index of the image has no list of manifests, or an absurdly long one")
    for entry in entries:
        _descriptor(entry, "an entry of the index")
    return tuple(entry for entry in entries if not _is_attestation(entry))


def _is_attestation(entry: Mapping[str, Any]) -> bool:
    annotations = entry.get("annotations")
    return isinstance(annotations, Mapping) and "vnd.docker.reference.type" in annotations


def parse_manifest(document: Mapping[str, Any], said: str = "") -> Manifest:
    """An image's manifest. Raises ImageError, UnsupportedError."""
    media_type = media_type_of(document, said)
    layers = document.get("layers")
    if not isinstance(layers, list) or len(layers) > _MOST_LAYERS:
        raise ImageError("the manifest of the image has no list of layers, or an absurdly long one")
    config = _descriptor(document.get("config"), "the configuration")
    if config.size > MOST_CONFIG_BYTES:
        raise ImageError(f"the configuration of the image is said to have {config.size} bytes")
    if config.media_type not in (OCI_CONFIG, DOCKER_CONFIG):
        raise UnsupportedError(f"this is no image to run but an artifact ({config.media_type})")
    annotations = document.get("annotations")
    return Manifest(
        media_type,
        config,
        tuple(_descriptor(layer, f"layer {number}") for number, layer in enumerate(layers, 1)),
        {str(k): str(v) for k, v in annotations.items()} if isinstance(annotations, Mapping) else {},
    )


def _descriptor(value: Any, what: str) -> Descriptor:
    if not isinstance(value, Mapping):
        raise ImageError(f"{what} of the image has no descriptor")
    size = value.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MOST_LAYER_BYTES:
        raise ImageError(f"{what} of the image has an impossible size: {size!r}")
    digest = parse_digest(str(value.get("digest")))
    if digest.algorithm != "sha256":
        raise UnsupportedError(f"{what} of the image has a {digest.algorithm} digest; only sha256 is known")
    return Descriptor(str(value.get("mediaType") or ""), str(digest), size)


def parse_diff_ids(config: Mapping[str, Any], layers: int) -> list[str]:
    """The diff ids of a configuration, one for each of `layers`. Raises ImageError."""
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, Mapping) else None
    if not isinstance(diff_ids, list):
        raise ImageError("the configuration of the image does not name its layers (rootfs.diff_ids)")
    if len(diff_ids) != layers:
        raise ImageError(f"the image has {layers} layers, its configuration names {len(diff_ids)}")
    return [str(parse_digest(str(item))) for item in diff_ids]


def to_oci(document: Mapping[str, Any]) -> dict[str, Any]:
    """A Docker manifest with OCI's names for the same things; an OCI one as it is."""
    out = dict(document)
    out["mediaType"] = OCI_MANIFEST
    out["config"] = _renamed(document["config"])
    out["layers"] = [_renamed(layer) for layer in document["layers"]]
    return out


def _renamed(descriptor: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(descriptor.get("mediaType") or "")
    return {**descriptor, "mediaType": _OCI_TYPES.get(kind, kind)}
