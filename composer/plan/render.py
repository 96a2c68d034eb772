"""A plan as text and as JSON. Pure."""

from typing import Any

from composer.plan.action import Action, Plan


def render_plan(plan: Plan) -> str:
    """One line per action in the order of execution, each with its cause."""
    lines = [_line(action) for action in plan.actions]
    return "\n".join(lines) if lines else "nothing to do"


def _line(action: Action) -> str:
    what = f"{action.kind} {action.name}"
    if action.condition:
        what += f" to be {action.condition.removeprefix('service_').replace('_', ' ')}"
    return f"{what}  ({action.cause})"


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan for programs: actions with their ids, needs and causes, without the containers' specs."""
    return {
        "project": plan.project,
        "actions": [
            {
                "id": action.id,
                "kind": action.kind.value,
                "name": action.name,
                "service": action.service,
                "cause": action.cause,
                "needs": list(action.needs),
                "destructive": action.destructive,
            }
            for action in plan.actions
        ],
        "warnings": list(plan.warnings),
    }
