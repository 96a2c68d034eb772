"""`stats`: what the project's containers use, once or again and again."""

import json
import time
from typing import NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.tables import describe_binary, render_table
from composer.output.transfer import describe_size
from composer.plan.selection import check_services
from runtime import Container, Usage, host_memory_bytes, read_container_usage

_SAMPLE_S = 1.0
_HEAD = (
    "CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS", "PRESSURE",
)  # fmt: skip
_KEYS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs", "Pressure")
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
    if arguments.format not in ("table", "json"):
        raise ComposeError(f"--format {arguments.format!r} is not one of table, json")
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
    if arguments.format == "json":
        for row in rows:
            context.out.line(json.dumps({"Container": row[0], **dict(zip(_KEYS, row, strict=True))}))
        return
    if not arguments.no_stream and context.out.stream.isatty():
        context.out.stream.write(_HOME_AND_CLEAR)
    context.out.line(render_table(_HEAD, rows))


def _row(container: Container, before: _Sample, now: _Sample, *, truncate: bool) -> tuple[str, ...]:
    usage = now.usage
    elapsed_ns = (now.moment - before.moment) * 1e9
    percent = max(0.0, 100 * (usage.cpu_ns - before.usage.cpu_ns) / elapsed_ns) if elapsed_ns else 0.0
    limit = usage.memory_limit_bytes or host_memory_bytes()
    return (
        container.id[:12] if truncate else container.id,
        container.name,
        f"{percent:.2f}%",
        f"{describe_binary(usage.memory_bytes)} / {describe_binary(limit)}",
        f"{100 * usage.memory_bytes / limit:.2f}%",
        f"{describe_size(usage.received_bytes)} / {describe_size(usage.sent_bytes)}",
        f"{describe_size(usage.read_bytes)} / {describe_size(usage.written_bytes)}",
        str(usage.pids),
        " ".join(f"{resource} {value:.0f}%" for resource, value in usage.pressure),
    )
