"""`container`: containers by their names or ids, whatever project they belong to."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from composer.cli.attach import attach_to, parse_keys
from composer.cli.carry_out import carry_out, grace_ns
from composer.cli.context import Context
from composer.cli.exec import execute, give_no_input
from composer.cli.inspect import container_document
from composer.cli.logs import print_logs
from composer.cli.ps import format_containers
from composer.errors import ComposeError
from composer.output.errors import print_error
from composer.output.formats import check_format, format_objects
from composer.plan.action import Kind, Plan, PlanBuilder
from composer.plan.desired import Desired
from composer.plan.observed import ObservedState
from runtime import Container, EngineError, ExecRequest, parse_signal

_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


def find(context: Context, name: str) -> Container:
    """A container by its name, its id or the beginning of that. Raises ComposeError."""
    found = context.engine.containers.find(name)
    if found is None:
        raise ComposeError(f"no such container: {name}", hint="`pycompose container ls -a` lists them")
    return found


# ---- looking


def list_containers(context: Context, *, all: bool, quiet: bool, format: str, no_trunc: bool) -> int:
    """`container ls`."""
    check_format(format)
    found = [item for item in context.engine.containers.list() if all or item.is_live]
    found.sort(key=lambda item: -item.created_ns)
    if quiet:
        lines = [item.id if no_trunc else item.id[:12] for item in found]
    else:
        lines = format_containers(context, found, format, _COLUMNS, truncate=not no_trunc)
    for line in lines:
        context.out.line(line)
    return 0


def inspect(context: Context, *, names: Sequence[str], format: str) -> int:
    """`container inspect`: a JSON list, or by `format`."""
    for line in format_objects(format, [container_document(context, find(context, name)) for name in names]):
        context.out.line(line)
    return 0


class LogOptions(NamedTuple):
    """The options of `container logs`."""

    follow: bool = False
    tail: str = "all"
    timestamps: bool = False
    since: str = ""
    until: str = ""


def logs(context: Context, *, name: str, options: LogOptions) -> int:
    """`container logs`."""
    print_logs(
        context,
        [find(context, name)],
        follow=options.follow,
        tail=options.tail,
        timestamps=options.timestamps,
        since=options.since,
        until=options.until,
        prefix=False,
    )
    return 0


# ---- working with one


def exec(context: Context, *, name: str, request: ExecRequest, detach: bool, interactive: bool) -> int:
    """`container exec`: the exit code of the program. Input goes to it only if that is wanted."""
    if request.tty and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ComposeError("--tty: standard input and output are no terminal", hint="leave out -t")
    if not interactive and not request.tty:
        give_no_input()
    return execute(context, find(context, name), request, detach=detach)


def attach(context: Context, *, name: str, detach_keys: str, no_stdin: bool, sig_proxy: bool) -> int:
    """`container attach`: the exit code of the program, 0 after detaching."""
    found = find(context, name)
    return attach_to(
        context, found, detach_keys=parse_keys(detach_keys), no_stdin=no_stdin, sig_proxy=sig_proxy
    )


# ---- changing several


def start(context: Context, *, names: Sequence[str]) -> int:
    """`container start`."""
    return _change(
        context,
        names,
        lambda builder, item: None if item.is_live else _add(builder, Kind.START, item, "start"),
    )


def stop(context: Context, *, names: Sequence[str], timeout: int | None) -> int:
    """`container stop`."""

    def plan(builder: PlanBuilder, item: Container) -> None:
        if item.is_live:
            _add(builder, Kind.STOP, item, "stop", grace_ns=grace_ns(timeout))

    return _change(context, names, plan)


def kill(context: Context, *, names: Sequence[str], signal: str) -> int:
    """`container kill`."""
    number = parse_signal(signal)

    def plan(builder: PlanBuilder, item: Container) -> None:
        if not item.is_live:
            raise ComposeError(f"container {item.name} is not running")
        _add(builder, Kind.KILL, item, "kill", number=number)

    return _change(context, names, plan)


def remove(context: Context, *, names: Sequence[str], force: bool, volumes: bool) -> int:
    """`container rm`."""

    def plan(builder: PlanBuilder, item: Container) -> None:
        if item.is_live and not force:
            raise ComposeError(f"container {item.name} is running", hint="stop it first, or use --force")
        needs = (_add(builder, Kind.STOP, item, "rm", grace_ns=0),) if item.is_live else ()
        _add(builder, Kind.REMOVE, item, "rm", needs=needs, anonymous_volumes=volumes)

    return _change(context, names, plan)


def _add(builder: PlanBuilder, kind: Kind, item: Container, cause: str, **details: Any) -> int:
    return builder.add(kind, item.name, cause, service=item.service, container_id=item.id, **details)


def _change(context: Context, names: Sequence[str], plan: Callable[[PlanBuilder, Container], object]) -> int:
    """Plan and execute for one container after the other; prints the names given, goes on after a failure."""
    code = 0
    for name in names:
        try:
            container = find(context, name)

            def planner(wanted: Desired, _: ObservedState, container: Container = container) -> Plan:
                builder = PlanBuilder(wanted.project)
                plan(builder, context.engine.containers.get(container.id))
                return builder.plan()

            carry_out(context, Desired(container.project, "", (), ()), planner, quiet=True)
        except (ComposeError, EngineError) as error:
            print_error(context.err, error)
            code = 1
        else:
            if not context.options.dry_run:
                context.out.line(name)
    return code
