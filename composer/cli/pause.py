"""`pause` and, with `paused` false, `unpause`: freeze processes and let them go on."""

from typing import NamedTuple

from composer.cli.carry_out import carry_out
from composer.cli.context import Context
from composer.plan.lifecycle import plan_pause


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()


def run(context: Context, arguments: Arguments, *, paused: bool = True) -> int:
    """Carry out `pause`; the exit code."""
    desired = context.existing(arguments.services)
    carry_out(
        context,
        desired,
        lambda wanted, observed: plan_pause(wanted, observed, arguments.services, paused=paused),
        keep_going=True,
    )
    return 0
