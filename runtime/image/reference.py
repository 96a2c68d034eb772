"""Names of images: parsing and the full form they are stored under. Pure.

"web" is "docker.io/library/web:latest" (distribution reference grammar); users see the short form again.
"""

import re
from typing import NamedTuple

from runtime.errors import InvalidError

_DEFAULT_DOMAIN = "docker.io"
_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


class Reference(NamedTuple):
    """A complete reference; with a `digest` the tag may be ""."""

    domain: str
    path: str
    tag: str
    digest: str = ""

    def __str__(self) -> str:
        """The full form, docker.io/library/web:latest."""
        text = f"{self.domain}/{self.path}"
        text += f":{self.tag}" if self.tag else ""
        return text + (f"@{self.digest}" if self.digest else "")

    @property
    def repository(self) -> str:
        """The short form without tag, as users write it."""
        if self.domain != _DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        return self.path.removeprefix("library/")

    @property
    def familiar(self) -> str:
        """The short form, web:latest."""
        text = self.repository + (f":{self.tag}" if self.tag else "")
        return text + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """A reference in any of its forms. Raises InvalidError."""
    name, _, digest = text.partition("@")
    domain, slash, rest = name.partition("/")
    if not slash or not ("." in domain or ":" in domain or domain == "localhost" or domain != domain.lower()):
        domain, rest = _DEFAULT_DOMAIN, name
    path, colon, tag = rest.partition(":")
    if domain == _DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    if not colon and not digest:
        tag = "latest"
    valid = (
        _DOMAIN.match(domain)
        and all(_PART.match(part) for part in path.split("/"))
        and (_TAG.match(tag) or (not colon and digest))
        and (not digest or _DIGEST.match(digest))
        and len(text) <= 512
        and not (text.endswith("@"))
    )
    if not valid:
        raise InvalidError(
            f"{text!r} is not a valid image name",
            hint="lower-case letters, digits and .-_/ with an optional :tag, such as example/web:1.2",
        )
    return Reference(domain, path, tag, digest)
