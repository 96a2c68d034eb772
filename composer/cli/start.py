"""`start`: start containers that exist."""

from typing import NamedTuple

from composer.cli.carry_out import carry_out
from composer.cli.context import Context
from composer.plan.lifecycle import plan_start


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `start`; the exit code."""
    desired = context.existing(arguments.services)
    carry_out(context, desired, lambda wanted, observed: plan_start(wanted, observed, arguments.services))
    return 0
