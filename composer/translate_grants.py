"""Secrets and configs of a service as files of its containers. Pure."""

from collections.abc import Iterable, Mapping

from composer.model.parts import Grant
from composer.model.service import Service
from composer.plan.desired import Content
from runtime import FileGrant

_READABLE = 0o444  # as the reference has it


def translate_grants(service: Service) -> tuple[FileGrant, ...]:
    """One file for each; a user or group that is no number is left out here and told by `grant_problems`."""
    secrets = (
        _grant(item, f"secrets/{item.source}", "/run/secrets", item.target or item.source)
        for item in service.secrets
    )
    configs = (
        _grant(item, f"configs/{item.source}", "", item.target or item.source) for item in service.configs
    )
    return (*secrets, *configs)


def _grant(item: Grant, content: str, folder: str, target: str) -> FileGrant:
    return FileGrant(
        target=target if target.startswith("/") else f"{folder}/{target}",
        content=content,
        uid=int(item.uid) if item.uid.isdigit() else 0,
        gid=int(item.gid) if item.gid.isdigit() else 0,
        mode=_READABLE if item.mode is None else item.mode,
    )


def grant_problems(service: Service) -> tuple[str, ...]:
    """What of the grants cannot be: user names, which only the container's own files could resolve."""
    return tuple(
        f"{item.source}: {what} {value!r} is not a number"
        for item in (*service.secrets, *service.configs)
        for what, value in (("uid", item.uid), ("gid", item.gid))
        if value and not value.isdigit()
    )


def content_fields(names: Iterable[str], contents: Mapping[str, Content]) -> dict[str, str]:
    """Attribute path -> short hash, for what names the cause of a recreate."""
    return {f"content of {name}": contents[name].digest[:12] for name in names if name in contents}
