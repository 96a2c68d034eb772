"""`rm`: remove stopped containers."""

from typing import NamedTuple

from composer.cli.carry_out import carry_out
from composer.cli.context import Context
from composer.execute.observe import observe
from composer.plan.lifecycle import RemoveOptions, plan_remove


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    force: bool = False
    stop: bool = False
    volumes: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `rm`; asks first unless --force is given."""
    desired = context.existing(arguments.services)
    options = RemoveOptions(arguments.services, arguments.stop, arguments.volumes)
    names = [
        action.name
        for action in plan_remove(desired, observe(context.engine, desired), options).actions
        if action.destructive
    ]
    if not names:
        context.err.line("No stopped containers")
        return 0
    asked = arguments.force or context.options.dry_run
    if not asked and not context.confirm(f"Going to remove {', '.join(names)}\nAre you sure? [yN] "):
        return 0
    carry_out(
        context,
        desired,
        lambda wanted, observed: plan_remove(wanted, observed, options),
        keep_going=True,
    )
    return 0
