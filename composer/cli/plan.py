"""`plan`: what `up` would do, and why."""

import json
from typing import NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.execute.observe import observe
from composer.output.errors import print_warning
from composer.plan.render import plan_to_json, render_plan
from composer.plan.up import UpOptions, plan_up

_CHANGES = 2


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    format: str = "text"
    detailed_exitcode: bool = False
    force_recreate: bool = False
    remove_orphans: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `plan`: print it and touch nothing; 2 with --detailed-exitcode if there is something to change."""
    if arguments.format not in ("text", "json"):
        raise ComposeError(f"--format {arguments.format!r} is not one of text, json")
    desired = context.desired(arguments.services)
    options = UpOptions(
        services=arguments.services,
        force_recreate=arguments.force_recreate,
        remove_orphans=context.removes_orphans(arguments.remove_orphans),
    )
    plan = plan_up(desired, observe(context.engine, desired), options)
    if arguments.format == "json":
        context.out.line(json.dumps(plan_to_json(plan), indent=2))
    else:
        for warning in plan.warnings:
            print_warning(context.err, warning)
        context.out.line(render_plan(plan))
    return _CHANGES if arguments.detailed_exitcode and not plan.empty else 0
