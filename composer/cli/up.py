"""`up`: make, start and follow the project's containers."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from typing import NamedTuple

from composer.cli.carry_out import carry_out, grace_ns, obtain_images
from composer.cli.context import Context
from composer.errors import ComposeError
from composer.execute.observe import observe
from composer.output.errors import print_error
from composer.output.logs import LogPrinter, short_name
from composer.plan.action import Kind, Plan
from composer.plan.desired import Desired
from composer.plan.images import ImageOptions
from composer.plan.lifecycle import plan_stop
from composer.plan.selection import select_services
from composer.plan.up import UpOptions, plan_up
from runtime import Container, EngineError, LogEvent, LogFollower, check_free, from_json

PULL_POLICIES = ("always", "missing", "never", "build")


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    detach: bool = False
    wait: bool = False
    wait_timeout: int | None = None
    scale: tuple[str, ...] = ()
    force_recreate: bool = False
    no_recreate: bool = False
    no_deps: bool = False
    no_start: bool = False
    remove_orphans: bool = False
    renew_anon_volumes: bool = False
    timeout: int | None = None
    no_log_prefix: bool = False
    timestamps: bool = False
    build: bool = False
    no_build: bool = False
    pull: str = ""
    quiet_pull: bool = False
    dry_run: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `up`; the exit code."""
    if arguments.force_recreate and arguments.no_recreate:
        raise ComposeError("--force-recreate and --no-recreate exclude each other")
    begun_ns = time.time_ns()
    desired = context.desired(arguments.services)
    images = image_options(arguments.pull, build=arguments.build, no_build=arguments.no_build)
    options = UpOptions(
        services=arguments.services,
        no_deps=arguments.no_deps,
        force_recreate=arguments.force_recreate,
        no_recreate=arguments.no_recreate,
        remove_orphans=arguments.remove_orphans,
        renew_anonymous_volumes=arguments.renew_anon_volumes,
        no_start=arguments.no_start,
        wait=arguments.wait,
        scale=parse_scale(arguments.scale, desired),
        images=images,
        grace_ns=grace_ns(arguments.timeout),
    )
    if not context.options.dry_run:
        selected = select_services(desired, options.services, no_deps=options.no_deps)
        used = [item for item in selected if options.scale.get(item.name, item.scale) > 0]
        obtain_images(context, desired, used, images, quiet=arguments.quiet_pull)
        options = options._replace(images=images._replace(ready=True))
    deadline = None
    if arguments.wait and arguments.wait_timeout:
        deadline = time.monotonic() + arguments.wait_timeout
    plan = carry_out(
        context,
        desired,
        lambda wanted, observed: plan_up(wanted, observed, options),
        check=lambda plan: check_plan(context, plan),
        deadline=deadline,
    )
    if context.options.dry_run:
        return 0
    _report_unchanged(context, desired, plan, options)
    if arguments.detach or arguments.wait or arguments.no_start:
        return 0
    return _Attached(context, desired, arguments, plan, begun_ns).run()


def image_options(pull: str, *, build: bool, no_build: bool) -> ImageOptions:
    """--pull, --build and --no-build. Raises ComposeError."""
    if build and no_build:
        raise ComposeError("--build and --no-build exclude each other")
    if pull and pull not in (*PULL_POLICIES, "if_not_present"):
        raise ComposeError(f"--pull {pull!r} is not one of {', '.join(PULL_POLICIES)}")
    return ImageOptions(pull, build, no_build)


def parse_scale(words: tuple[str, ...], desired: Desired) -> dict[str, int]:
    """The --scale options as service -> number. Raises ComposeError."""
    known = {service.name for service in desired.services}
    scale = {}
    for word in words:
        name, separator, number = word.partition("=")
        if not separator or not number.isdigit():
            raise ComposeError(f"--scale {word!r} is not SERVICE=NUMBER")
        if name not in known:
            raise ComposeError(f"--scale {word}: no such service: {name}")
        scale[name] = int(number)
    return scale


