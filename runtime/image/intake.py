"""Taking images in: layers and blobs gather in a workspace, and get their places in one step under the store's lock.

    DATA/layers/.new-RANDOM/        a workspace; locked by its owner, removed with it, or by the next one
        N/                          layer N, unpacked
        N.blob                      its bytes as they came

Nothing of it is visible before `commit`, which makes all content durable and then only renames: a power cut leaves no
name of something that is not there. Whoever takes an image in (pull, import, load, build,
commit) does it through here.
"""

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from runtime.errors import ImageError, StateError
from runtime.image.manifest import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from runtime.image.store import ImageStore, sync_directory, sync_file_systems
from runtime.image.stream import BZIP2, GZIP, XZ, ZSTD, LayerStream
from runtime.oci.digest import chain_ids
from runtime.oci.reference import Reference

_SUFFIXES = {GZIP: "+gzip", ZSTD: "+zstd", b"": ""}
_ABANDONED_SECONDS = 60


class NewLayer(NamedTuple):
    """A layer that was read to its end. `directory` and `blob` are in a workspace, "" where the store has them."""

    digest: str
    size: int
    diff_id: str
    media_type: str
    directory: str = ""
    blob: str = ""
    implied: tuple[str, ...] = ()  # directories that the archive has files in but does not describe

    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class Gone(StateError):
    """What the store had when the work began was removed meanwhile; doing it again will help."""


@contextmanager
def workspace(store: ImageStore) -> Iterator[str]:
    """A directory of our own that goes away in any case; those of owners that died are removed too."""
    layers = store.paths.layers
    os.makedirs(layers, mode=0o700, exist_ok=True)
    path = f"{layers}/.new-{os.urandom(8).hex()}"
    os.mkdir(path, 0o700)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        remove_abandoned(layers)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(fd)


def remove_abandoned(layers: str) -> None:
    """Delete the workspaces of processes that were killed."""
    for name in os.listdir(layers):
        if not name.startswith(".new-"):
            continue
        path = f"{layers}/{name}"
        try:
            # A moment passes between an owner's mkdir and its lock.
            if time.time() - os.stat(path).st_mtime < _ABANDONED_SECONDS:
                continue
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(fd)


def take_layer(source: Iterable[bytes], base: str) -> NewLayer:
    """Read a layer, plain or compressed, into BASE/ and BASE.blob. Raises ImageError, OSError.

    What no other engine could decompress (bzip2, xz) is kept plain.
    """
    os.mkdir(base, 0o755)
    blob = f"{base}.blob"
    with open(blob, "wb") as file:
        stream = LayerStream(source)
        plain = stream.compression in (BZIP2, XZ)
        if plain:
            stream.keep_plain = file.write
        else:
            stream.keep = file.write
        implied = unpack_stream(stream, base)
    digest = (stream.diff_hash if plain else stream.blob_hash).hexdigest()
    size = stream.diff_bytes if plain else stream.blob_bytes
    return NewLayer(
        f"sha256:{digest}",
        size,
        f"sha256:{stream.diff_hash.hexdigest()}",
        OCI_LAYER + _SUFFIXES.get(stream.compression, ""),
        base,
        blob,
        implied,
    )


def unpack_stream(stream: LayerStream, directory: str) -> tuple[str, ...]:
    """Unpack the archive of a stream and read it to its end; the implied directories. Raises ImageError, OSError."""
    import tarfile

    from runtime.image.unpack import unpack_layer

    try:
        # Not tarfile's own stream ("r|"), which copies all of its buffer with each header it takes from it.
        with tarfile.TarFile(fileobj=stream, errors="surrogateescape") as archive:  # type: ignore[arg-type]
            implied = unpack_layer(archive, directory)
    except tarfile.TarError as error:
        if stream.diff_bytes == 0 or (not stream.diff_bytes % 512 and not str(error)):
            raise ImageError("the archive is empty") from error
        raise ImageError(f"this is not a tar archive: {error}") from error
    stream.drain()
    return implied


def commit(
    store: ImageStore,
    names: Sequence[Reference],
    config: bytes,
    layers: Sequence[NewLayer],
    *,
    manifest: Mapping[str, Any] | None = None,
    originals: Sequence[bytes] = (),
    annotations: Mapping[str, str] | None = None,
) -> str:
    """Give an image its place and its names; its id. Everything of `layers` is on disk already.

    `manifest` is the image's own where it has one; `originals` are documents to keep with it (what a registry
    sent), `annotations` are for its entries in the index. Raises Gone, OSError.
    """
    dress_implied(store, layers)
    settled: set[str] = set()
    written = [path for layer in layers for path in (layer.directory, layer.blob) if path]
    sync_file_systems({os.path.dirname(path) for path in written})
    with store.locked():
        config_digest = store.write_blob(config)
        for layer, chain in zip(layers, chain_ids([item.diff_id for item in layers]), strict=True):
            settled |= _settle(layer.blob, store.blob(layer.digest))
            settled |= _settle(layer.directory, f"{store.paths.layers}/{chain.removeprefix('sha256:')}")
        for folder in settled:
            sync_directory(folder)
        document = manifest or {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": config_digest, "size": len(config)},
            "layers": [layer.descriptor() for layer in layers],
        }
        for data in originals:
            store.write_blob(data)
        store.add(names, document, annotations or {})
    return config_digest


def _settle(source: str, target: str) -> set[str]:
    """Into its place; the same thing may be there already. The folders that got a new name."""
    if os.path.exists(target):
        return set()
    if not source:
        raise Gone(f"{os.path.basename(target)[:12]} was removed by another command", hint="try again")
    os.rename(source, target)
    return {os.path.dirname(target)}


def dress_implied(store: ImageStore, layers: Sequence[NewLayer]) -> None:
    """Directories that a layer only implies look as they do in the layers below: overlayfs shows the topmost."""
    stack: list[str] = []
    for layer, chain in zip(layers, chain_ids([item.diff_id for item in layers]), strict=True):
        for path in layer.implied if layer.directory else ():
            for lower in reversed(stack):
                if _copy_look(f"{lower}/{path}", f"{layer.directory}/{path}"):
                    break
        stack.append(layer.directory or f"{store.paths.layers}/{chain.removeprefix('sha256:')}")


def _copy_look(source: str, target: str) -> bool:
    try:
        found, own = os.lstat(source), os.lstat(target)
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode) or not stat.S_ISDIR(own.st_mode):
        return False
    os.chown(target, found.st_uid, found.st_gid)
    os.chmod(target, stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))
    return True


def config_document(
    config: Mapping[str, Any], diff_ids: Sequence[str], history: Sequence[Mapping[str, Any]], created: str
) -> dict[str, Any]:
    """An image configuration for this machine (OCI image-spec config.md)."""
    from runtime.image.platform import host_platform

    host = host_platform(os.uname().machine)
    document: dict[str, Any] = {
        "created": created,
        "architecture": host.architecture,
        "os": host.os,
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": list(history),
    }
    if host.variant:
        document["variant"] = host.variant
    return document


def timestamp(seconds: float | None = None) -> str:
    """RFC 3339, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
