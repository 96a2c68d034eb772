"""Which services a command line means. Pure."""

from collections.abc import Iterable

from composer.errors import SelectionError
from composer.plan.desired import Desired, DesiredService


def select_services(
    desired: Desired, names: tuple[str, ...], *, no_deps: bool = False
) -> tuple[DesiredService, ...]:
    """The named services with what they depend on, or all; in dependency order. Raises SelectionError."""
    by_name = {service.name: service for service in desired.services}
    for name in names:
        if name not in by_name:
            raise SelectionError(
                f"no such service: {name}",
                hint=f"the project has: {', '.join(sorted(by_name)) or 'no services'}",
            )
    if not names:
        return desired.services
    wanted: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in wanted:
            continue
        wanted.add(name)
        if not no_deps:
            pending += [item.service for item in by_name[name].depends_on if item.service in by_name]
    return tuple(service for service in desired.services if service.name in wanted)


def check_services(desired: Desired, names: Iterable[str]) -> None:
    """Raise SelectionError if a name is not a service of the file."""
    known = {service.name for service in desired.services} | set(desired.inactive)
    for name in names:
        if name not in known:
            raise SelectionError(
                f"no such service: {name}",
                hint=f"the project has: {', '.join(sorted(known)) or 'no services'}",
            )
