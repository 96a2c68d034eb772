"""`up --watch`: the logs in the foreground, and changes brought in by a child."""

import os
import signal
import sys
import time

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
    child = watch_in_background(context, desired, rules)
    again = arguments._replace(build=False, no_build=True, no_recreate=True, force_recreate=False, pull="")
    try:
        while True:
            # Ends when all containers have: some of them come back after a build or a restart.
            code = run_up(context, again)
            if code == _INTERRUPTED or arguments.aborts:
                return code
            wait_for_start(context, desired)
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        os.kill(child, signal.SIGTERM)


def watch_in_background(context: Context, desired: Desired, rules: list[Rule]) -> int:
    """Watch in a child of its own, which ends with this process; its pid."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setpgid(0, 0)  # Ctrl-C is for the parent, which ends this one
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            die_with(parent)
            # The parent's database connection must not be used on this side of a fork.
            with Context(context.options) as own:
                Watcher(own, desired, rules).run()
        except (ComposeError, EngineError) as error:
            print_error(context.err, error)
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def wait_for_start(context: Context, desired: Desired) -> None:
    """Until a container of the project runs (again), as after a restart or a build. Raises KeyboardInterrupt."""
    while not any(item.is_live for item in context.engine.containers.list(desired.project)):
        time.sleep(1)
