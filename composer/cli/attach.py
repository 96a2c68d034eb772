"""`attach`: this terminal's streams at those of a service's running program."""

from typing import NamedTuple

from composer.cli.context import Context
from composer.cli.exec import choose
from composer.errors import ComposeError
from composer.plan.selection import check_services
from runtime import DETACH_KEYS, Container, Session, attach, parse_detach_keys


class Arguments(NamedTuple):
    service: str = ""
    detach_keys: str = ""
    number: int = 0
    no_stdin: bool = False
    sig_proxy: bool = True


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `attach`; the exit code of the program, 0 after detaching."""
    keys = parse_keys(arguments.detach_keys)
    desired = context.existing((arguments.service,))
    check_services(desired, (arguments.service,))
    container = choose(context.engine.containers.list(desired.project), arguments.service, arguments.number)
    return attach_to(
        context,
        container,
        detach_keys=keys,
        no_stdin=arguments.no_stdin,
        sig_proxy=arguments.sig_proxy,
    )


def attach_to(
    context: Context, container: Container, *, detach_keys: bytes, no_stdin: bool, sig_proxy: bool
) -> int:
    """Attach to a running container; the exit code of its program, 0 after detaching. Raises EngineError."""
    if context.only_tells(f"attach to container {container.name}"):
        return 0
    attachment = attach(context.engine.containers, container, stdin=not no_stdin)
    code = Session(
        context.engine.containers,
        container,
        attachment,
        interactive=not no_stdin,
        detach_keys=detach_keys,
        proxy_signals=sig_proxy,
    ).run()
    return code or 0


def parse_keys(text: str) -> bytes:
    """--detach-keys, the usual ones for "". Raises ComposeError."""
    try:
        return parse_detach_keys(text) if text else DETACH_KEYS
    except ValueError as error:
        raise ComposeError(f"--detach-keys: {error}", hint="for example ctrl-p,ctrl-q") from None
