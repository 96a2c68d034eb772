"""What a caller asks of a build: `BuildRequest`, light and JSON, because it waits in the plan cache. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class BuildSecret(NamedTuple):
    """A file or a variable (by its name, read when the build runs) that `RUN --mount=type=secret` may see."""

    id: str
    file: str = ""
    environment: str = ""


class BuildRequest(NamedTuple):
    """One image to build. Compose's `build:`, names of services and paths resolved.

    `context` is a folder, a tar archive, a git or http URL, or "-" (an archive or Dockerfile on standard input).
    An argument without a value (None) is taken from nothing: it is as if not given.
    """

    context: str
    names: tuple[str, ...] = ()
    dockerfile: str = ""  # relative to the context; "" = Dockerfile
    dockerfile_inline: str = ""
    args: Mapping[str, str | None] = {}
    target: str = ""
    labels: Mapping[str, str] = {}
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    network: str = ""  # "" or "default", "none", "host"
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    platforms: tuple[str, ...] = ()
    secrets: tuple[BuildSecret, ...] = ()
    ssh: Mapping[str, str] = {}  # id -> socket or key, "" = $SSH_AUTH_SOCK
    additional_contexts: Mapping[str, str] = {}
    shm_size_bytes: int = 0
    ulimits: tuple[tuple[str, int, int], ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    privileged: bool = False
    entitlements: tuple[str, ...] = ()

    @property
    def given(self) -> dict[str, str]:
        """The build arguments that have a value."""
        return {name: value for name, value in self.args.items() if value is not None}


_DEFAULTS: dict[str, Any] = BuildRequest._field_defaults
# What an additional context of another service's image is written as: it is never looked for in a registry.
LOCAL_IMAGE = "local-image://"


def build_to_json(request: BuildRequest) -> dict[str, Any]:
    """A JSON object with only the fields that differ from their defaults."""
    fields = zip(request._fields, request, strict=True)
    out = {key: value for key, value in fields if key not in _DEFAULTS or value != _DEFAULTS[key]}
    if "secrets" in out:
        out["secrets"] = [list(secret) for secret in request.secrets]
    return out


def build_from_json(data: Mapping[str, Any]) -> BuildRequest:
    """The inverse of `build_to_json`."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
    }
    for key in ("ulimits", "extra_hosts"):
        if key in fields:
            fields[key] = tuple(tuple(item) for item in fields[key])
    if "secrets" in fields:
        fields["secrets"] = tuple(BuildSecret(*item) for item in fields["secrets"])
    return BuildRequest(**fields)
