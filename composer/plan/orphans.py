"""Plans for containers of services that the file does not have (any more). Pure."""

from typing import Any

from composer.plan.action import Kind, PlanBuilder
from composer.plan.desired import Desired
from composer.plan.hooks import add_stop
from composer.plan.observed import ObservedContainer, ObservedState

ORPHANS_FOUND = "found orphan containers"


def find_orphans(desired: Desired, observed: ObservedState) -> tuple[ObservedContainer, ...]:
    """Containers of the project whose service is not in the file; one-off ones and inactive profiles are not."""
    known = {service.name for service in desired.services} | set(desired.inactive)
    return tuple(
        container
        for container in observed.containers
        if container.service not in known and not container.oneoff and not container.leftover
    )


def plan_orphans(
    builder: PlanBuilder, desired: Desired, observed: ObservedState, *, remove: bool
) -> list[int]:
    """Remove the orphans, or warn about them; the ids of the removals."""
    orphans = find_orphans(desired, observed)
    if not remove:
        if orphans:
            names = ", ".join(container.name for container in orphans)
            builder.warn(
                f"{ORPHANS_FOUND} ({names}) of this project; if you removed or renamed their service in the"
                " compose file, --remove-orphans takes them away"
            )
        return []
    removals = []
    for container in orphans:
        details: dict[str, Any] = {"service": container.service, "container_id": container.id}
        needs = (add_stop(builder, container, "orphan"),) if container.live else ()
        removals.append(builder.add(Kind.REMOVE, container.name, "orphan", needs=needs, **details))
    return removals
