"""Images out of the store: docker-archive, oci-archive, OCI layout, and the plain tar of a root file system."""

import io
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from runtime.errors import InvalidError
from runtime.image.differ import write_tree
from runtime.image.intake import workspace
from runtime.image.manifest import OCI_INDEX, OCI_MANIFEST
from runtime.image.snapshot import mount_snapshot, plan_snapshot, prepare_layer_dir
from runtime.image.store import REF_NAME, ImageStore, encode_json, name_of
from runtime.linux import constants as k
from runtime.linux import syscalls

FORMATS = ("docker-archive", "oci-archive", "oci-dir")
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def save_images(store: ImageStore, names: Sequence[str], output: str, format: str) -> None:
    """Write images to a file ("-" = standard output), or with oci-dir into a folder. Raises NotFoundError, OSError."""
    if format not in FORMATS:
        raise InvalidError(f"format {format!r} is not one of {', '.join(FORMATS)}")
    if format == "oci-dir":
        if output == "-":
            raise InvalidError("a layout is a folder: name it with --output")
        _save_layout(store, names, output)
        return
    with _opened(output) as file, tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        if format == "oci-archive":
            _add(archive, "oci-layout", _LAYOUT)
            _add(archive, "index.json", encode_json(_index(store, names)))
            for digest in _blobs(store, names):
                archive.add(
                    store.blob(digest),
                    arcname=f"blobs/sha256/{digest.removeprefix('sha256:')}",
                    filter=_plain,
                )
        else:
            _save_docker(store, names, archive)


@contextmanager
def _opened(output: str) -> Iterator[IO[bytes]]:
    """A file that is there completely or not at all."""
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    temporary = f"{output}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            yield file
        os.rename(temporary, output)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime, info.mode = 0, 0o644
    return info


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    archive.addfile(info, io.BytesIO(data))


def _index(store: ImageStore, names: Sequence[str]) -> dict[str, object]:
    entries = []
    for name in names:
        entry = store.find_entry(name)
        described: dict[str, object] = {
            "mediaType": OCI_MANIFEST,
            "digest": entry["digest"],
            "size": os.stat(store.blob(entry["digest"])).st_size,
        }
        if name_of(entry):
            described["annotations"] = {REF_NAME: name_of(entry)}
        entries.append(described)
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}


def _blobs(store: ImageStore, names: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        digest = store.find_entry(name)["digest"]
        manifest = store.manifest(digest)
        for item in (
            digest,
            manifest["config"]["digest"],
            *(layer["digest"] for layer in manifest["layers"]),
        ):
            found[item] = None
    return list(found)


def _save_layout(store: ImageStore, names: Sequence[str], folder: str) -> None:
    os.makedirs(f"{folder}/blobs/sha256", exist_ok=True)
    for digest in _blobs(store, names):
        shutil.copyfile(store.blob(digest), f"{folder}/blobs/sha256/{digest.removeprefix('sha256:')}")
    with open(f"{folder}/oci-layout", "wb") as file:
        file.write(_LAYOUT)
    with open(f"{folder}/index.json", "wb") as file:
        file.write(encode_json(_index(store, names)))


def _save_docker(store: ImageStore, names: Sequence[str], archive: tarfile.TarFile) -> None:
    listed: dict[str, dict[str, object]] = {}
    written: set[str] = set()
    for name in names:
        entry = store.find_entry(name)
        manifest = store.manifest(entry["digest"])
        config = str(manifest["config"]["digest"]).removeprefix("sha256:")
        layers = [str(layer["digest"]).removeprefix("sha256:") for layer in manifest["layers"]]
        for digest, target in ((config, f"{config}.json"), *((layer, f"{layer}.tar") for layer in layers)):
            if target not in written:
                archive.add(store.blob(f"sha256:{digest}"), arcname=target, filter=_plain)
                written.add(target)
        image = listed.setdefault(
            config,
            {"Config": f"{config}.json", "RepoTags": [], "Layers": [f"{layer}.tar" for layer in layers]},
        )
        if name_of(entry):
            image["RepoTags"].append(_familiar(name_of(entry)))  # type: ignore[attr-defined]
    _add(archive, "manifest.json", b"[" + b",".join(encode_json(item) for item in listed.values()) + b"]")


def _familiar(name: str) -> str:
    from runtime.oci.reference import parse_reference

    return parse_reference(name).familiar


def export_image(store: ImageStore, name: str, output: str) -> None:
    """The root file system of an image as one plain tar. In a process of its own: it mounts. Raises NotFoundError."""
    image = store.resolve(name)
    syscalls.unshare(k.CLONE_NEWNS)
    syscalls.mount(None, "/", None, k.MS_REC | k.MS_SLAVE, None)
    with workspace(store) as space:
        root = f"{space}/rootfs"
        os.makedirs(root)
        os.makedirs(f"{space}/empty", mode=0o755)
        image = image._replace(layers=image.layers or (f"{space}/empty",))
        mounts = plan_snapshot(image, f"{space}/layer")
        prepare_layer_dir(mounts)
        mount_snapshot(mounts, root)
        try:
            with (
                _opened(output) as file,
                tarfile.open(
                    fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, errors="surrogateescape"
                ) as archive,
            ):
                write_tree(archive, root, whiteouts=False)
        finally:
            syscalls.umount2(root)
