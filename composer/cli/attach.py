"""`attach`: this terminal's streams at those of a service's running program."""

from typing import NamedTuple

from composer.cli.context import Context
from composer.cli.exec import choose
from composer.errors import ComposeError
from composer.plan.selection import check_services
from runtime import DETACH_KEYS, Session, attach, parse_detach_keys


class Arguments(NamedTuple):
    service: str = ""
    detach_keys: str = ""
    number: int = 0
    no_stdin: bool = False
    sig_proxy: bool = True


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `attach`; the exit code of the program, 0 after detaching."""
    try:
        keys = parse_detach_keys(arguments.detach_keys) if arguments.detach_keys else DETACH_KEYS
    except ValueError as error:
        raise ComposeError(f"--detach-keys: {error}", hint="for example ctrl-p,ctrl-q") from None
    desired = context.existing((arguments.service,))
    check_services(desired, (arguments.service,))
    container = choose(context.engine.containers.list(desired.project), arguments.service, arguments.number)
    attachment = attach(context.engine.containers, container, stdin=not arguments.no_stdin)
    code = Session(
        context.engine.containers,
        container,
        attachment,
        interactive=not arguments.no_stdin,
        detach_keys=keys,
        proxy_signals=arguments.sig_proxy,
    ).run()
    return code or 0
