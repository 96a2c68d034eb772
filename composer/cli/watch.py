"""`watch`: what changes on this machine is brought into the running services, or they are built anew."""

import os
import select
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from composer.cli.carry_out import ask_providers, carry_out, obtain_images
from composer.cli.context import Context
from composer.cli.up import Arguments as UpArguments
from composer.cli.up import image_options
from composer.cli.up import run as run_up
from composer.errors import ComposeError
from composer.output.errors import print_error, print_warning
from composer.plan.desired import Desired
from composer.plan.lifecycle import plan_restart
from composer.plan.selection import select_services
from composer.plan.up import UpOptions, plan_up
from composer.watch_rules import REBUILD, SYNC, Reaction, Rule, react
from runtime import (
    Container,
    EngineError,
    ExecRequest,
    TreeWatch,
    container_root,
    parse_ignore_file,
    run_attached,
    sync_files,
)

_QUIET_S = 0.5  # changes within this time of each other are one batch, as the reference has it


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    no_up: bool = False
    prune: bool = True
    quiet: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `watch`; the exit code: 130 after an interrupt."""
    desired = context.desired(arguments.services)
    rules = load_rules(context, desired, arguments.services)
    if context.options.dry_run:
        for rule in rules:
            context.out.line(f"watch {rule.path} for {rule.service}: {rule.action}")
        return 0
    if not arguments.no_up:
        run_up(
            context, UpArguments(services=arguments.services, detach=True, build=_builds(desired, arguments))
        )
    try:
        Watcher(context, desired, rules, quiet=arguments.quiet, prune=arguments.prune).run()
    except KeyboardInterrupt:
        return 130
    return 0


def _builds(desired: Desired, arguments: Arguments) -> bool:
    return any(service.build for service in select_services(desired, arguments.services))


def load_rules(context: Context, desired: Desired, services: tuple[str, ...]) -> list[Rule]:
    """The rules of the services. Raises ComposeError if there is none, or one cannot work."""
    rules: list[Rule] = []
    for service in select_services(desired, services, no_deps=bool(services)):
        folder = str(service.build.get("context", "")) if service.build else ""
        ignored = _ignore_file(folder) if folder.startswith("/") else ()
        bound = [
            str(mount.get("source", ""))
            for mount in service.spec.get("mounts", ())
            if mount["type"] == "bind"
        ]
        for data in service.watch:
            rule = Rule(service.name, data, folder, ignored)
            if rule.action == REBUILD and not service.build:
                raise ComposeError(
                    f"{service.origin}: can't watch service {service.name} with action rebuild without a build context"
                )
            if rule.action.startswith(SYNC):
                if not rule.target:
                    raise ComposeError(
                        f"{service.origin}: action {rule.action} of {service.name} needs a target"
                    )
                if any(rule.path == path or rule.path.startswith(f"{path}/") for path in bound):
                    print_warning(
                        context.err,
                        f"path {rule.path!r} is a bind mount of {service.name} too: it is not watched",
                    )
                    continue
            rules.append(rule)
    if not rules:
        raise ComposeError(
            "none of the selected services is configured for watch",
            hint="give one a `develop: {watch: [...]}`",
        )
    return rules


def _ignore_file(folder: str) -> tuple[str, ...]:
    try:
        with open(f"{folder}/.dockerignore", encoding="utf-8") as file:
            return parse_ignore_file(file.read())
    except OSError:
        return ()


class Watcher:
    """Waits for changes and carries out what follows, until it is interrupted."""

    def __init__(
        self,
        context: Context,
        desired: Desired,
        rules: list[Rule],
        *,
        quiet: bool = False,
        prune: bool = True,
    ) -> None:
        self._context = context
        self._desired = desired
        self._rules = rules
        self._quiet = quiet
        self._prune = prune
        self._failed: set[str] = set()  # services with which something went wrong in this batch

    def run(self) -> None:
        """Never returns but by an exception. Raises KeyboardInterrupt, ComposeError."""
        watch = TreeWatch(lambda path: all(rule.skips(path) for rule in self._rules))
        try:
            for rule in self._rules:
                self._add(watch, rule.path)
            again = self._sync_at_first()
            self._say("Watch enabled")
            while True:
                changed = self._batch(watch)
                again = self._carry_out(react(self._rules, changed, again), changed, again)
        finally:
            watch.close()

    def _add(self, watch: TreeWatch, path: str) -> None:
        try:
            watch.add(path)
        except OSError as error:
            hint = "raise fs.inotify.max_user_watches" if error.errno == 28 else ""
            raise ComposeError(f"cannot watch {path}: {error.strerror}", hint=hint) from error

    @staticmethod
    def _batch(watch: TreeWatch) -> set[str]:
        """What changed until nothing did for a moment."""
        poll = select.poll()
        poll.register(watch.fileno(), select.POLLIN)
        poll.poll()
        changed = watch.read()
        while poll.poll(_QUIET_S * 1000):
            changed |= watch.read()
        return changed

    def _sync_at_first(self) -> dict[str, set[str]]:
        wanted = [rule for rule in self._rules if rule.initial_sync and rule.action.startswith(SYNC)]
        paths = {path for rule in wanted for path in _all_below(rule)}
        return self._carry_out(Reaction(files=react(wanted, paths).files), paths, {})

    def _carry_out(
        self, reaction: Reaction, changed: set[str], before: Mapping[str, set[str]]
    ) -> dict[str, set[str]]:
        """A failure is told, and all else goes on; by service, the paths that the next batch tries again."""
        self._failed = set()
        for service in reaction.rebuild:
            with self._attempt(service):
                self._rebuild(service)
        for service, files in reaction.files.items():
            with self._attempt(service):
                self._sync(service, files)
        for service in reaction.restart:
            with self._attempt(service):
                self._restart(service)
        for service, command in reaction.exec:
            with self._attempt(service):
                self._exec(service, command)
        return {service: changed.union(before.get(service, ())) for service in self._failed}

    @contextmanager
    def _attempt(self, service: str) -> Iterator[None]:
        try:
            yield
        except (ComposeError, EngineError) as error:
            print_error(self._context.err, error)
        except OSError as error:
            print_error(self._context.err, ComposeError(f"{error.filename or ''} {error.strerror or error}"))
        else:
            return
        self._failed.add(service)

    def _rebuild(self, service: str) -> None:
        self._say(f'Rebuilding service(s) ["{service}"] after changes were detected...')
        wanted = select_services(self._desired, (service,), no_deps=True)
        images = image_options("", build=True, no_build=False)
        obtain_images(self._context, self._desired, wanted, images, quiet=self._quiet)
        needed = select_services(self._desired, (service,))
        desired = ask_providers(self._context, self._desired, needed, quiet=self._quiet)
        options = UpOptions(services=(service,), no_deps=True, images=images._replace(ready=True))
        carry_out(self._context, desired, lambda wanted, observed: plan_up(wanted, observed, options))
        if self._prune:
            self._context.engine.images.prune()
        self._say(f'service(s) ["{service}"] successfully built')

    def _sync(self, service: str, files: Mapping[str, str]) -> None:
        self._say(f"Syncing service {service!r} after {len(files)} changes were detected")
        for container in self._running(service):
            with (
                self._attempt(service),
                container_root(self._context.engine, container, mounts=True) as root,
            ):
                self._sync_root(service, root, files)

    def _sync_root(self, service: str, root: int, files: Mapping[str, str]) -> None:
        try:
            sync_files(root, files)
        except (EngineError, OSError):
            # One by one, so that a file that cannot be there keeps no other away.
            for target, source in files.items():
                with self._attempt(service):
                    sync_files(root, {target: source})

    def _restart(self, service: str) -> None:
        self._say(f'Restarting service(s) ["{service}"] after changes were detected...')
        carry_out(
            self._context,
            self._desired,
            lambda desired, observed: plan_restart(desired, observed, (service,), no_deps=True),
        )

    def _exec(self, service: str, command: Mapping[str, Any]) -> None:
        request = ExecRequest(
            args=tuple(command["command"]),
            env=tuple(command["environment"]),
            user=command["user"],
            cwd=command["working_dir"],
            privileged=command["privileged"],
        )
        for container in self._running(service):
            with self._attempt(service):
                code = run_attached(self._context.engine, container, request)
                if code:
                    self._say(f"{' '.join(request.args)} in {container.name} ended with {code}")

    def _running(self, service: str) -> list[Container]:
        found = self._context.engine.containers.list(self._desired.project)
        return [item for item in found if item.service == service and item.is_live and not item.oneoff]

    def _say(self, text: str) -> None:
        self._context.err.line(f" {text}")


def _all_below(rule: Rule) -> Iterator[str]:
    yield rule.path
    for path, folders, names in os.walk(rule.path):
        folders[:] = [name for name in folders if not rule.skips(f"{path}/{name}")]
        yield from (f"{path}/{name}" for name in (*folders, *names))
