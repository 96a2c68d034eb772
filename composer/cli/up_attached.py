"""`up` in the foreground: the logs until all containers have ended, one ends all, or the user has had enough."""

import contextlib
import os
import select
import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING

from composer.cli.carry_out import carry_out, grace_ns
from composer.cli.context import Context, is_true
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
    from composer.cli.up_menu import Entry, KeyMenu
    from composer.cli.up_watch import WatchChild
    from composer.watch_rules import Rule


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
        self,
        context: Context,
        desired: Desired,
        arguments: "Arguments",
        plan: Plan,
        begun_ns: int,
        rules: "list[Rule] | None" = None,
    ) -> None:
        """`rules`: what is watched meanwhile."""
        self._begun_ns = begun_ns
        self._context = context
        self._desired = desired
        self._arguments = arguments
        self._rules = rules
        started = {action.name for action in plan.actions if action.kind is Kind.START}
        selected = {service.name for service in select_services(desired, arguments.services)}
        watched = [
            container
            for container in context.engine.containers.list(desired.project)
            if not container.oneoff
            and container.service in selected
            and (container.is_live or container.name in started)
        ]
        self._shown = _shown_services(desired, selected, arguments)
        self._followed = selected if arguments.aborts else self._shown
        self._watched = [item for item in watched if item.service in self._followed]
        self._aborted = self._detached = False
        self._code = 0
        self._code_from = ""
        if arguments.no_color:
            context.out.colour = False
        self._names = [
            short_name(item.name, desired.project) for item in watched if item.service in self._shown
        ]
        self._printer = LogPrinter(
            context.out, self._names, prefix=not arguments.no_log_prefix, timestamps=arguments.timestamps
        )
        self._menu: KeyMenu | None = None
        self._watch: WatchChild | None = None

    def run(self) -> int:
        """Follow to the end. The exit code: 130 after an interrupt, as a shell says of a program ended by SIGINT;
        that of the container whose end has ended all, or of --exit-code-from; else 0.
        """
        if not self._watched:
            return 0
        if self._names:
            self._context.err.line(f"Attaching to {', '.join(self._names)}")
        signal.signal(signal.SIGTERM, _raise_interrupt)
        self._follower = follower = LogFollower(
            self._context.engine, self._watched, since_ns=self._begun_ns, joins=self._joins
        )
        try:
            try:
                follower.watch()
                self._begin_menu()
                if self._rules is not None:
                    self._begin_watch(self._rules)
                self._show(follower.lines_so_far())
                self._show(follower.ended())
                while (follower.live or self._watch) and not (self._aborted or self._detached):
                    self._show(follower.poll())
                    self._serve()
            except KeyboardInterrupt:
                self._leave()
                self._stop(follower, "Gracefully stopping... (press Ctrl+C again to force)")
                return 130
            self._leave()
            if self._aborted:
                self._stop(follower, "Aborting on container exit...")
        finally:
            self._leave()
            follower.close()
        return self._code

    def _joins(self, container: Container) -> bool:
        """Whether a container that appears belongs to them, as one that was built anew."""
        return (
            container.project == self._desired.project
            and container.service in self._followed
            and not container.oneoff
        )

    def _show(self, events: Iterable[LogEvent]) -> None:
        for event in events:
            if event.container.service in self._shown:
                self._hide_menu()
                self._printer(event, short_name(event.container.name, self._desired.project))
            if event.ended and self._arguments.aborts:
                self._note_end(event)
        self._printer.flush()
        if self._menu is not None:
            self._menu.show()

    # ---- keys, and watching

    def _begin_menu(self) -> None:
        wanted = self._arguments.menu
        if is_true(self._context.settings.get("COMPOSE_MENU") or "true") if wanted is None else wanted:
            from composer.cli.up_menu import KeyMenu, is_possible

            if is_possible(self._context.out):
                self._menu = KeyMenu(self._context.out, self._entries)
                for descriptor in self._menu.descriptors:
                    self._follower.wake_on(descriptor)
                self._menu.open()

    def _entries(self) -> "list[Entry]":
        from composer.cli.up_menu import Entry

        return [Entry("w", "Disable Watch" if self._watch else "Enable Watch"), Entry("d", "Detach")]

    def _hide_menu(self) -> None:
        if self._menu is not None:
            self._menu.hide()

    def _begin_watch(self, rules: "list[Rule]") -> None:
        from composer.cli.up_watch import WatchChild

        watch = WatchChild(self._context, self._desired, rules, piped=self._menu is not None)
        for descriptor in watch.descriptors:
            self._follower.wake_on(descriptor)
        self._watch = watch

    def _end_watch(self) -> None:
        if self._watch is not None:
            for descriptor in self._watch.descriptors:
                self._follower.sleep_on(descriptor)
            self._watch.stop()
            self._watch = None

    def _serve(self) -> None:
        """What has come from who watches, and the keys."""
        if self._watch is not None:
            known = self._watch.descriptors
            if text := self._watch.take():
                self._print(text)
            if not self._watch.descriptors:
                for descriptor in known:
                    self._follower.sleep_on(descriptor)
                self._watch = None
        for key in self._menu.take_keys() if self._menu is not None else "":
            if key == "d":
                self._detached = True
            elif key == "w":
                self._toggle_watch()
            elif key == "\n":
                self._print("\n")

    def _toggle_watch(self) -> None:
        if self._watch is not None:
            self._end_watch()
            self._print(" Watch disabled\n")
            return
        from composer.cli.watch import load_rules

        try:
            rules = self._rules or load_rules(self._context, self._desired, self._arguments.services)
        except ComposeError as error:
            self._hide_menu()
            print_error(self._context.err, error)
        else:
            self._begin_watch(rules)
        self._print("")

    def _print(self, text: str) -> None:
        """Above the menu, which is drawn again."""
        self._hide_menu()
        self._context.err.stream.write(text)
        self._context.err.stream.flush()
        if self._menu is not None:
            self._menu.show()

    def _leave(self) -> None:
        """The terminal as it was, and nobody watches any more."""
        self._end_watch()
        if self._menu is not None:
            for descriptor in self._menu.descriptors:
                self._follower.sleep_on(descriptor)
            self._menu.close()
            self._menu = None

    # ---- the end

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
