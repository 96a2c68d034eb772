"""`up` in the foreground: the logs until all containers have ended, one ends all, or the user has had enough."""

import contextlib
import os
import select
import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING

from composer.cli.carry_out import carry_out, grace_ns
from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.errors import print_error
from composer.output.logs import LogPrinter, short_name
from composer.plan.action import Kind, Plan
from composer.plan.desired import Desired
from composer.plan.lifecycle import plan_stop
from composer.plan.selection import select_services
from runtime import Container, EngineError, LogEvent, LogFollower

if TYPE_CHECKING:
    from composer.cli.up import Arguments


def _shown_services(desired: Desired, selected: set[str], arguments: "Arguments") -> set[str]:
    """Services whose logs are shown: --attach, or all that are started unless `attach: false` keeps them out."""
    if arguments.attach:
        shown = set(arguments.attach)
    else:
        named = (
            selected if arguments.attach_dependencies or not arguments.services else set(arguments.services)
        )
        shown = {service.name for service in desired.services if service.attach and service.name in named}
    return shown - set(arguments.no_attach)


class AttachedUp:
    """Shows the logs until the containers have ended or the user has had enough."""

    def __init__(
        self, context: Context, desired: Desired, arguments: "Arguments", plan: Plan, begun_ns: int
    ) -> None:
        self._begun_ns = begun_ns
        self._context = context
        self._desired = desired
        self._arguments = arguments
        started = {action.name for action in plan.actions if action.kind is Kind.START}
        selected = {service.name for service in select_services(desired, arguments.services)}
        watched = [
            container
            for container in context.engine.containers.list(desired.project)
            if not container.oneoff
            and container.service in selected
            and (container.is_live or container.name in started)
        ]
        shown = _shown_services(desired, selected, arguments)
        self._containers: list[Container] = [item for item in watched if item.service in shown]
        self._watched = watched if arguments.aborts else self._containers
        self._shown = {container.id for container in self._containers}
        self._aborted = False
        self._code = 0
        self._code_from = ""
        if arguments.no_color:
            context.out.colour = False
        names = [short_name(container.name, desired.project) for container in self._containers]
        self._printer = LogPrinter(
            context.out, names, prefix=not arguments.no_log_prefix, timestamps=arguments.timestamps
        )
        self._names = names

    def run(self) -> int:
        """Follow to the end. The exit code: 130 after an interrupt, as a shell says of a program ended by SIGINT;
        that of the container whose end has ended all, or of --exit-code-from; else 0.
        """
        if not self._watched:
            return 0
        if self._names:
            self._context.err.line(f"Attaching to {', '.join(self._names)}")
        signal.signal(signal.SIGTERM, _raise_interrupt)
        follower = LogFollower(self._context.engine, self._watched, since_ns=self._begun_ns)
        try:
            try:
                follower.watch()
                self._show(follower.lines_so_far())
                self._show(follower.ended())
                while follower.live and not self._aborted:
                    self._show(follower.poll())
            except KeyboardInterrupt:
                self._stop(follower, "Gracefully stopping... (press Ctrl+C again to force)")
                return 130
            if self._aborted:
                self._stop(follower, "Aborting on container exit...")
        finally:
            follower.close()
        return self._code

    def _show(self, events: Iterable[LogEvent]) -> None:
        for event in events:
            if event.container.id in self._shown:
                self._printer(event, short_name(event.container.name, self._desired.project))
            if event.ended and self._arguments.aborts:
                self._note_end(event)
        self._printer.flush()

    def _note_end(self, event: LogEvent) -> None:
        """The first end counts (with --abort-on-container-failure the first bad one), with --exit-code-from its."""
        wanted = self._arguments.exit_code_from
        if not self._aborted and (event.exit_code or not self._arguments.abort_on_container_failure):
            self._aborted = True
            if not wanted:
                self._code = event.exit_code
        if event.container.service == wanted and not self._code_from:
            self._code, self._code_from = event.exit_code, event.container.id

    def _stop(self, follower: LogFollower, message: str) -> None:
        """Stop gracefully in a child, so that the logs go on meanwhile; a second interrupt kills."""
        self._context.err.line(message)
        self._context.engine.database.release()
        child = os.fork()
        if child == 0:
            # A process group of its own: what is typed at the terminal reaches it through its parent alone.
            os.setpgid(0, 0)
            os._exit(_stop_services(self._context, self._desired, self._watched, self._arguments.timeout))
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
        # The engine of the parent must not be used on this side of a fork.
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
