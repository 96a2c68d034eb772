"""`stats`: what the project's containers use, once or again and again."""

import time
from typing import NamedTuple

from composer.cli.context import Context
from composer.output.formats import check_format, format_list
from composer.output.tables import describe_binary
from composer.output.transfer import describe_size
from composer.plan.selection import check_services
from runtime import Container, Usage, host_memory_bytes, read_container_usage

_SAMPLE_S = 1.0
_COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs", "Pressure")
_HEADINGS = {
    "Container": "CONTAINER", "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %", "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS", "Pressure": "PRESSURE",
}  # fmt: skip
_HOME_AND_CLEAR = "\033[H\033[J"


class Arguments(NamedTuple):
    service: str = ""
    all: bool = False
    no_stream: bool = False
    no_trunc: bool = False
    format: str = "table"


class _Sample(NamedTuple):
    moment: float  # time.monotonic()
    usage: Usage


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `stats`; the exit code."""
    check_format(arguments.format)
    services = (arguments.service,) if arguments.service else ()
    desired = context.existing(services)
    check_services(desired, services)
    before: dict[str, _Sample] = {}
    while True:
        containers = [
            item
            for item in context.engine.containers.list(desired.project)
            if (not services or item.service in services) and (arguments.all or item.is_live)
        ]
        now = {
            item.id: _Sample(time.monotonic(), read_container_usage(context.engine, item))
            for item in containers
        }
        if before:
            _print(context, arguments, containers, before, now)
            if arguments.no_stream:
                return 0
        before = now
        time.sleep(_SAMPLE_S)


def _print(
    context: Context,
    arguments: Arguments,
    containers: list[Container],
    before: dict[str, _Sample],
    now: dict[str, _Sample],
) -> None:
    rows = [
        _row(item, before.get(item.id, now[item.id]), now[item.id], truncate=not arguments.no_trunc)
        for item in containers
    ]
    if arguments.format.startswith("table") and not arguments.no_stream and context.out.stream.isatty():
        context.out.stream.write(_HOME_AND_CLEAR)
    for line in format_list(arguments.format, rows, _HEADINGS, _COLUMNS):
        context.out.line(line)


def _row(container: Container, before: _Sample, now: _Sample, *, truncate: bool) -> dict[str, str]:
    usage = now.usage
    elapsed_ns = (now.moment - before.moment) * 1e9
    percent = max(0.0, 100 * (usage.cpu_ns - before.usage.cpu_ns) / elapsed_ns) if elapsed_ns else 0.0
    limit = usage.memory_limit_bytes or host_memory_bytes()
    shown_id = container.id[:12] if truncate else container.id
    return {
        "Container": shown_id,
        "ID": shown_id,
        "Name": container.name,
        "CPUPerc": f"{percent:.2f}%",
        "MemUsage": f"{describe_binary(usage.memory_bytes)} / {describe_binary(limit)}",
        "MemPerc": f"{100 * usage.memory_bytes / limit:.2f}%",
        "NetIO": f"{describe_size(usage.received_bytes)} / {describe_size(usage.sent_bytes)}",
        "BlockIO": f"{describe_size(usage.read_bytes)} / {describe_size(usage.written_bytes)}",
        "PIDs": str(usage.pids),
        "Pressure": " ".join(f"{resource} {value:.0f}%" for resource, value in usage.pressure),
    }
