"""`build`: build the images of services. Hot: a build without changes should take no time."""

from typing import TYPE_CHECKING, NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.errors import print_warning
from composer.plan.action import Action, Kind, Plan, PlanBuilder
from composer.plan.build import BuildOptions, plan_build
from runtime import build_from_json

if TYPE_CHECKING:
    from runtime import Outcome

_NO = ("", "false", "0", "no")


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    build_arg: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    push: bool = False
    quiet: bool = False
    with_dependencies: bool = False
    ssh: tuple[str, ...] = ()
    progress: str = "auto"
    check: bool = False
    print_bake: bool = False
    builder: str = ""
    memory: str = ""
    provenance: str = ""
    sbom: str = ""


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `build`; the exit code."""
    if arguments.progress not in ("auto", "tty", "plain", "quiet"):
        raise ComposeError(f"--progress {arguments.progress!r} is not one of auto, tty, plain, quiet")
    desired = context.desired(arguments.services)
    builder = PlanBuilder(desired.project)
    options = BuildOptions(
        services=arguments.services,
        arguments=_pairs(arguments.build_arg),
        no_cache=arguments.no_cache,
        pull=arguments.pull,
        push=arguments.push,
        with_dependencies=arguments.with_dependencies,
        ssh=_ssh(arguments.ssh),
    )
    plan_build(builder, desired, options)
    plan = builder.plan()
    _warn(context, arguments)
    if arguments.print_bake:
        import json

        from composer.output.bake import bake_file

        context.out.line(json.dumps(bake_file(plan, push=arguments.push), indent=2))
        return 0
    if arguments.check:
        from composer.cli.build_check import check

        return check(context, plan)
    if context.options.dry_run:
        from composer.plan.render import render_plan

        context.out.line(render_plan(plan))
        return 0
    if not plan.actions:
        context.err.line("no service is to be built")
    quiet = arguments.quiet or arguments.progress == "quiet"
    plain = arguments.progress == "plain"
    known = _recall(context, plan)
    if known:
        _show(context, known, quiet=quiet, plain=plain)
    else:
        from composer.cli.carry_out import carry_out_images

        carry_out_images(context, desired, plan, quiet=quiet, plain=plain)
    if arguments.quiet:
        images = {action.name: outcome.image for action, outcome in known}
        for action in plan.actions:
            context.out.line(images.get(action.name) or context.engine.images.resolve(action.name).id)
    return 0


def _recall(context: Context, plan: Plan) -> "list[tuple[Action, Outcome]]":
    """What all builds of a plan would give; nothing if there is anything to do."""
    known = []
    for action in plan.actions:
        outcome = (
            context.engine.recall_build(build_from_json(action.spec)) if action.kind is Kind.BUILD else None
        )
        if outcome is None:
            return []
        known.append((action, outcome))
    return known


def _show(context: Context, known: "list[tuple[Action, Outcome]]", *, quiet: bool, plain: bool) -> None:
    """Tell of builds what their execution would."""
    from composer.execute.event import Event, Phase
    from composer.output.progress import Progress

    progress = Progress(context.status, quiet=quiet or context.quiet, plain=plain)
    for action, outcome in known:
        progress(Event(Phase.BEGUN, action))
        for news in outcome.news:
            progress(Event(Phase.NEWS, action, news=news))
        progress(Event(Phase.DONE, action))
    progress.close()


def _warn(context: Context, arguments: Arguments) -> None:
    """Say what is accepted for the sake of scripts and changes nothing."""
    if arguments.builder:
        print_warning(context.err, f"--builder {arguments.builder}: there is one builder, the built-in one")
    if arguments.memory:
        print_warning(
            context.err, "--memory limits no build, as with BuildKit; limit it by `ulimits` of `build`"
        )
    for name, value in (("provenance", arguments.provenance), ("sbom", arguments.sbom)):
        if value.lower() not in _NO:
            print_warning(context.err, f"--{name} {value}: attestations are not made")


def _pairs(words: tuple[str, ...]) -> dict[str, str]:
    import os

    found = {}
    for word in words:
        name, separator, value = word.partition("=")
        if separator:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _ssh(words: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}
