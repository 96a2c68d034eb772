"""Images on disk: an OCI image layout and, next to it, its layers unpacked (OCI image-spec image-layout.md).

    DATA/images/oci-layout, index.json, blobs/sha256/HEX   index.json changes by rename, under .lock
    DATA/layers/CHAINID-HEX/                               complete as soon as it has this name
    DATA/layers/.new-*                                     being unpacked; its maker holds a lock on it

A reference is the annotation org.opencontainers.image.ref.name of a manifest in index.json, in its full
form; an image that lost its last name but is still in use, or was built without one, has an entry without.
Manifests there are OCI's: of one that a registry sent in Docker's form the original is kept beside it
(ORIGINAL), so that it is pushed as it came. An image's id is the digest of its configuration. This module is
on the start path; what takes images in is intake.py.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.errors import ConflictError, ImageError, InvalidError, NotFoundError, StateError
from runtime.oci.reference import Reference, parse_reference
from runtime.store.paths import Paths

if TYPE_CHECKING:
    from runtime.oci.image_config import ImageConfig

REF_NAME = "org.opencontainers.image.ref.name"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# Annotations of an entry: the digest by which a registry knows it, the manifest that registry sent, and when it
# was last pulled (seconds since the epoch).
SOURCE = "org.pycompose.source"
ORIGINAL = "org.pycompose.original"
PULLED = "org.pycompose.pulled"
_INDEX = "application/vnd.oci.image.index.v1+json"
_SHORTEST_ID = 4


class ResolvedImage(NamedTuple):
    """What a container's root file system is made of. `layers` are directories, the lowest first.

    kind "layers": an image of the store. "rootfs": one directory. "host": the skeleton, the mask of
    /etc, and the host's own directories (/usr, /opt, ...) that are laid over it.
    """

    reference: str
    id: str
    config: "ImageConfig"
    layers: tuple[str, ...]
    kind: str = "layers"


class ImageStore:
    """The images of one DATA root."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def resolve(self, reference: str) -> ResolvedImage:
        """Finds an image by name or id. Raises NotFoundError, InvalidError, ImageError."""
        from runtime.oci.image_config import parse_image_config

        manifest, familiar = self._find(reference)
        config_digest, document = self.config(manifest)
        layers = self._layers(document, familiar)
        return ResolvedImage(familiar, config_digest, parse_image_config(document), layers)

    def find_id(self, reference: str) -> str:
        """The id of an image that is there with all its layers. Raises NotFoundError, InvalidError, ImageError."""
        manifest, familiar = self._find(reference)
        config_digest, document = self.config(manifest)
        self._layers(document, familiar)
        return config_digest

    def _layers(self, document: Mapping[str, Any], familiar: str) -> tuple[str, ...]:
        layers = tuple(f"{self.paths.layers}/{chain}" for chain in chain_ids(document["rootfs"]["diff_ids"]))
        for layer in layers:
            if not os.path.isdir(layer):
                raise ImageError(
                    f"image {familiar}: its layer {layer} is missing", hint="import the image again"
                )
        return layers

    def remove(
        self,
        reference: str,
        used_ids: Collection[str] = (),
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> list[str]:
        """Takes a name away and, with its last name, the image; by id all names. Returns what was removed.

        `used_ids` are ids of images that containers use. With `dry_run` nothing is removed. Raises NotFoundError,
        ConflictError.
        """
        with self.locked():
            index = self.entries()
            manifest, familiar = self._find(reference)
            config_digest = manifest["config"]["digest"]
            same = [e for e in index if self.manifest(e["digest"])["config"]["digest"] == config_digest]
            full = "" if _looks_like_id(reference) else str(parse_reference(reference))
            gone = [e for e in same if name_of(e) == full and full] or same
            if not full and len([e for e in same if name_of(e)]) > 1 and not force:
                raise ConflictError(
                    f"image {familiar} has several names", hint="remove them one by one, or with --force"
                )
            last = len(gone) == len(same)
            if last and config_digest in used_ids:
                raise ConflictError(
                    f"image {familiar} is used by a container", hint="remove the container first"
                )
            removed = ["untagged: " + parse_reference(name_of(e)).familiar for e in gone if name_of(e)]
            removed += ["deleted: " + config_digest] if last else []
            if not dry_run:
                self._write_index([entry for entry in index if entry not in gone])
                if last:
                    self._collect()
            return removed

    def add(
        self,
        names: Sequence[Reference],
        manifest: Mapping[str, Any],
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """Gives a manifest whose blobs and layers are there names; returns its digest. Call it `locked`.

        An image whose name this takes stays, without a name, until it is pruned.
        """
        self._ensure_layout()
        data = encode_json(manifest)
        digest = self.write_blob(data)
        full = [str(name) for name in names]
        entry = {"mediaType": MANIFEST, "digest": digest, "size": len(data)}
        index = self.entries()
        others = [e for e in index if name_of(e) not in full]
        kept = {e["digest"] for e in others} | {digest}
        for old in (e for e in index if name_of(e) in full and name_of(e)):
            if old["digest"] not in kept:
                # Its name has moved; containers may still stand on it.
                others.append({**old, "annotations": _without_name(old)})
                kept.add(old["digest"])
        if full:
            others = [e for e in others if e["digest"] != digest or name_of(e)]
        elif any(e["digest"] == digest for e in others):
            return digest
        added = [{**entry, "annotations": {**(annotations or {}), REF_NAME: name}} for name in full]
        self._write_index([*others, *(added or [{**entry, "annotations": dict(annotations or {})}])])
        return digest

    def tag(self, reference: str, name: Reference) -> None:
        """Gives an image one more name. Raises NotFoundError, InvalidError."""
        with self.locked():
            entry = self.find_entry(reference)
            self.add([name], self.manifest(entry["digest"]), _without_name(entry))

    def prune(self, used_ids: Collection[str], *, all: bool = False, dry_run: bool = False) -> list[str]:
        """Removes images without a name, with `all` every one that no container uses; their ids.

        With `dry_run` nothing is removed.
        """
        with self.locked():
            kept: list[tuple[dict[str, Any], str]] = []
            gone: list[tuple[dict[str, Any], str]] = []
            for entry in self.entries():
                image_id = self.manifest(entry["digest"])["config"]["digest"]
                dispensable = all or not name_of(entry)
                (gone if dispensable and image_id not in used_ids else kept).append((entry, image_id))
            if not dry_run:
                self._write_index([entry for entry, _ in kept])
                self._collect()
            return sorted({image_id for _, image_id in gone} - {image_id for _, image_id in kept})

    def write_blob(self, data: bytes) -> str:
        """Stores bytes under their digest, which it returns."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        path = self.blob(digest)
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            write_atomically(path, data)
        return digest

    def blob(self, digest: str) -> str:
        """Where a blob lies. Raises ImageError for what is not a sha256 digest."""
        kind, _, hexadecimal = digest.partition(":")
        if (
            kind != "sha256"
            or len(hexadecimal) != 64
            or not all(c in "0123456789abcdef" for c in hexadecimal)
        ):
            raise ImageError(f"{digest!r} is not a sha256 digest")
        return f"{self.paths.images}/blobs/sha256/{hexadecimal}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other writers of the index out."""
        os.makedirs(self.paths.images, mode=0o700, exist_ok=True)
        fd = os.open(f"{self.paths.images}/.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _ensure_layout(self) -> None:
        path = f"{self.paths.images}/oci-layout"
        if not os.path.exists(path):
            write_atomically(path, b'{"imageLayoutVersion":"1.0.0"}')

    def entries(self) -> list[dict[str, Any]]:
        """What index.json lists, one entry per name. Raises StateError."""
        path = f"{self.paths.images}/index.json"
        try:
            with open(path, "rb") as file:
                manifests = json.loads(file.read())["manifests"]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"the image index {path} is damaged: {error}") from error
        # Names only matter here; an index made by another tool may hold indexes for several platforms.
        return [entry for entry in manifests if entry.get("mediaType", MANIFEST) == MANIFEST]

    def _write_index(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        document = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": list(manifests)}
        write_atomically(f"{self.paths.images}/index.json", encode_json(document))

    def _find(self, reference: str) -> tuple[Mapping[str, Any], str]:
        """(manifest, short name) of what a name or an id means."""
        entry = self.find_entry(reference)
        familiar = reference
        try:
            familiar = parse_reference(reference).familiar if name_of(entry) else reference
        except InvalidError:
            pass
        return self.manifest(entry["digest"]), familiar

    def find_entry(self, reference: str) -> dict[str, Any]:
        """The index's entry of what a name, a digest or an id means. Raises NotFoundError, InvalidError."""
        index = self.entries()
        wanted: Reference | None = None
        try:
            wanted = parse_reference(reference)
        except InvalidError:
            if not _looks_like_id(reference):
                raise
        if wanted is not None:
            full = str(wanted)
            for entry in index:
                if name_of(entry) == full:
                    return entry
            if wanted.digest:
                for entry in index:
                    if is_source(entry, wanted):
                        return entry
        if _looks_like_id(reference):
            found = self._find_id(index, reference.removeprefix("sha256:"))
            if found is not None:
                return found
        raise NotFoundError(
            f"image {reference} is not there",
            hint=f"pycompose image pull {reference}, or import a tar with `pycompose image import`",
        )

    def _find_id(self, index: Sequence[dict[str, Any]], prefix: str) -> dict[str, Any] | None:
        found: dict[str, dict[str, Any]] = {}
        for entry in index:
            digest = self.manifest(entry["digest"])["config"]["digest"].removeprefix("sha256:")
            if digest.startswith(prefix):
                found.setdefault(digest, entry)
        if len(found) > 1:
            raise InvalidError(
                f"several images have an id that begins with {prefix}", hint="write more of it"
            )
        return next(iter(found.values()), None)

    def manifest(self, digest: str) -> Mapping[str, Any]:
        """A manifest by its digest. Raises ImageError."""
        return self._read_json(digest, "manifest")

    def config(self, manifest: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """(digest, document) of a manifest's configuration. Raises ImageError."""
        digest = manifest["config"]["digest"]
        return digest, self._read_json(digest, "configuration")

    def _read_json(self, digest: str, what: str) -> Mapping[str, Any]:
        try:
            with open(self.blob(digest), "rb") as file:
                document = json.loads(file.read())
        except (OSError, ValueError) as error:
            raise ImageError(f"the {what} {digest} of an image can't be read: {error}") from error
        if not isinstance(document, dict):
            raise ImageError(f"the {what} {digest} of an image is no JSON object")
        return document

    def collect(self) -> None:
        """Deletes blobs and layers that neither an image nor the build cache has any more."""
        with self.locked():
            self._collect()

    def _collect(self) -> None:
        """Deletes blobs and layers that no image has any more; with the lock held."""
        blobs, layers = set(), set()
        for entry in self.entries():
            manifest = self.manifest(entry["digest"])
            blobs |= {entry["digest"], manifest["config"]["digest"]}
            blobs |= {layer["digest"] for layer in manifest["layers"]}
            layers |= set(chain_ids(self.config(manifest)[1]["rootfs"]["diff_ids"]))
            blobs.add(entry.get("annotations", {}).get(ORIGINAL, ""))
        for record in self._build_records():
            if record.get("layer"):
                blobs.add(record["layer"][1])
            layers |= set(chain_ids(record.get("chain") or ()))
        directory = f"{self.paths.images}/blobs/sha256"
        if not os.path.isdir(directory):
            return
        for name in os.listdir(directory):
            if f"sha256:{name}" not in blobs:
                os.unlink(f"{directory}/{name}")
        if os.path.isdir(self.paths.layers):
            for name in os.listdir(self.paths.layers):
                if name not in layers and not name.startswith("."):
                    self._discard(name)

    def _build_records(self) -> Iterator[Mapping[str, Any]]:
        """The build cache (build/cache.py): its layers stay as long as their records."""
        folder = f"{self.paths.build}/records"
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return
        for name in names:
            try:
                with open(f"{folder}/{name}", "rb") as file:
                    yield json.loads(file.read())
            except (OSError, ValueError):
                continue

    def _discard(self, layer: str) -> None:
        """Into the trash: deleting thousands of files would keep the lock for seconds."""
        os.makedirs(self.paths.trash, mode=0o700, exist_ok=True)
        os.rename(f"{self.paths.layers}/{layer}", f"{self.paths.trash}/layer-{layer}-{os.urandom(4).hex()}")


def name_of(entry: Mapping[str, Any]) -> str:
    """The full name of an index entry, "" without one."""
    return str(entry.get("annotations", {}).get(REF_NAME) or "")


def is_source(entry: Mapping[str, Any], wanted: Reference) -> bool:
    """Whether an entry came from, or went to, the repository and digest of a reference."""
    annotations = entry.get("annotations", {})
    known = (entry["digest"], annotations.get(SOURCE), annotations.get(ORIGINAL))
    return wanted.digest in known and name_of(entry).startswith((f"{wanted.name}:", f"{wanted.name}@"))


def _without_name(entry: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in entry.get("annotations", {}).items() if key != REF_NAME}


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The chain id of each layer, hexadecimal, the lowest first (OCI image-spec config.md, Layer ChainID)."""
    out: list[str] = []
    chain = ""
    for diff_id in diff_ids:
        chain = f"sha256:{hashlib.sha256(f'{chain} {diff_id}'.encode()).hexdigest()}" if chain else diff_id
        out.append(chain.removeprefix("sha256:"))
    return out


def encode_json(document: Mapping[str, Any]) -> bytes:
    """JSON in the one form that digests are made of: sorted, without spaces."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def write_atomically(path: str, data: bytes) -> None:
    """A file that is there completely or as it was before, also after a crash."""
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        raise
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Makes names in a directory durable (fsync(2) on a directory)."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_systems(directories: Iterable[str]) -> None:
    """Makes all that was written to the file systems of directories durable, once for each file system."""
    from runtime.linux import syscalls

    for path in {os.stat(path).st_dev: path for path in directories}.values():
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscalls.syncfs(fd)
        finally:
            os.close(fd)


def _looks_like_id(reference: str) -> bool:
    text = reference.removeprefix("sha256:")
    return _SHORTEST_ID <= len(text) <= 64 and all(c in "0123456789abcdef" for c in text)


def size_of(manifest: Mapping[str, Any]) -> int:
    return int(sum(part["size"] for part in (manifest["config"], *manifest["layers"])))
