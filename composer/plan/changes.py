"""Says what changed between a container and what its service wants now. Pure."""

from composer.plan.desired import DesiredService
from composer.plan.observed import ObservedContainer


def describe_change(service: DesiredService, container: ObservedContainer) -> str:
    """The attributes that differ, with the line of each: "environment.DEBUG changed (compose.yaml:14:7)"."""
    changed = sorted(
        path
        for path in {*service.fields, *container.fields}
        if service.fields.get(path) != container.fields.get(path)
    )
    if not changed:
        return "its definition changed"
    described = []
    for path in changed[:3]:
        verb = "changed"
        if path not in container.fields:
            verb = "added"
        elif path not in service.fields:
            verb = "removed"
        origin = service.origins.get(path, "")
        described.append(f"{path} {verb}" + (f" ({origin})" if origin and verb != "removed" else ""))
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return ", ".join(described) + more
