"""Content digests (OCI image-spec descriptor.md: digests) and chain ids (config.md: layer chainid). Pure."""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from runtime.errors import ImageError

# Hexadecimal length per algorithm the specification registers.
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = frozenset("0123456789abcdef")


class Digest(NamedTuple):
    """`algorithm:hex`, checked."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def blob_path(self) -> str:
        """Where an OCI image layout keeps it, relative to the layout."""
        return f"blobs/{self.algorithm}/{self.hex}"


def parse_digest(text: str) -> Digest:
    """Raises ImageError for anything that is not a digest; nothing else may become part of a path."""
    algorithm, _, encoded = text.partition(":")
    if _LENGTHS.get(algorithm) != len(encoded) or not _HEX.issuperset(encoded):
        raise ImageError(f"{text!r} is not a digest", hint="sha256: and 64 lower-case hexadecimal digits")
    return Digest(algorithm, encoded)


def digest_of(content: bytes) -> Digest:
    """The sha256 digest of bytes."""
    return Digest("sha256", sha256(content).hexdigest())


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """For each layer the id of it and all below: the first is its diff id, then sha256("PARENT DIFFID")."""
    result: list[str] = []
    for diff_id in diff_ids:
        parse_digest(diff_id)
        result.append(str(digest_of(f"{result[-1]} {diff_id}".encode())) if result else diff_id)
    return result
