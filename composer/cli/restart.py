"""`restart`: stop and start containers, without looking at changes of the file."""

from typing import NamedTuple

from composer.cli.carry_out import carry_out, grace_ns
from composer.cli.context import Context
from composer.plan.lifecycle import plan_restart


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    timeout: int | None = None
    no_deps: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `restart`; the exit code."""
    desired = context.existing(arguments.services)
    grace = grace_ns(arguments.timeout)
    carry_out(
        context,
        desired,
        lambda wanted, observed: plan_restart(
            wanted, observed, arguments.services, grace_ns=grace, no_deps=arguments.no_deps
        ),
    )
    return 0
