"""Saved images into the store: docker-archive, oci-archive and OCI layouts (containers-transports(5)).

An archive is read where it lies, layers side by side; only standard input is written to a file first.
"""

import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

from runtime.errors import ImageError, InvalidError, NotFoundError
from runtime.image.archive import opened
from runtime.image.intake import NewLayer, commit, take_layer, workspace
from runtime.image.manifest import (
    DOCKER_MANIFEST,
    MOST_CONFIG_BYTES,
    MOST_MANIFEST_BYTES,
    is_index,
    media_type_of,
    parse_diff_ids,
    parse_index,
    parse_json,
    parse_manifest,
    to_oci,
)
from runtime.image.platform import choose_manifest, host_platform
from runtime.image.store import ORIGINAL, REF_NAME, ImageStore
from runtime.image.stream import chunks
from runtime.image.workers import run_parallel
from runtime.oci.digest import digest_of, parse_digest
from runtime.oci.reference import DOCKER_ARCHIVE, OCI, OCI_ARCHIVE, Reference, parse_reference

_MOST_LIST_BYTES = 4 << 20
_WORKERS = max(2, min(4, os.cpu_count() or 1))
_MOST_DEPTH = 3


class _Files:
    """The files of an archive or a folder, by name."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._members: dict[str, tarfile.TarInfo] = {}
        self._folder = os.path.isdir(path)
        if not self._folder:
            try:
                with tarfile.open(path) as archive:
                    self._members = {member.name.removeprefix("./"): member for member in archive}
            except (tarfile.TarError, EOFError, OSError) as error:
                raise ImageError(f"{path} is no tar archive: {error}") from error

    def has(self, name: str) -> bool:
        return os.path.isfile(f"{self.path}/{name}") if self._folder else self._find(name) is not None

    def _find(self, name: str) -> tarfile.TarInfo | None:
        member = self._members.get(os.path.normpath(name))
        for _ in range(4):  # old archives link equal layers to each other
            if member is None or not (member.issym() or member.islnk()):
                break
            base = os.path.dirname(member.name) if member.issym() else ""
            member = self._members.get(os.path.normpath(os.path.join(base, member.linkname)))
        return member if member is not None and member.isfile() else None

    def read(self, name: str, limit: int) -> bytes:
        """A small file. Raises ImageError."""
        data = b"".join(self.chunks(name, limit + 1))
        if len(data) > limit:
            raise ImageError(f"{name} in {self.path} is absurdly large")
        return data

    def chunks(self, name: str, limit: int = 1 << 62) -> Iterator[bytes]:
        """A file in pieces. Raises ImageError."""
        if self._folder:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            try:
                with os.fdopen(os.open(f"{self.path}/{name}", flags), "rb") as file:
                    yield from _limited(file, limit)
            except OSError as error:
                raise ImageError(f"{name} in {self.path} can't be read: {error.strerror}") from error
            return
        member = self._find(name)
        if member is None:
            raise ImageError(f"{name} is missing in {self.path}")
        with tarfile.open(self.path) as archive:
            source = archive.extractfile(member)
            assert source is not None
            yield from _limited(source, limit)


def _limited(source: IO[bytes], limit: int) -> Iterator[bytes]:
    for chunk in chunks(source):
        yield chunk[:limit]
        limit -= len(chunk)
        if limit <= 0:
            return


class _Saved(NamedTuple):
    """One image in an archive. `blobs` are file names, one for each layer."""

    names: tuple[str, ...]
    config: bytes
    blobs: tuple[str, ...]
    digests: tuple[str, ...] = ()  # OCI: what each blob must have
    manifest: Mapping[str, Any] = {}
    original: bytes = b""


def load_archive(store: ImageStore, path: str) -> list[str]:
    """Every image of an archive, an OCI layout, or "-" (an archive on standard input); their names or ids."""
    if path != "-" and not os.path.exists(path):
        raise NotFoundError(f"archive {path} is not there")
    with workspace(store) as space:
        if path == "-":
            path = f"{space}/archive"
            with opened("-") as source, open(path, "wb") as file:
                for chunk in chunks(source):
                    file.write(chunk)
        files = _Files(path)
        return [_take(store, files, saved, _references(saved), space) for saved in _list(files)]


def load_transport(store: ImageStore, text: str) -> str:
    """The one image that `oci:PATH:TAG`, `oci-archive:…` or `docker-archive:…` names, kept under that very name."""
    reference = parse_reference(text)
    if reference.transport not in (OCI, OCI_ARCHIVE, DOCKER_ARCHIVE):
        raise InvalidError(f"{text} is no archive")
    path = os.path.abspath(reference.path)
    if not os.path.exists(path):
        raise NotFoundError(f"{text}: {path} is not there")
    with workspace(store) as space:
        files = _Files(path)
        saved = [item for item in _list(files) if not reference.tag or _is_named(item, reference.tag)]
        if not saved:
            raise NotFoundError(f"{text}: there is no image {reference.tag} in it")
        if len(saved) > 1:
            known = ", ".join(name for item in saved for name in item.names)
            raise InvalidError(f"{text}: there are several images in it", hint=f"add one of {known}")
        _take(store, files, saved[0], [reference], space)
    return str(reference)


def _is_named(saved: _Saved, wanted: str) -> bool:
    for name in saved.names:
        if name == wanted or name.endswith(f":{wanted}"):
            return True
        try:
            if parse_reference(name) == parse_reference(wanted):
                return True
        except InvalidError:
            continue
    return False


def _references(saved: _Saved) -> list[Reference]:
    found = []
    for name in saved.names:
        try:
            reference = parse_reference(name)
        except InvalidError:
            continue
        # A layout's ref.name may be a mere tag, which is no name to call an image by here.
        if "/" in name or ":" in name:
            found.append(reference)
    return found


def _list(files: _Files) -> list[_Saved]:
    if files.has("manifest.json"):
        return [_docker(files, item) for item in _docker_list(files)]
    if files.has("index.json"):
        document = parse_json(files.read("index.json", _MOST_LIST_BYTES), "index.json")
        return [_oci(files, entry) for entry in parse_index(document)]
    raise ImageError(
        f"{files.path} is no saved image", hint="a root filesystem is imported with `pycompose image import`"
    )


def _docker_list(files: _Files) -> list[Mapping[str, Any]]:
    try:
        items = json.loads(files.read("manifest.json", _MOST_LIST_BYTES))
    except ValueError as error:
        raise ImageError(f"manifest.json in {files.path} is no JSON: {error}") from error
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ImageError(f"manifest.json in {files.path} is no list of images")
    return items


def _docker(files: _Files, item: Mapping[str, Any]) -> _Saved:
    layers = item.get("Layers")
    if not isinstance(item.get("Config"), str) or not isinstance(layers, list):
        raise ImageError(f"manifest.json in {files.path} names no Config or no Layers")
    config = files.read(item["Config"], MOST_CONFIG_BYTES)
    named = os.path.basename(item["Config"]).removesuffix(".json")
    if len(named) == 64 and digest_of(config).hex != named:
        raise ImageError(f"{item['Config']} in {files.path} has other content than its name says")
    return _Saved(tuple(str(name) for name in item.get("RepoTags") or ()), config, tuple(map(str, layers)))


def _oci(files: _Files, entry: Mapping[str, Any]) -> _Saved:
    name = str((entry.get("annotations") or {}).get(REF_NAME) or "")
    for _ in range(_MOST_DEPTH):
        data = _blob(files, str(entry["digest"]), MOST_MANIFEST_BYTES)
        document = parse_json(data, "a manifest")
        kind = media_type_of(document, str(entry.get("mediaType") or ""))
        if not is_index(kind):
            manifest = parse_manifest(document, kind)
            return _Saved(
                (name,) if name else (),
                _blob(files, manifest.config.digest, MOST_CONFIG_BYTES),
                tuple(_blob_name(layer.digest) for layer in manifest.layers),
                tuple(layer.digest for layer in manifest.layers),
                to_oci(document),
                data if kind == DOCKER_MANIFEST else b"",
            )
        wanted = host_platform(os.uname().machine)
        chosen = choose_manifest(parse_index(document), wanted)
        if chosen is None:
            raise NotFoundError(f"{name or files.path} does not exist for {wanted}")
        entry = chosen
    raise ImageError(f"{files.path}: indexes within indexes within indexes")


def _blob_name(digest: str) -> str:
    return parse_digest(digest).blob_path


def _blob(files: _Files, digest: str, limit: int) -> bytes:
    data = files.read(_blob_name(digest), limit)
    if str(digest_of(data)) != digest:
        raise ImageError(f"blob {digest} in {files.path} has other content")
    return data


def _take(
    store: ImageStore, files: _Files, saved: _Saved, references: Sequence[Reference], space: str
) -> str:
    document = parse_json(saved.config, "the configuration of the image")
    diff_ids = parse_diff_ids(document, len(saved.blobs))
    folder = f"{space}/{os.urandom(4).hex()}"
    os.mkdir(folder)

    def work(number: int, _: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
        return take_layer(files.chunks(saved.blobs[number]), f"{folder}/{number}")._asdict()

    answers = run_parallel(range(len(saved.blobs)), work, lambda _: None, workers=_WORKERS)
    layers = [NewLayer(**{**answer, "implied": tuple(answer["implied"])}) for answer in answers]
    for layer, diff_id, name in zip(layers, diff_ids, saved.blobs, strict=True):
        if layer.diff_id != diff_id:
            raise ImageError(f"layer {name} in {files.path} is not the one the image is made of")
    for layer, digest in zip(layers, saved.digests, strict=False):
        if layer.digest != digest:
            raise ImageError(f"blob {digest} in {files.path} has other content")
    annotations = {ORIGINAL: str(digest_of(saved.original))} if saved.original else {}
    image_id = commit(
        store,
        references,
        saved.config,
        layers,
        manifest=saved.manifest or None,
        originals=[saved.original] if saved.original else [],
        annotations=annotations,
    )
    return references[0].familiar if references else image_id
