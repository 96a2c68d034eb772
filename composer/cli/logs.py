"""`logs`: show what containers have printed."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.errors import print_warning
from composer.output.logs import JsonLogPrinter, LogPrinter, short_name
from composer.plan.selection import check_services
from runtime import Container, LogEvent, LogFollower

_UNITS_S = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

_KEEPS_NOTHING = "none"
_LOOK_AGAIN_S = 0.2


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    follow: bool = False
    tail: str = "all"
    timestamps: bool = False
    since: str = ""
    until: str = ""
    no_log_prefix: bool = False
    no_color: bool = False
    number: int = 0
    json: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `logs`; the exit code."""
    desired = context.existing(arguments.services)
    check_services(desired, arguments.services)

    def wanted(container: Container) -> bool:
        return (
            container.project == desired.project
            and not container.oneoff
            and (not arguments.services or container.service in arguments.services)
            and (not arguments.number or container.number == arguments.number)
        )

    containers = [item for item in context.engine.containers.list(desired.project) if wanted(item)]
    for container in containers:
        if container.spec.logging.driver == _KEEPS_NOTHING:
            print_warning(
                context.err,
                f"{container.name} has no logs: its logging driver is {_KEEPS_NOTHING}, which keeps none",
            )
    if arguments.no_color:
        context.out.colour = False
    print_logs(
        context,
        containers,
        project=desired.project,
        follow=arguments.follow,
        tail=arguments.tail,
        timestamps=arguments.timestamps,
        since=arguments.since,
        until=arguments.until,
        prefix=not arguments.no_log_prefix,
        json=arguments.json,
        joins=wanted,
    )
    return 0


def print_logs(
    context: Context,
    containers: list[Container],
    *,
    project: str = "",
    follow: bool,
    tail: str,
    timestamps: bool,
    since: str,
    until: str,
    prefix: bool,
    json: bool = False,
    joins: Callable[[Container], bool] | None = None,
) -> None:
    """Print what containers have written, by time. Raises ComposeError for an impossible time or number.

    `joins` tells which containers that are made later belong to them.
    """
    since_ns, until_ns = parse_time(since), parse_time(until)
    names = [short_name(container.name, project) for container in containers]
    printer: LogPrinter | JsonLogPrinter = JsonLogPrinter(context.out)
    if not json:
        printer = LogPrinter(context.out, names, prefix=prefix, timestamps=timestamps)
    follower = LogFollower(
        context.engine, containers, tail=_parse_tail(tail), since_ns=since_ns, until_ns=until_ns, joins=joins
    )
    lock = context.engine.project_lock(project) if project else None

    def show(events: Iterable[LogEvent]) -> None:
        for event in events:
            printer(event, short_name(event.container.name, project))
        printer.flush()

    try:
        if follow:
            follower.watch()
        show(follower.lines_so_far())
        if not follow or not follower.live:
            show(follower.rest())
        while follow:
            if follower.live:
                show(follower.poll())
            elif lock is not None and lock.taken():
                # A command is at work on the project: what it stopped it may start again.
                show(follower.poll(_LOOK_AGAIN_S))
            else:
                break
    finally:
        follower.close()


def _parse_tail(text: str) -> int:
    if text == "all":
        return -1
    try:
        return max(-1, int(text))
    except ValueError:
        raise ComposeError(f"--tail {text!r} is neither a number nor `all`") from None


def parse_time(text: str) -> int:
    """A time given as RFC 3339 ("2026-01-02T13:23:37Z"), as seconds since the epoch, or relative to now ("42m").

    In ns since the epoch; 0 for an empty text. Raises ComposeError.
    """
    if not text:
        return 0
    try:
        return int(float(text) * 1e9)
    except ValueError:
        pass
    relative_s = _parse_relative(text)
    if relative_s is not None:
        return time.time_ns() - int(relative_s * 1e9)
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ComposeError(
            f"{text!r} is not a time", hint="write it like 2026-01-02T13:23:37Z, or 42m for 42 minutes ago"
        ) from None
    if moment.tzinfo is None:
        moment = moment.astimezone(UTC) if "T" not in text else moment.astimezone()
    return int(moment.timestamp() * 1e9)


def _parse_relative(text: str) -> float | None:
    """Seconds of a duration such as "1h30m"; None if it is none."""
    total, number, rest = 0.0, "", text
    while rest:
        if rest[0].isdigit() or rest[0] == ".":
            number, rest = number + rest[0], rest[1:]
            continue
        unit = next((unit for unit in ("ms", "us", "µs", "ns", "h", "m", "s") if rest.startswith(unit)), "")
        if not unit or not number or number.count(".") > 1:
            return None
        total += float(number) * _UNITS_S[unit]
        number, rest = "", rest[len(unit) :]
    return None if number else total
