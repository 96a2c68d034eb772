"""`push`: from the store to a registry. Blobs that it has, or can take from another repository of it, are not sent."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from runtime.errors import ImageError, InvalidError
from runtime.image.manifest import Descriptor, parse_json, parse_manifest
from runtime.image.pull import short_id
from runtime.image.registry.client import Repository
from runtime.image.store import ORIGINAL, SOURCE, ImageStore, name_of
from runtime.image.workers import run_parallel
from runtime.oci.reference import REGISTRY, Reference, parse_reference

_WORKERS = 3

Report = Callable[[Mapping[str, Any]], None]


def push_image(store: ImageStore, name: str, report: Report = lambda _: None) -> str:
    """Send an image under its name; the digest of what was sent. Raises NotFoundError, EngineError."""
    reference = parse_reference(name)
    if reference.transport != REGISTRY or not reference.tag:
        raise InvalidError(f"{name} can't be pushed", hint="give it a name with `pycompose image tag`")
    repository = Repository(reference.registry, reference.repository)
    try:
        pushed = push_to(store, name, repository, report, tag=reference.tag)
    finally:
        repository.close()
    _remember(store, reference, pushed.digest)
    report({"status": f"{reference.tag}: digest: {pushed.digest} size: {pushed.size}"})
    return pushed.digest


def push_to(
    store: ImageStore, name: str, repository: Repository, report: Report = lambda _: None, *, tag: str = ""
) -> Descriptor:
    """Send an image of the store into a repository, under a tag or by its digest alone; what was sent.

    Raises NotFoundError, EngineError.
    """
    entry = store.find_entry(name)
    digest = entry.get("annotations", {}).get(ORIGINAL) or entry["digest"]
    data = _read(store, digest)
    manifest = parse_manifest(parse_json(data, "the manifest of the image"))
    sources = _sources(store, repository)
    blobs = {item.digest: item for item in (*manifest.layers, manifest.config)}

    def work(blob: Descriptor, tell: Report) -> dict[str, Any]:
        return {"status": _push_blob(store, repository, blob, sources, tell)}

    repository.close()  # no connection is for two processes
    run_parallel(list(blobs.values()), work, report, workers=_WORKERS)
    pushed = repository.put_manifest(tag or digest, data, manifest.media_type)
    return Descriptor(manifest.media_type, pushed, len(data))


def _read(store: ImageStore, digest: str) -> bytes:
    try:
        with open(store.blob(digest), "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(f"the manifest {digest} of the image can't be read: {error.strerror}") from error


def _push_blob(
    store: ImageStore, repository: Repository, blob: Descriptor, sources: list[str], report: Report
) -> str:
    name = short_id(blob.digest)
    if repository.has_blob(blob.digest):
        report({"layer": name, "status": "exists"})
        return "exists"
    for source in sources:
        if repository.mount(blob.digest, source):
            report({"layer": name, "status": "mounted"})
            return "mounted"
    try:
        file = open(store.blob(blob.digest), "rb")
    except OSError as error:
        raise ImageError(f"layer {name} of the image is missing in the store") from error
    with file:
        if os.fstat(file.fileno()).st_size != blob.size:
            raise ImageError(
                f"layer {name} of the image is damaged in the store", hint="pull or build it again"
            )

        def told(done: int) -> None:
            report({"layer": name, "status": "pushing", "done": done, "total": blob.size})

        repository.upload(blob, file, told)
    report({"layer": name, "status": "pushed"})
    return "pushed"


def _sources(store: ImageStore, target: Repository) -> list[str]:
    """Other repositories of the same registry that images here are known to be in."""
    found = {}
    for entry in store.entries():
        name = name_of(entry)
        if not name or not entry.get("annotations", {}).get(SOURCE):
            continue
        other = parse_reference(name)
        if other.registry == target.registry and other.repository != target.name:
            found[other.repository] = True
    return list(found)[:3]


def _remember(store: ImageStore, reference: Reference, digest: str) -> None:
    """From now on the image is known by NAME@DIGEST too."""
    with store.locked():
        for entry in store.entries():
            if name_of(entry) == str(reference):
                annotations = {**entry["annotations"], SOURCE: digest}
                annotations.pop("org.opencontainers.image.ref.name")
                store.add([reference], store.manifest(entry["digest"]), annotations)
                return
