"""`wait`: until containers have ended."""

import select
from typing import NamedTuple

from composer.cli import down
from composer.cli.context import Context
from composer.errors import ComposeError
from composer.plan.selection import check_services
from runtime import Container, Subscription


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    down_project: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `wait`: prints each exit code; ends with that of the last container, or of the first with
    --down-project.
    """
    desired = context.existing(arguments.services)
    check_services(desired, arguments.services)
    containers = [
        item for item in context.engine.containers.list(desired.project) if item.service in arguments.services
    ]
    if not containers:
        raise ComposeError(
            f"no containers for services {', '.join(arguments.services)}",
            hint="start them with `pycompose up`",
        )
    if context.only_tells(f"wait for {', '.join(container.name for container in containers)}"):
        code = 0
    else:
        code = _await(context, containers, first_only=arguments.down_project)
    if arguments.down_project:
        down.run(context, down.Arguments())
    return code


def _await(context: Context, containers: list[Container], *, first_only: bool) -> int:
    poll = select.poll()
    waiting: dict[int, tuple[Container, Subscription]] = {}
    code = 0
    for container in containers:
        news = context.engine.containers.subscribe(container.id)
        if news is None:
            code = _report(context, container)
            if first_only:
                return code
        else:
            waiting[news.fileno()] = (container, news)
            poll.register(news.fileno(), select.POLLIN)
    while waiting:
        for descriptor, _ in poll.poll():
            container, news = waiting[descriptor]
            if news.take():
                continue
            poll.unregister(descriptor)
            news.close()
            del waiting[descriptor]
            code = _report(context, container)
            if first_only:
                return code
    return code


def _report(context: Context, container: Container) -> int:
    ended = context.engine.containers.get(container.id).exit
    code = ended.code if ended is not None else 0
    context.out.line(f'container "{container.id}" exited with status code {code}')
    return code
