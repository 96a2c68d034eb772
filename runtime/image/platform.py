"""Platforms of images: os/architecture/variant (OCI image-spec image-index.md), and which of several to take. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runtime.errors import InvalidError

# What uname(2) calls a machine -> GOARCH and variant, as OCI wants them.
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "riscv64": ("riscv64", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
}
# Other names that people write.
_ALIASES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "i386": ("386", ""),
}
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7", "amd64": "v1"}


class Platform(NamedTuple):
    """One platform; a default variant (arm64's v8) is left out."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}" + (f"/{self.variant}" if self.variant else "")


def host_platform(machine: str) -> Platform:
    """The platform of a machine by its uname(2) name."""
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return _plain(Platform("linux", architecture, variant))


def parse_platform(text: str, host: Platform) -> Platform:
    """`linux/arm64/v8`, `linux/amd64`, `arm64` or `linux`; what is missing is the host's. Raises InvalidError."""
    parts = text.lower().split("/")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise InvalidError(f"{text!r} is not a platform", hint="write it as linux/amd64 or linux/arm64/v8")
    if len(parts) == 1:
        if parts[0] == "linux":
            return host
        parts = ["linux", *parts]
    system, architecture = parts[0], parts[1]
    variant = parts[2] if len(parts) == 3 else ""
    if architecture in _ALIASES:
        architecture, implied = _ALIASES[architecture]
        variant = variant or implied
    return _plain(Platform(system, architecture, variant))


def platform_of(document: Mapping[str, Any]) -> Platform:
    """The platform of an index entry's `platform` object or of an image configuration."""
    return _plain(
        Platform(
            str(document.get("os") or "linux"),
            str(document.get("architecture") or ""),
            str(document.get("variant") or ""),
        )
    )


def _plain(platform: Platform) -> Platform:
    if _DEFAULT_VARIANTS.get(platform.architecture) == platform.variant:
        return platform._replace(variant="")
    return platform


def choose_manifest(entries: Sequence[Mapping[str, Any]], wanted: Platform) -> Mapping[str, Any] | None:
    """The entry of an index for a platform: the same variant, else the best lower one, else None."""
    candidates = []
    for entry in entries:
        described = entry.get("platform")
        if not isinstance(described, Mapping):
            # An index of one image that says nothing of its platform.
            found = wanted if len(entries) == 1 else None
        else:
            found = platform_of(described)
        if found is None or found[:2] != wanted[:2]:
            continue
        if found.variant == wanted.variant:
            return entry
        if wanted.architecture == "arm" and found.variant > (wanted.variant or "v7"):
            continue
        candidates.append((found.variant, entry))
    if not candidates:
        return None
    # An arm machine runs all lower variants; the highest is best. For others the plainest is.
    ordered = sorted(candidates, key=lambda item: item[0], reverse=wanted.architecture == "arm")
    return ordered[0][1]
