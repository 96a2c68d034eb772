"""`stop`: stop containers without removing them."""

from typing import NamedTuple

from composer.cli.carry_out import carry_out, grace_ns
from composer.cli.context import Context
from composer.plan.lifecycle import plan_stop


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    timeout: int | None = None


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `stop`; the exit code."""
    desired = context.existing(arguments.services)
    grace = grace_ns(arguments.timeout)
    carry_out(
        context,
        desired,
        lambda wanted, observed: plan_stop(wanted, observed, arguments.services, grace_ns=grace),
        keep_going=True,
    )
    return 0
