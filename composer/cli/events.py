"""`events`: what happens to the project's containers, as it happens."""

import json
import select
import time
from datetime import UTC, datetime
from typing import NamedTuple

from composer.cli.context import Context
from composer.cli.logs import parse_time
from composer.plan.selection import check_services
from runtime import Event, EventReader, watch_directory


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    json: bool = False
    since: str = ""
    until: str = ""


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `events`: until interrupted, or until the time of --until has come."""
    desired = context.existing(arguments.services)
    check_services(desired, arguments.services)
    since_ns = parse_time(arguments.since) or time.time_ns()
    until_ns = parse_time(arguments.until)
    reader = EventReader(context.engine.paths)
    poll = select.poll()
    watch = watch_directory(context.engine.paths.data)
    poll.register(watch.fileno(), select.POLLIN)
    while True:
        for event in reader.read():
            wanted = event.project == desired.project and (
                not arguments.services or event.service in arguments.services
            )
            if wanted and since_ns <= event.time_ns and not (until_ns and event.time_ns > until_ns):
                context.out.line(_as_json(event) if arguments.json else _as_text(event))
        left_ms = (until_ns - time.time_ns()) / 1e6 if until_ns else None
        if left_ms is not None and left_ms <= 0:
            return 0
        poll.poll(left_ms)
        watch.drain()


def _as_json(event: Event) -> str:
    moment = datetime.fromtimestamp(event.time_ns / 1e9, UTC)
    return json.dumps(
        {
            "action": event.action,
            "attributes": dict(event.attributes),
            "id": event.container_id,
            "service": event.service,
            "time": moment.isoformat().replace("+00:00", "Z"),
            "type": "container",
        }
    )


def _as_text(event: Event) -> str:
    moment = datetime.fromtimestamp(event.time_ns / 1e9).isoformat(" ", "microseconds")
    attributes = ", ".join(f"{key}={value}" for key, value in sorted(event.attributes.items()))
    return f"{moment} container {event.action} {event.container_id} ({attributes})"
