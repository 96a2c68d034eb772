"""What `run` and `container run` do alike: make and start one container, then follow it or leave it alone."""

from collections.abc import Callable
from typing import NamedTuple

from composer.cli.carry_out import carry_out
from composer.cli.context import Context
from composer.cli.exec import report_start
from composer.cli.up import check_plan
from composer.errors import ExecutionError
from composer.plan.action import Kind, Plan, PlanBuilder
from composer.plan.desired import Desired
from composer.plan.observed import ObservedState
from runtime import Attachment, Container, EngineError, Session, StartError, parse_signal


class Manner(NamedTuple):
    """How the container is run. `quiet`: no progress is shown."""

    tty: bool
    interactive: bool
    detach: bool
    auto_remove: bool
    quiet: bool


def run_container(
    context: Context,
    desired: Desired,
    name: str,
    plan: Callable[[Desired, ObservedState], Plan],
    manner: Manner,
) -> int:
    """Carry out a plan that makes and starts the container `name`; its exit code, 0 if it goes on without us."""
    attachment = None
    if not manner.detach and not context.options.dry_run:
        attachment = Attachment(tty=manner.tty, interactive=manner.interactive)
    try:
        carry_out(
            context,
            desired,
            plan,
            check=lambda made: check_plan(context, desired, made),
            attachments={} if attachment is None else {name: attachment},
            quiet=manner.quiet,
        )
    except (ExecutionError, StartError) as error:
        if manner.auto_remove:
            _discard(context, desired, name)
        return report_start(context, error)
    if context.options.dry_run:
        return 0
    container = context.engine.containers.find(name)
    if container is None:
        return 0  # another command has removed it already
    if attachment is None:
        context.out.line(container.id)
        return 0
    code = _follow(context, container, attachment, manner)
    if code is None:
        return 0
    if manner.auto_remove:
        _discard(context, desired, name)
    return code


def _follow(context: Context, container: Container, attachment: Attachment, manner: Manner) -> int | None:
    """Pass its streams on until it ends; its exit code, None after detaching."""
    containers = context.engine.containers

    def kill() -> None:
        try:
            containers.signal(container, parse_signal("SIGKILL"))
        except EngineError:
            pass  # it has just ended

    return Session(
        containers, container, attachment, interactive=manner.interactive, on_impatience=kill
    ).run()


def _discard(context: Context, desired: Desired, name: str) -> None:
    """Remove a container that is not to stay with its anonymous volumes, if it is still there."""
    if context.engine.containers.find(name) is None:
        return

    def plan(wanted: Desired, observed: ObservedState) -> Plan:
        builder = PlanBuilder(wanted.project)
        for container in observed.containers:
            # A container of that name which is there for longer is another one.
            if container.name == name and container.leftover and not container.live:
                builder.add(
                    Kind.REMOVE,
                    container.name,
                    "--rm",
                    service=container.service,
                    container_id=container.id,
                    anonymous_volumes=True,
                )
        return builder.plan()

    carry_out(context, desired, plan, quiet=True)
