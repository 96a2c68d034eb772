"""`pull` and `push`: the images of services, from and to their registries."""

from composer.cli.carry_out import carry_out_images
from composer.cli.context import Context
from composer.errors import ExecutionError
from composer.execute.observe import observe
from composer.plan.action import PlanBuilder
from composer.plan.render import render_plan
from composer.plan.transfer import TransferOptions, plan_pull, plan_push


def pull(
    context: Context,
    *,
    services: tuple[str, ...],
    include_deps: bool,
    ignore_buildable: bool,
    ignore_pull_failures: bool,
    policy: str,
    quiet: bool,
) -> int:
    """Carry out `pull`; the exit code."""
    desired = context.desired(services)
    builder = PlanBuilder(desired.project)
    options = TransferOptions(services, include_deps, ignore_buildable, policy)
    plan_pull(builder, desired, observe(context.engine, desired), options)
    return _carry_out(context, builder, services, quiet=quiet, ignore_failures=ignore_pull_failures)


def push(
    context: Context,
    *,
    services: tuple[str, ...],
    include_deps: bool,
    ignore_push_failures: bool,
    quiet: bool,
) -> int:
    """Carry out `push`; the exit code."""
    desired = context.desired(services)
    builder = PlanBuilder(desired.project)
    plan_push(builder, desired, TransferOptions(services, include_deps))
    return _carry_out(context, builder, services, quiet=quiet, ignore_failures=ignore_push_failures)


def _carry_out(
    context: Context, builder: PlanBuilder, services: tuple[str, ...], *, quiet: bool, ignore_failures: bool
) -> int:
    desired = context.desired(services)
    plan = builder.plan()
    if context.options.dry_run:
        context.out.line(render_plan(plan))
        return 0
    try:
        carry_out_images(context, desired, plan, quiet=quiet, keep_going=ignore_failures)
    except ExecutionError:
        if not ignore_failures:
            raise
    return 0
