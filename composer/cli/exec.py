"""`exec`: run a command in a running container."""

import errno
import os
import sys
from typing import NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.errors import print_error
from composer.plan.selection import check_services
from runtime import Container, ExecRequest, StartError, run_attached, run_detached

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


class Arguments(NamedTuple):
    service: str = ""
    command: tuple[str, ...] = ()
    detach: bool = False
    env: tuple[str, ...] = ()
    number: int = 0
    no_tty: bool = False
    interactive: bool = True
    tty: bool = False  # as the reference: it has one anyway, if there is one
    privileged: bool = False
    user: str = ""
    workdir: str = ""


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `exec`; the exit code of the command."""
    if not arguments.service or not arguments.command:
        raise ComposeError(
            "exec needs a service and a command", hint="pycompose exec SERVICE COMMAND [ARG...]"
        )
    desired = context.existing((arguments.service,))
    check_services(desired, (arguments.service,))
    container = choose(context.engine.containers.list(desired.project), arguments.service, arguments.number)
    request = ExecRequest(
        args=arguments.command,
        env=arguments.env,
        user=arguments.user,
        cwd=arguments.workdir,
        tty=arguments.interactive
        and not arguments.no_tty
        and not arguments.detach
        and sys.stdin.isatty()
        and sys.stdout.isatty(),
        privileged=arguments.privileged,
    )
    if not arguments.interactive:
        give_no_input()
    return execute(context, container, request, detach=arguments.detach)


def give_no_input() -> None:
    """What this process starts finds nothing on its standard input."""
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)


def execute(context: Context, container: Container, request: ExecRequest, *, detach: bool) -> int:
    """Run a program in a container; its exit code, 0 if it goes on in the background. Raises EngineError."""
    if context.only_tells(f"run {' '.join(request.args)} in container {container.name}"):
        return 0
    try:
        if detach:
            run_detached(context.engine, container, request)
            return 0
        return run_attached(context.engine, container, request)
    except StartError as error:
        return report_start(context, error)


def report_start(context: Context, error: BaseException) -> int:
    """What a shell ends with for a command that it cannot find or run. Raises the error if it is another one."""
    cause = error if isinstance(error, StartError) else error.__cause__
    if not isinstance(cause, StartError) or cause.step != "exec":
        raise error
    print_error(context.err, cause)
    return _NOT_FOUND if cause.errno == errno.ENOENT else _NOT_EXECUTABLE


def choose(containers: list[Container], service: str, number: int) -> Container:
    """The service's running container, the one of that number if it is not 0; one-off ones come last.

    Raises ComposeError.
    """
    running = [
        container
        for container in containers
        if container.service == service
        and container.status in ("running", "paused")
        and (not number or container.number == number)
    ]
    if not running:
        which = f" (container {number})" if number else ""
        raise ComposeError(f'service "{service}"{which} is not running', hint="start it with `pycompose up`")
    return min(running, key=lambda container: (container.oneoff, container.number))
