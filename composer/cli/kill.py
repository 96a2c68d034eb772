"""`kill`: send a signal to running containers."""

from typing import NamedTuple

from composer.cli.carry_out import carry_out
from composer.cli.context import Context
from composer.plan.lifecycle import plan_kill
from runtime import parse_signal


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    signal: str = "SIGKILL"
    remove_orphans: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `kill`; the exit code."""
    number = parse_signal(arguments.signal)
    desired = context.existing(arguments.services)
    carry_out(
        context,
        desired,
        lambda wanted, observed: plan_kill(
            wanted, observed, arguments.services, number, remove_orphans=arguments.remove_orphans
        ),
        keep_going=True,
    )
    return 0
