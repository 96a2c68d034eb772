"""OCI artifacts: documents that a registry keeps beside images (OCI image-spec manifest.md, artifact usage)."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runtime.errors import ImageError, InvalidError
from runtime.image.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, parse_json
from runtime.image.push import Report, push_to
from runtime.image.registry.client import Repository
from runtime.image.store import ImageStore
from runtime.oci.digest import digest_of
from runtime.oci.reference import REGISTRY, Reference, parse_reference

_EMPTY = "application/vnd.oci.empty.v1+json"
_MAX_BYTES = 16 << 20  # of all documents of one artifact


class Document(NamedTuple):
    """One layer of an artifact: a text that fits into memory."""

    media_type: str
    data: bytes
    annotations: Mapping[str, str] = {}


class Artifact(NamedTuple):
    """`kind` is its artifactType; `config_type` the media type of its empty configuration in registries of OCI 1.0."""

    kind: str
    config_type: str
    documents: tuple[Document, ...]
    annotations: Mapping[str, str] = {}


def parse_artifact_name(name: str) -> Reference:
    """REPOSITORY[:TAG|@DIGEST] of a registry. Raises InvalidError."""
    reference = parse_reference(name)
    if reference.transport != REGISTRY:
        raise InvalidError(f"{name!r} is not the name of a repository in a registry")
    return reference


def push_artifact(
    store: ImageStore,
    name: str,
    artifact: Artifact,
    *,
    images: Sequence[str] = (),
    old_format: bool = False,
    report: Report = lambda _: None,
) -> str:
    """Store an artifact under its tag; its digest. Raises EngineError.

    With `images`, names of the local store, those are sent into the same repository, and the tag means an index of
    them whose subject is the artifact. `old_format`: as OCI 1.0 had it, without artifactType.
    """
    reference = parse_artifact_name(name)
    tag = reference.tag or "latest"
    repository = Repository(reference.registry, reference.repository)
    try:
        layers = [
            {**_put(repository, item.data, item.media_type), "annotations": dict(item.annotations)}
            for item in artifact.documents
        ]
        config = _put(repository, b"{}", artifact.config_type if old_format else _EMPTY)
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config,
            "layers": layers,
        }
        if not old_format:
            manifest["artifactType"] = artifact.kind
        manifest["annotations"] = dict(artifact.annotations)
        data = _encode(manifest)
        if not images:
            return repository.put_manifest(tag, data, OCI_MANIFEST)
        subject = Descriptor(
            OCI_MANIFEST, repository.put_manifest(str(digest_of(data)), data, OCI_MANIFEST), len(data)
        )
        repository.close()  # no connection is for two processes
        pushed = [push_to(store, image, repository, report).as_json() for image in images]
        index = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "artifactType": artifact.kind,
            "manifests": pushed,
            "subject": {**subject.as_json(), "artifactType": artifact.kind},
            "annotations": dict(artifact.annotations),
        }
        return repository.put_manifest(tag, _encode(index), OCI_INDEX)
    finally:
        repository.close()


def pull_artifact(name: str, kind: str, config_type: str) -> list[Document]:
    """The documents of an artifact. Raises NotFoundError, ImageError if it is another kind of thing."""
    reference = parse_artifact_name(name)
    repository = Repository(reference.registry, reference.repository)
    try:
        manifest = _manifest(repository, reference.digest or reference.tag or "latest", name)
        subject = manifest.get("subject")
        if "manifests" in manifest and isinstance(subject, dict):
            manifest = _manifest(repository, str(subject.get("digest")), name)
        config = manifest.get("config")
        if manifest.get("artifactType") != kind and (
            not isinstance(config, dict) or config.get("mediaType") not in (config_type, kind)
        ):
            raise ImageError(f"{name} is not a Compose project", hint="`pycompose publish` makes one")
        return _documents(repository, manifest, name)
    finally:
        repository.close()


def _documents(repository: Repository, manifest: Mapping[str, Any], name: str) -> list[Document]:
    left = _MAX_BYTES
    found = []
    for layer in manifest.get("layers") or ():
        try:
            descriptor = Descriptor(str(layer["mediaType"]), str(layer["digest"]), int(layer["size"]))
            annotations = {str(key): str(value) for key, value in (layer.get("annotations") or {}).items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ImageError(f"the manifest of {name} is damaged") from error
        left -= descriptor.size
        if descriptor.size < 0 or left < 0:
            raise ImageError(f"{name} has more than {_MAX_BYTES >> 20} MB of documents")
        found.append(Document(descriptor.media_type, repository.small_blob(descriptor), annotations))
    return found


def _manifest(repository: Repository, reference: str, name: str) -> dict[str, Any]:
    return dict(parse_json(repository.manifest(reference).data, f"the manifest of {name}"))


def _put(repository: Repository, data: bytes, media_type: str) -> dict[str, Any]:
    descriptor = Descriptor(media_type, str(digest_of(data)), len(data))
    if not repository.has_blob(descriptor.digest):
        repository.upload(descriptor, io.BytesIO(data))
    return descriptor.as_json()


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
