"""`up --watch`: changes are brought in by a child while the logs are shown."""

import contextlib
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from composer.cli.context import Context
from composer.cli.watch import Watcher, load_rules
from composer.errors import ComposeError
from composer.output.errors import print_error
from composer.plan.desired import Desired
from composer.watch_rules import Rule
from runtime import EngineError, die_with

if TYPE_CHECKING:
    from composer.cli.up import Arguments

_READ_BYTES = 1 << 16


def rules_of(context: Context, desired: Desired, arguments: "Arguments") -> list[Rule]:
    """What `up --watch` watches. Raises ComposeError if that is nothing, or it cannot be."""
    if arguments.detach or arguments.wait or arguments.no_start:
        raise ComposeError("--watch works in the foreground", hint="use `pycompose watch` beside `up -d`")
    return load_rules(context, desired, arguments.services)


class WatchChild:
    """Watches in a process of its own, which ends with this one if not before.

    `descriptors` are readable when `take` has something to do: what the child has printed, where it does not print
    itself (`piped`), and its end.
    """

    def __init__(self, context: Context, desired: Desired, rules: list[Rule], *, piped: bool) -> None:
        self.descriptors: tuple[int, ...] = ()
        reader, writer = os.pipe2(os.O_CLOEXEC) if piped else (-1, -1)
        context.engine.database.release()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            if piped:
                os.dup2(writer, 1)
                os.dup2(writer, 2)
            _watch_and_exit(context, desired, rules, parent)
        if piped:
            os.close(writer)
            os.set_blocking(reader, False)
        try:
            self.descriptors = (os.pidfd_open(child), *((reader,) if piped else ()))
        except ProcessLookupError:
            # It failed at once, and where SIGCHLD is ignored the kernel has reaped it.
            if piped:
                os.close(reader)

    @property
    def alive(self) -> bool:
        return bool(self.descriptors)

    def take(self) -> str:
        """What the child has printed since the last call. It is not `alive` any more once it has ended."""
        ready, _, _ = select.select(self.descriptors, [], [], 0)
        text = ""
        for reader in self.descriptors[1:]:
            with contextlib.suppress(BlockingIOError):
                while data := os.read(reader, _READ_BYTES):
                    text += data.decode(errors="replace")
        if self.descriptors and self.descriptors[0] in ready:
            with contextlib.suppress(ChildProcessError):  # where SIGCHLD is ignored the kernel reaps
                os.waitid(os.P_PIDFD, self.descriptors[0], os.WEXITED)
            self._close()
        return text

    def stop(self) -> None:
        """End it."""
        if self.descriptors:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.descriptors[0], signal.SIGTERM)
            self._close()

    def _close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = ()


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
