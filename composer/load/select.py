"""Which services a run is about: active profiles, names on the command line, and what these use. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from composer.errors import SelectionError

ALL = "*"


def active_services(
    services: Mapping[str, Any], profiles: Iterable[str], named: Iterable[str]
) -> tuple[str, ...]:
    """Names of services without profiles, with an active one, or with a profile of a service that was named.

    Raises SelectionError for a name that does not exist.
    """
    active = set(profiles)
    for name in named:
        if name not in services:
            import difflib

            close = difflib.get_close_matches(name, list(services), n=1)
            hint = f"did you mean {close[0]!r}?" if close else "services: " + ", ".join(services)
            raise SelectionError(f"no such service: {name}", hint=hint)
        own = services[name].get("profiles") or ()
        if own and not active & set(own):
            active.update(own)
    return tuple(
        name
        for name, service in services.items()
        if ALL in active or not service.get("profiles") or active & set(service["profiles"])
    )


def with_dependencies(services: Mapping[str, Any], named: Iterable[str]) -> tuple[str, ...]:
    """`named` and everything they depend on, in the order of `services`."""
    wanted: set[str] = set()
    pending = list(named)
    while pending:
        name = pending.pop()
        if name not in wanted and name in services:
            wanted.add(name)
            pending.extend(services[name].get("depends_on") or ())
    return tuple(name for name in services if name in wanted)


def used_resources(tree: Mapping[str, Any], services: Iterable[str]) -> dict[str, set[str]]:
    """Keys of networks, volumes, secrets, configs and models that the services use, by section."""
    used: dict[str, set[str]] = {s: set() for s in ("networks", "volumes", "secrets", "configs", "models")}
    for name in services:
        service = tree["services"][name]
        used["networks"].update(service.get("networks") or ())
        used["models"].update(service.get("models") or ())
        for mount in service.get("volumes") or ():
            if mount.get("type") == "volume" and mount.get("source"):
                used["volumes"].add(mount["source"])
        build = service.get("build") or {}
        for section in ("secrets", "configs"):
            for grant in [*(service.get(section) or ()), *(build.get(section) or ())]:
                used[section].add(grant["source"])
        credential = service.get("credential_spec") or {}
        if credential.get("config"):
            used["configs"].add(credential["config"])
    return used