def check_plan(context: Context, plan: Plan) -> None:
    """Refuse the plan if a container of it can't ever start or a host port is taken. Raises EngineError."""
    for action in plan.actions:
        if action.kind is Kind.CREATE:
            context.engine.containers.check(from_json(action.spec))
    # Ports that a container of this plan gives up are free by the time they are wanted.
    stopped = {action.name for action in plan.actions if action.kind in (Kind.STOP, Kind.REMOVE)}
    requests = [
        port
        for action in plan.actions
        if action.kind is Kind.CREATE and action.name not in stopped and action.spec.get("ports")
        for port in from_json(action.spec).ports
    ]
    if requests:
        check_free(requests)


def _report_unchanged(context: Context, desired: Desired, plan: Plan, options: UpOptions) -> None:
    touched = {action.name for action in plan.actions if action.kind is not Kind.WAIT}
    selected = {
        service.name for service in select_services(desired, options.services, no_deps=options.no_deps)
    }
    for container in observe(context.engine, desired).containers:
        if (
            container.live
            and not container.oneoff
            and container.service in selected
            and container.name not in touched
        ):
            context.err.line(f" Container {container.name}  Running")


class _Attached:
    """Shows the logs until the containers have ended or the user has had enough."""

    def __init__(
        self, context: Context, desired: Desired, arguments: Arguments, plan: Plan, begun_ns: int
    ) -> None:
        self._begun_ns = begun_ns
        self._context = context
        self._desired = desired
        self._arguments = arguments
        started = {action.name for action in plan.actions if action.kind is Kind.START}
        services = {service.name: service for service in desired.services}
        selected = {service.name for service in select_services(desired, arguments.services)}
        self._containers: list[Container] = [
            container
            for container in context.engine.containers.list(desired.project)
            if not container.oneoff
            and container.service in (arguments.services or selected)
            and services[container.service].attach
            and (container.is_live or container.name in started)
        ]
        names = [short_name(container.name, desired.project) for container in self._containers]
        self._printer = LogPrinter(
            context.out, names, prefix=not arguments.no_log_prefix, timestamps=arguments.timestamps
        )
        self._names = names

    def run(self) -> int:
        """Follow to the end; 130 after an interrupt, as a shell says of a program ended by SIGINT."""
        if not self._containers:
            return 0
        self._context.err.line(f"Attaching to {', '.join(self._names)}")
        signal.signal(signal.SIGTERM, _raise_interrupt)
        follower = LogFollower(self._context.engine, self._containers, since_ns=self._begun_ns)
        try:
            try:
                follower.watch()
                self._show(follower.lines_so_far())
                self._show(follower.ended())
                while follower.live:
                    self._show(follower.poll())
            except KeyboardInterrupt:
                self._stop(follower)
                return 130
        finally:
            follower.close()
        return 0

    def _show(self, events: Iterable[LogEvent]) -> None:
        for event in events:
            self._printer(event, short_name(event.container.name, self._desired.project))
        self._printer.flush()

    def _stop(self, follower: LogFollower) -> None:
        """Stop gracefully in a child, so that the logs go on meanwhile; a second interrupt kills."""
        self._context.err.line("Gracefully stopping... (press Ctrl+C again to force)")
        child = os.fork()
        if child == 0:
            # A process group of its own: what is typed at the terminal reaches it through its parent alone.
            os.setpgid(0, 0)
            os._exit(_stop_services(self._context, self._desired, self._containers, self._arguments.timeout))
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(child)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: signal.pidfd_send_signal(pidfd, signal.SIGINT))
            while follower.live:
                self._show(follower.poll())
            select.select([pidfd], [], [])


def _stop_services(
    context: Context, desired: Desired, containers: list[Container], timeout: int | None
) -> int:
    """Stop the services of these containers; an interrupt kills them. Runs in a child: the exit code."""
    services = tuple(dict.fromkeys(container.service for container in containers))

    def stop(grace: int) -> None:
        # The database connection of the parent must not be used on this side of a fork.
        with Context(context.options) as own:
            carry_out(
                own,
                desired,
                lambda wanted, observed: plan_stop(wanted, observed, services, grace_ns=grace),
                keep_going=True,
            )

    try:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            stop(grace_ns(timeout))
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            stop(0)
    except (ComposeError, EngineError) as error:
        print_error(context.err, error)
        return 1
    return 0


def _raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
