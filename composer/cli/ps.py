"""`ps`: list the project's containers. Takes no lock and imports nothing heavy."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.formats import check_format, format_list
from composer.output.ports import ShownPort, parse_exposed, render_ports
from composer.output.tables import describe_duration, quote_command
from composer.plan.selection import check_services
from runtime import Container

_HEADINGS = {
    "Command": "COMMAND", "CreatedAt": "CREATED AT", "ExitCode": "EXIT CODE", "Health": "HEALTH",
    "ID": "CONTAINER ID", "Image": "IMAGE", "Labels": "LABELS", "LocalVolumes": "LOCAL VOLUMES", "Mounts": "MOUNTS",
    "Name": "NAME", "Names": "NAMES", "Networks": "NETWORKS", "Ports": "PORTS", "Project": "PROJECT",
    "Publishers": "PUBLISHERS", "RunningFor": "CREATED", "Service": "SERVICE", "Size": "SIZE", "State": "STATE",
    "Status": "STATUS",
}  # fmt: skip
_COLUMNS = ("Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports")
_MOUNT_WIDTH = 15
_STATUSES = ("created", "running", "restarting", "paused", "exited", "removing", "dead")


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    all: bool = False
    quiet: bool = False
    list_services: bool = False
    format: str = "table"
    filter: str = ""
    status: tuple[str, ...] = ()
    no_trunc: bool = False
    orphans: bool = True


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `ps`; the exit code."""
    check_format(arguments.format)
    statuses = _wanted_statuses(arguments)
    desired = context.existing()
    check_services(desired, arguments.services)
    known = {service.name for service in desired.services}.union(desired.inactive)
    containers = [
        container
        for container in context.engine.containers.list(desired.project)
        if (not arguments.services or container.service in arguments.services)
        and (arguments.all or not container.oneoff)
        and (arguments.orphans or container.service in known)
        and (container.status in statuses if statuses else arguments.all or container.is_live)
    ]
    if arguments.quiet:
        lines = [container.id for container in containers]
    elif arguments.list_services:
        lines = list(dict.fromkeys(container.service for container in containers))
    else:
        lines = format_containers(
            context, containers, arguments.format, _COLUMNS, truncate=not arguments.no_trunc
        )
    for line in lines:
        context.out.line(line)
    return 0


def _wanted_statuses(arguments: Arguments) -> frozenset[str]:
    wanted = list(arguments.status)
    if arguments.filter:
        key, _, value = arguments.filter.partition("=")
        if key != "status" or not value:
            raise ComposeError(
                f"--filter {arguments.filter!r} is not supported", hint="use --filter status=running"
            )
        wanted.append(value)
    for status in wanted:
        if status not in _STATUSES:
            raise ComposeError(f"{status!r} is not a status", hint=f"one of {', '.join(_STATUSES)}")
    return frozenset(wanted)


def format_containers(
    context: Context, containers: list[Container], format: str, columns: Sequence[str], *, truncate: bool
) -> list[str]:
    """The lines of a list of containers, by --format; `columns` are a table's fields."""

    def addresses(container: Container) -> dict[str, str]:
        # A table shows none: no need to ask for them.
        return {} if format == "table" else context.engine.containers.addresses(container.id)

    return format_list(
        format,
        [_row(item, addresses(item), truncate=truncate) for item in containers],
        _HEADINGS,
        columns,
        [item.spec.labels for item in containers],
    )


def command_words(container: Container) -> tuple[str, ...]:
    """What the specification says that runs."""
    spec = container.spec
    return (*(spec.entrypoint or ()), *(spec.command or ()))


def describe_status(container: Container) -> str:
    """The status as the reference words it: "Up 2 minutes (healthy)", "Exited (3) 5 seconds ago"."""
    now = time.time_ns()
    if container.exit is not None:
        ago = (
            f" {describe_duration(now - container.exit.finished_ns)} ago"
            if container.exit.finished_ns
            else ""
        )
        return f"Exited ({container.exit.code}){ago}"
    live = container.live
    if live is None:
        return container.status.capitalize()
    if container.status == "restarting":
        return f"Restarting ({live.exit_code}) {describe_duration(now - live.started_ns)} ago"
    if not live.started_ns:
        return "Created"
    if container.status == "paused":
        return f"Up {describe_duration(now - live.started_ns)} (Paused)"
    health = {"": "", "starting": " (health: starting)"}.get(live.health, f" ({live.health})")
    return f"Up {describe_duration(now - live.started_ns)}{health}"


def describe_ports(container: Container) -> str:
    """Exposed ports, then published ones as "0.0.0.0:8080->80/tcp"."""
    return render_ports(shown_ports(container))


def shown_ports(container: Container) -> list[ShownPort]:
    """What is published, and what is only exposed, without doubles."""
    published = [
        ShownPort(port.container_port, port.protocol, port.host_ip, port.host_port)
        for port in (container.live.ports if container.live else ())
    ]
    bound = {(port.number, port.protocol) for port in published}
    exposed = parse_exposed(container.spec.expose)
    return [*(port for port in exposed if (port.number, port.protocol) not in bound), *published]


def _restarts(container: Container) -> int:
    state = container.live or container.exit
    return state.restarts if state else 0


def _row(container: Container, addresses: dict[str, str], *, truncate: bool) -> dict[str, Any]:
    spec = container.spec
    now = time.time_ns()
    mounts = [mount.source or mount.target for mount in spec.mounts if mount.type != "tmpfs"]
    if truncate:
        mounts = [name if len(name) <= _MOUNT_WIDTH else f"{name[: _MOUNT_WIDTH - 1]}…" for name in mounts]
    networks = list(addresses) or [mode for mode in ("none", "host") if mode == spec.network_mode]
    return {
        "Command": quote_command(command_words(container), truncate=truncate),
        "CreatedAt": time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(container.created_ns / 1e9)),
        "ExitCode": container.exit.code if container.exit else 0,
        "FailingStreak": container.live.failing_streak if container.live else 0,
        "Health": container.live.health if container.live else "",
        "HealthOutput": container.live.health_output if container.live else "",
        "ID": container.id[:12] if truncate else container.id,
        "Image": container.image,
        "Labels": ",".join(f"{key}={value}" for key, value in spec.labels.items()),
        "LocalVolumes": str(sum(mount.type == "volume" for mount in spec.mounts)),
        "Mounts": ",".join(mounts),
        "Name": container.name,
        "Names": container.name,
        "Networks": ",".join(networks),
        "OOMKilled": bool(container.exit and container.exit.oom_killed),
        "Ports": describe_ports(container),
        "Project": container.project,
        "Publishers": [
            {
                "URL": port.host_ip,
                "TargetPort": port.number,
                "PublishedPort": port.host_port,
                "Protocol": port.protocol,
            }
            for port in shown_ports(container)
        ],
        "Restarts": _restarts(container),
        "RunningFor": f"{describe_duration(now - container.created_ns)} ago",
        "Service": container.service,
        "Size": "0B",  # as the reference has it, which does not ask for sizes
        "State": container.status,
        "Status": describe_status(container),
    }
