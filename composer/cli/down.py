"""`down`: stop and remove the project's containers and networks."""

from typing import NamedTuple

from composer.cli.carry_out import carry_out, grace_ns
from composer.cli.context import Context
from composer.errors import ComposeError
from composer.plan.lifecycle import DownOptions, plan_down


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    volumes: bool = False
    remove_orphans: bool = False
    rmi: str = ""
    timeout: int | None = None


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `down`; the exit code."""
    if arguments.rmi not in ("", "all", "local"):
        raise ComposeError(f"--rmi {arguments.rmi!r} is not one of all, local")
    desired = context.existing(arguments.services)
    options = DownOptions(
        services=arguments.services,
        volumes=arguments.volumes,
        remove_orphans=context.removes_orphans(arguments.remove_orphans),
        rmi=arguments.rmi,
        grace_ns=grace_ns(arguments.timeout),
    )
    carry_out(
        context, desired, lambda wanted, observed: plan_down(wanted, observed, options), keep_going=True
    )
    return 0
