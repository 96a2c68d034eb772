"""`commit`: make an image of what a service's container has written."""

from composer.cli.context import Context
from composer.errors import SelectionError


def run(
    context: Context,
    *,
    service: str,
    name: str,
    author: str,
    changes: tuple[str, ...],
    message: str,
    pause: bool,
    number: int,
) -> int:
    """Carry out `commit`; the exit code."""
    desired = context.desired()
    if service not in [item.name for item in desired.services]:
        raise SelectionError(f"no such service: {service}")
    found = [
        container
        for container in context.engine.containers.list(desired.project)
        if container.service == service and number in (0, container.number)
    ]
    if not found:
        raise SelectionError(
            f"service {service} has no container {number or ''}".rstrip(), hint="use `pycompose up`"
        )
    if context.only_tells(f"commit container {found[0].name} as image {name or '<none>'}"):
        return 0
    image_id = context.engine.images.commit(
        found[0].id, name, changes=changes, author=author, message=message, pause=pause
    )
    context.out.line(image_id)
    return 0
