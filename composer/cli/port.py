"""`port`: the address that a container's port is reached at."""

from typing import NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.plan.selection import check_services


class Arguments(NamedTuple):
    service: str = ""
    private_port: str = ""
    protocol: str = "tcp"
    number: int = 0


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `port`: print the first address. Raises ComposeError where nothing is published."""
    text, _, protocol = arguments.private_port.partition("/")
    protocol = protocol or arguments.protocol
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ComposeError(f"{arguments.private_port!r} is not a port", hint="pycompose port SERVICE PORT")
    desired = context.existing((arguments.service,))
    check_services(desired, (arguments.service,))
    which = f" container #{arguments.number}" if arguments.number else ""
    for container in context.engine.containers.list(desired.project):
        if container.service != arguments.service or container.live is None:
            continue
        if arguments.number and container.number != arguments.number:
            continue
        published = container.live.ports
        for port in published:
            if (port.container_port, port.protocol) == (int(text), protocol):
                # In a routed network there is no port of the host.
                at = (
                    (port.host_ip, port.host_port)
                    if port.host_port
                    else (port.direct_ip, port.container_port)
                )
                host = f"[{at[0]}]" if ":" in at[0] else at[0]
                context.out.line(f"{host}:{at[1]}")
                return 0
        known = ", ".join(dict.fromkeys(f"{port.container_port}/{port.protocol}" for port in published))
        raise ComposeError(
            f"no port {text}/{protocol} for container {container.name}",
            hint=f"published: {known}" if known else "it publishes none",
        )
    raise ComposeError(
        f'service "{arguments.service}" is not running{which}', hint="start it with `pycompose up`"
    )
