"""`pull`: from a registry into the store, layers in parallel processes, each unpacked while it is downloaded.

    resolve      tag ─► index ─► manifest for the platform ─► configuration (with the diff ids)
    lock         DATA/downloads/HEX.lock of every missing layer, in order, so that no layer is fetched twice
    fetch        one process per layer: HTTP ─► HEX.part ─► gunzip ─► workspace/N
    commit       intake.commit: renames under the store's lock

A pull that is killed leaves HEX.part; the next one reads what is there and asks the registry for the rest.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from runtime.errors import ImageError, InvalidError, NotFoundError
from runtime.image.intake import Gone, NewLayer, commit, unpack_stream, workspace
from runtime.image.manifest import (
    DOCKER_MANIFEST,
    OCI_LAYER,
    Descriptor,
    Manifest,
    is_index,
    media_type_of,
    parse_diff_ids,
    parse_index,
    parse_json,
    parse_manifest,
    to_oci,
)
from runtime.image.platform import Platform, choose_manifest, host_platform, parse_platform, platform_of
from runtime.image.registry.client import Fetched, Repository
from runtime.image.store import ORIGINAL, PULLED, SOURCE, ImageStore
from runtime.image.stream import LayerStream
from runtime.image.workers import run_parallel
from runtime.image.write_back import early_write_back
from runtime.oci.digest import chain_ids, parse_digest
from runtime.oci.reference import REGISTRY, Reference, parse_reference
from runtime.store.locks import FileLock

# More than processors: some wait for the network while others unpack.
_MOST_WORKERS = max(3, min(8, os.cpu_count() or 1))
_MOST_INDEX_DEPTH = 3
_ATTEMPTS = 3
_CHUNK = 1 << 20

Report = Callable[[Mapping[str, Any]], None]


class Resolved(NamedTuple):
    """What a name means in its registry now."""

    source: str  # digest of what the name leads to, an index or a manifest
    fetched: Fetched
    document: Mapping[str, Any]
    manifest: Manifest


def pull_image(store: ImageStore, name: str, platform: str = "", report: Report = lambda _: None) -> str:
    """Bring an image from its registry into the store; its id.

    `report` gets {"layer", "status", "done", "total"} as layers progress, and {"status"} lines.
    Raises NotFoundError, ImageError, InvalidError, EngineError.
    """
    reference = parse_reference(name)
    if reference.transport != REGISTRY:
        raise InvalidError(f"{name} is not an image of a registry")
    host = host_platform(os.uname().machine)
    wanted = parse_platform(platform, host) if platform else host
    repository = Repository(reference.registry, reference.repository)
    try:
        resolved = resolve(repository, reference, wanted)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return _pull(store, reference, repository, resolved, report)
            except Gone:
                if attempt == _ATTEMPTS:
                    raise
    finally:
        repository.close()
    raise AssertionError("unreachable")


def fetch_config(name: str, platform: Platform) -> Mapping[str, Any]:
    """The configuration of an image in its registry. Raises NotFoundError, ImageError, InvalidError, EngineError."""
    reference = parse_reference(name)
    repository = Repository(reference.registry, reference.repository)
    try:
        manifest = resolve(repository, reference, platform).manifest
        return parse_json(repository.small_blob(manifest.config), "the configuration of the image")
    finally:
        repository.close()


def resolve(repository: Repository, reference: Reference, wanted: Platform) -> Resolved:
    """Follow a name to the manifest of one platform. Raises NotFoundError, ImageError."""
    fetched = repository.manifest(reference.digest or reference.tag)
    source = fetched.digest
    for _ in range(_MOST_INDEX_DEPTH):
        document = parse_json(fetched.data, f"the manifest of {reference.familiar}")
        kind = media_type_of(document, fetched.media_type)
        if not is_index(kind):
            return Resolved(source, fetched, document, parse_manifest(document, fetched.media_type))
        entries = parse_index(document)
        entry = choose_manifest(entries, wanted)
        if entry is None:
            known = sorted({str(platform_of(e["platform"])) for e in entries if e.get("platform")})
            raise NotFoundError(
                f"{reference.familiar} does not exist for {wanted}", hint=f"it exists for {', '.join(known)}"
            )
        fetched = repository.manifest(entry["digest"])
    raise ImageError(f"{reference.familiar}: indexes within indexes within indexes")


def _pull(
    store: ImageStore, reference: Reference, repository: Repository, resolved: Resolved, report: Report
) -> str:
    manifest = resolved.manifest
    config = repository.small_blob(manifest.config)
    document = parse_json(config, "the configuration of the image")
    diff_ids = parse_diff_ids(document, len(manifest.layers))
    with workspace(store) as space, _claimed(store, manifest.layers) as parts:
        missing = _missing(store, manifest.layers, diff_ids)
        for number, layer in enumerate(manifest.layers):
            if number not in missing:
                report({"layer": short_id(layer.digest), "status": "exists"})
        tasks = [
            _Fetch(
                number,
                manifest.layers[number],
                diff_ids[number],
                parts[manifest.layers[number].digest],
                space,
            )
            for number in missing
        ]
        fetched = _fetch_all(repository, space, tasks, report)
        layers = [
            fetched.get(number) or NewLayer(layer.digest, layer.size, diff_ids[number], layer.media_type)
            for number, layer in enumerate(manifest.layers)
        ]
        annotations = {SOURCE: resolved.source, PULLED: str(int(time.time()))}
        originals = []
        if manifest.media_type == DOCKER_MANIFEST:
            originals.append(resolved.fetched.data)
            annotations[ORIGINAL] = resolved.fetched.digest
        return commit(
            store,
            [reference],
            config,
            layers,
            manifest=to_oci(resolved.document),
            originals=originals,
            annotations=annotations,
        )


def short_id(digest: str) -> str:
    """What people are shown of a digest."""
    return digest.partition(":")[2][:12]


def _missing(store: ImageStore, layers: Sequence[Descriptor], diff_ids: Sequence[str]) -> list[int]:
    """Numbers of the layers of which the blob or the unpacked tree is not there; each digest once."""
    found, seen = [], set()
    for number, chain in enumerate(chain_ids(diff_ids)):
        there = os.path.isdir(f"{store.paths.layers}/{chain.removeprefix('sha256:')}")
        if not there or not os.path.exists(store.blob(layers[number].digest)):
            found.append(number)
            seen.add(layers[number].digest)
    return found


@contextmanager
def _claimed(store: ImageStore, layers: Sequence[Descriptor]) -> Iterator[dict[str, str]]:
    """The partial files of all missing blobs, ours alone. In one order for all, so that nobody waits in a circle."""
    downloads = store.paths.downloads
    os.makedirs(downloads, mode=0o700, exist_ok=True)
    with ExitStack() as stack:
        parts = {}
        for digest in sorted({layer.digest for layer in layers}):
            base = f"{downloads}/{parse_digest(digest).hex}"
            parts[digest] = f"{base}.part"
            if not os.path.exists(store.blob(digest)):
                lock = FileLock(f"{base}.lock")
                lock.acquire()
                stack.callback(lock.release)
        yield parts


class _Fetch(NamedTuple):
    """One layer to be fetched."""

    number: int
    descriptor: Descriptor
    diff_id: str
    part: str
    space: str


def _fetch_all(
    repository: Repository, space: str, tasks: Sequence[_Fetch], report: Report
) -> dict[int, NewLayer]:
    """Fetch layers side by side, the largest first: the last one to begin should be a short one."""
    ordered = sorted(tasks, key=lambda task: task.descriptor.size, reverse=True)
    # The same blob may be a layer twice; two processes may not write one file.
    first = {task.descriptor.digest: task for task in reversed(ordered)}
    later = [task for task in ordered if first[task.descriptor.digest] is not task]

    # Two processes may not use one connection; each makes its own.
    repository.close()

    def work(task: _Fetch, tell: Report) -> dict[str, Any]:
        return _fetch(repository, task, tell)._asdict()

    found: dict[int, NewLayer] = {}
    size = sum(task.descriptor.size for task in tasks)
    with early_write_back(space, size):
        for batch in (list(first.values()), later):
            answers = run_parallel(batch, work, report, workers=_MOST_WORKERS)
            for task, answer in zip(batch, answers, strict=True):
                found[task.number] = NewLayer(**{**answer, "implied": tuple(answer["implied"])})
    return found


def _fetch(repository: Repository, task: _Fetch, report: Report) -> NewLayer:
    """Download, verify and unpack one layer, in a process of its own. Raises ImageError, EngineError, OSError."""
    descriptor, name = task.descriptor, short_id(task.descriptor.digest)
    directory = f"{task.space}/{task.number}"
    os.mkdir(directory, 0o755)
    with open(task.part, "ab+", buffering=0) as part:
        stream = LayerStream(_resumed(repository, descriptor, part, name, report))
        implied: tuple[str, ...] = ()
        failure: ImageError | None = None
        try:
            implied = unpack_stream(stream, directory)
        except ImageError as error:
            # What was sent may be something else altogether: that is said rather than what it looked like.
            failure = error
            _drain(stream)
        found = f"sha256:{stream.blob_hash.hexdigest()}"
        if stream.blob_bytes == descriptor.size and found != descriptor.digest:
            os.truncate(task.part, 0)
            raise ImageError(
                f"layer {name} has other content than its manifest says ({found})",
                hint="it was damaged on its way or in the registry; pull again",
            )
        if failure is not None:
            raise failure
        if stream.blob_bytes != descriptor.size:
            raise ImageError(
                f"layer {name} has {stream.blob_bytes} bytes, its manifest says {descriptor.size}"
            )
    diff_id = f"sha256:{stream.diff_hash.hexdigest()}"
    if diff_id != task.diff_id:
        raise ImageError(f"layer {name} unpacks to {diff_id}, the image's configuration says {task.diff_id}")
    report({"layer": name, "status": "done"})
    media_type = descriptor.media_type or OCI_LAYER
    return NewLayer(descriptor.digest, descriptor.size, diff_id, media_type, directory, task.part, implied)


def _drain(stream: LayerStream) -> None:
    try:
        stream.drain()
    except ImageError:
        pass


def _resumed(
    repository: Repository, descriptor: Descriptor, part: Any, name: str, report: Report
) -> Iterator[bytes]:
    """What an earlier pull left, then the rest from the registry, which is appended to it."""
    position, told = 0, 0.0
    if os.fstat(part.fileno()).st_size > descriptor.size:
        part.truncate(0)
    part.seek(0)
    while chunk := part.read(_CHUNK):
        position += len(chunk)
        yield chunk
    for chunk in repository.blob(descriptor, position):
        part.write(chunk)
        position += len(chunk)
        now = time.monotonic()
        if now - told > 0.1:
            told = now
            report({"layer": name, "status": "pulling", "done": position, "total": descriptor.size})
        yield chunk
