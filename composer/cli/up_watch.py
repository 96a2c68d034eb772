"""`up --watch`: the logs in the foreground, and changes brought in by a child."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

from composer.cli.context import Context
from composer.cli.up import Arguments, run_up
from composer.cli.watch import Watcher, load_rules
from composer.errors import ComposeError
from composer.output.errors import print_error
from composer.plan.desired import Desired
from composer.watch_rules import Rule
from runtime import EngineError, die_with

_INTERRUPTED = 130


def run_and_watch(context: Context, arguments: Arguments) -> int:
    """Carry out `up --watch`; the exit code."""
    if arguments.detach or arguments.wait or arguments.no_start:
        raise ComposeError("--watch works in the foreground", hint="use `pycompose watch` beside `up -d`")
    desired = context.desired(arguments.services)
    rules = load_rules(context, desired, arguments.services)
    if context.options.dry_run:
        return run_up(context, arguments)
    run_up(context, arguments._replace(detach=True))
    again = arguments._replace(build=False, no_build=True, no_recreate=True, force_recreate=False, pull="")
    try:
        with watching(context, desired, rules):
            while True:
                # Ends when all containers have: some of them come back after a build or a restart.
                code = run_up(context, again)
                if code == _INTERRUPTED or arguments.aborts:
                    return code
                wait_for_start(context, desired)
    except KeyboardInterrupt:
        return _INTERRUPTED


@contextlib.contextmanager
def watching(context: Context, desired: Desired, rules: list[Rule]) -> Iterator[None]:
    """Watch meanwhile, in a child that ends with this process if not before."""
    context.engine.database.release()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _watch_and_exit(context, desired, rules, parent)
    try:
        pidfd = os.pidfd_open(child)
    except ProcessLookupError:  # it failed at once, and where SIGCHLD is ignored the kernel has reaped it
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        os.close(pidfd)


def _watch_and_exit(context: Context, desired: Desired, rules: list[Rule], parent: int) -> NoReturn:
    try:
        os.setpgid(0, 0)  # Ctrl-C is for the parent, which ends this one
        die_with(parent)
        # The parent's engine must not be used on this side of a fork.
        with Context(context.options) as own:
            Watcher(own, desired, rules).run()
    except (ComposeError, EngineError, OSError) as error:
        print_error(context.err, error)
    except Exception:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def wait_for_start(context: Context, desired: Desired) -> None:
    """Until a container of the project runs (again), as after a restart or a build. Raises KeyboardInterrupt."""
    while not any(item.is_live for item in context.engine.containers.list(desired.project)):
        time.sleep(1)
