"""`build --check`: look at the Dockerfiles of a plan, build nothing."""

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.errors import print_warning
from composer.plan.action import Kind, Plan
from runtime import EngineError, build_from_json, check_build


def check(context: Context, plan: Plan) -> int:
    """Print the warnings of every service; 1 if there are any. Raises ComposeError for what can't be built."""
    found = 0
    for action in plan.actions:
        if action.kind is not Kind.BUILD:
            continue
        try:
            checked = check_build(context.engine.paths, build_from_json(action.spec))
        except EngineError as error:
            raise ComposeError(f"service {action.service}: {error}", hint=error.hint) from error
        for note in checked.notes:
            print_warning(context.err, f"service {action.service}: {note}")
        for warning in checked.findings:
            context.out.line(f"{action.service}: line {warning.line}: {warning.rule}: {warning.message}")
            context.out.line(f"  {warning.line} | {warning.text}")
        found += len(checked.findings)
    if not found:
        context.out.line("Check complete, no warnings found.")
        return 0
    context.out.line(f"Check complete, {found} warning{'s have' if found > 1 else ' has'} been found!")
    return 1
