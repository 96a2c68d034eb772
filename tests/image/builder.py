"""Small images made by hand: layers from a description, in an OCI layout, broken in any way a test wants."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image."


def tar_of(files: Mapping[str, str | None]) -> bytes:
    """A tar with files by name; None makes a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                info.size = len(content.encode())
                tar.addfile(info, io.BytesIO(content.encode()))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    """An OCI layout under construction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self._entries: list[dict[str, Any]] = []

    def blob(self, data: bytes) -> dict[str, Any]:
        (self.path / "blobs/sha256" / digest(data)[7:]).write_bytes(data)
        return {"digest": digest(data), "size": len(data)}

    def image(
        self,
        tag: str,
        layers: Sequence[bytes],
        *,
        config: Mapping[str, Any] | None = None,
        packed: bool = True,
        diff_ids: Sequence[str] | None = None,
        change: Mapping[str, Any] | None = None,
    ) -> str:
        """Add an image of plain tars; its manifest's digest. `change` replaces keys of the manifest."""
        blobs = [gzip.compress(layer, 1, mtime=0) if packed else layer for layer in layers]
        document = {
            "architecture": "amd64",
            "os": "linux",
            "config": dict(config or {"Cmd": ["sh"]}),
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids or [digest(layer) for layer in layers])},
        }
        suffix = "+gzip" if packed else ""
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}manifest.v1+json",
            "config": {"mediaType": f"{OCI}config.v1+json", **self.blob(json.dumps(document).encode())},
            "layers": [{"mediaType": f"{OCI}layer.v1.tar{suffix}", **self.blob(blob)} for blob in blobs],
            **(change or {}),
        }
        entry = {"mediaType": f"{OCI}manifest.v1+json", **self.blob(json.dumps(manifest).encode())}
        self._entries.append({**entry, "annotations": {"org.opencontainers.image.ref.name": tag}})
        document = {"schemaVersion": 2, "manifests": self._entries}
        (self.path / "index.json").write_text(json.dumps(document))
        return str(entry["digest"])
