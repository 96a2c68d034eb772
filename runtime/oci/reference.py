"""Image references: what stands behind `image:`. Pure.

    web  web:1.2  user/web  registry.example:5000/team/web:1.2@sha256:…     an image by name
    host:/                                                              the host's own system, copy-on-write
    rootfs:/path                                                        a directory
    oci:/path[:tag]                                                     an OCI image layout
    oci-archive:/path.tar[:tag]  docker-archive:/path.tar[:name:tag]    saved images (containers-transports(5))

Grammar and short names are the distribution project's: no host means docker.io, no slash means library/,
no tag and no digest means latest.
"""

import re
from typing import NamedTuple

from runtime.errors import InvalidError
from runtime.oci.digest import parse_digest

REGISTRY = "registry"
HOST = "host"
ROOTFS = "rootfs"
OCI = "oci"
OCI_ARCHIVE = "oci-archive"
DOCKER_ARCHIVE = "docker-archive"
_TAGGED = (OCI, OCI_ARCHIVE, DOCKER_ARCHIVE)

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?", re.ASCII)
_MAX_NAME = 255


class Reference(NamedTuple):
    """A parsed reference. `path` is set for all transports but "registry", the other parts only for that one.

    A layout or archive may have a `tag` too.
    """

    transport: str = REGISTRY
    registry: str = ""
    repository: str = ""
    tag: str = ""
    digest: str = ""
    path: str = ""

    @property
    def name(self) -> str:
        """Registry and repository: docker.io/library/web."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar(self) -> str:
        """The short form people write: web:latest."""
        if self.transport != REGISTRY:
            return str(self)
        name = self.repository if self.registry == "docker.io" else self.name
        if self.registry == "docker.io" and name.startswith("library/"):
            name = name[8:]
        return name + self._suffix()

    def __str__(self) -> str:
        if self.transport == REGISTRY:
            return self.name + self._suffix()
        return f"{self.transport}:{self.path}" + (f":{self.tag}" if self.tag else "")

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """A reference with everything implied written out. Raises InvalidError, ImageError for a bad digest."""
    transport, colon, rest = text.partition(":")
    if colon and transport in (HOST, ROOTFS, *_TAGGED) and rest.startswith(("/", ".")):
        return _parse_path(transport, rest, text)
    name, at, digest = text.partition("@")
    if at:
        digest = str(parse_digest(digest))
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    name = f"{head}{slash}{last}"
    if colon and not _TAG.fullmatch(tag):
        raise _invalid(text, f"{tag!r} is not a tag")
    registry, repository = _split(name)
    if not _REGISTRY.fullmatch(registry):
        raise _invalid(text, f"{registry!r} is not a registry")
    if not _REPOSITORY.fullmatch(repository) or len(name) > _MAX_NAME:
        hint = "names are lower-case" if repository.lower() != repository else f"{repository!r} is not a name"
        raise _invalid(text, hint)
    if not tag and not digest:
        tag = "latest"
    return Reference(REGISTRY, registry, repository, tag, digest)


def _split(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        registry, repository = ("docker.io" if first == "index.docker.io" else first), rest
    else:
        registry, repository = "docker.io", name
    if registry == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository


def _parse_path(transport: str, rest: str, text: str) -> Reference:
    tag = ""
    if transport == DOCKER_ARCHIVE:
        rest, _, tag = rest.partition(":")
    elif transport in _TAGGED:
        head, colon, last = rest.rpartition(":")
        if colon and "/" not in last:
            rest, tag = head, last
            if not _TAG.fullmatch(tag):
                raise _invalid(text, f"{tag!r} is not a tag")
    if "\0" in rest:
        raise _invalid(text, "a path has no NUL character")
    if transport == HOST and rest != "/":
        raise _invalid(text, "only host:/ is known; for a directory write rootfs:/path")
    return Reference(transport, tag=tag, path=rest)


def _invalid(text: str, hint: str) -> InvalidError:
    return InvalidError(f"{text!r} is not an image reference", hint=hint)
