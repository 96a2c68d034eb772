"""From a planner to its result: lock, observe, plan, then print or execute."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from composer.cli.context import Context
from composer.execute.executor import Executor
from composer.execute.observe import observe
from composer.output.errors import print_warning
from composer.output.progress import Progress
from composer.plan.action import Plan, PlanBuilder
from composer.plan.desired import Desired, DesiredService
from composer.plan.images import ImageOptions, plan_images
from composer.plan.observed import ObservedState
from composer.plan.orphans import ORPHANS_FOUND
from composer.plan.render import render_plan

if TYPE_CHECKING:
    from runtime import Attachment

Planner = Callable[[Desired, ObservedState], Plan]


def carry_out(
    context: Context,
    desired: Desired,
    planner: Planner,
    *,
    check: Callable[[Plan], None] | None = None,
    keep_going: bool = False,
    deadline: float | None = None,
    attachments: "Mapping[str, Attachment] | None" = None,
    quiet: bool = False,
) -> Plan:
    """Plan under the project's lock and execute, or with --dry-run only print. Raises ComposeError, EngineError.

    `check` may refuse the plan before anything is touched. `deadline` is a time.monotonic value. `attachments`:
    see `Executor`. `quiet`: no progress.
    """
    engine = context.engine
    if context.options.dry_run:
        plan = planner(desired, observe(engine, desired))
        _print_warnings(context, plan)
        context.out.line(render_plan(plan))
        return plan
    lock = engine.project_lock(desired.project)
    lock.acquire()
    try:
        plan = planner(desired, observe(engine, desired))
        _print_warnings(context, plan)
        if check is not None:
            check(plan)
        progress = Progress(context.status, quiet=quiet or context.quiet)
        executor = Executor(
            engine,
            desired,
            lock,
            notify=progress,
            parallel=context.parallel,
            keep_going=keep_going,
            deadline=deadline,
            attachments=attachments,
        )
        try:
            executor.run(plan)
        finally:
            progress.close()
            for warning in dict.fromkeys((*executor.warnings, *engine.networks.warnings)):
                print_warning(context.err, warning)
    finally:
        lock.release()
    return plan


def obtain_images(
    context: Context,
    desired: Desired,
    services: Sequence[DesiredService],
    options: ImageOptions,
    *,
    quiet: bool = False,
) -> None:
    """Pull and build what `services` need, without the project's lock: it may take minutes. Raises ExecutionError."""
    builder = PlanBuilder(desired.project)
    plan_images(builder, services, observe(context.engine, desired), options)
    carry_out_images(context, desired, builder.plan(), quiet=quiet)


def carry_out_images(
    context: Context,
    desired: Desired,
    plan: Plan,
    *,
    quiet: bool = False,
    plain: bool = False,
    keep_going: bool = False,
) -> None:
    """Execute a plan of pulls and builds."""
    if not plan.actions:
        return
    _execute_unlocked(context, desired, plan, quiet=quiet, plain=plain, keep_going=keep_going)


def ask_providers(
    context: Context, desired: Desired, services: Sequence[DesiredService], *, quiet: bool = False
) -> Desired:
    """The project with what the providers among `services` answer, which are asked now. Raises ExecutionError."""
    if not any(service.provider for service in services):
        return desired
    from composer.plan.providers import plan_providers, with_answers

    builder = PlanBuilder(desired.project)
    plan_providers(builder, services)
    executor = _execute_unlocked(context, desired, builder.plan(), quiet=quiet)
    desired, warnings = with_answers(desired, executor.answers)
    for warning in warnings:
        print_warning(context.err, warning)
    return desired


def _execute_unlocked(
    context: Context,
    desired: Desired,
    plan: Plan,
    *,
    quiet: bool = False,
    plain: bool = False,
    keep_going: bool = False,
) -> Executor:
    """Execute a plan of what needs no lock of the project's."""
    progress = Progress(context.status, quiet=quiet or context.quiet, plain=plain)
    lock = context.engine.project_lock(desired.project)
    executor = Executor(
        context.engine, desired, lock, notify=progress, parallel=context.parallel, keep_going=keep_going
    )
    try:
        executor.run(plan)
    finally:
        progress.close()
    return executor


def _print_warnings(context: Context, plan: Plan) -> None:
    for warning in plan.warnings:
        if warning.startswith(ORPHANS_FOUND) and context.ignores_orphans:
            continue
        print_warning(context.err, warning)


def grace_ns(timeout: int | None) -> int:
    """The --timeout option in ns; -1 where it was not given."""
    return -1 if timeout is None else timeout * 1_000_000_000
