"""`up`: make, start and follow the project's containers."""

import time
from typing import NamedTuple

from composer.cli.carry_out import ask_providers, carry_out, grace_ns, obtain_images
from composer.cli.context import Context
from composer.cli.up_attached import AttachedUp
from composer.errors import ComposeError, ExecutionError
from composer.execute.observe import observe
from composer.output.errors import print_error, print_warning
from composer.plan.action import Kind, Plan
from composer.plan.desired import ROLLBACK, Desired
from composer.plan.images import ImageOptions
from composer.plan.observed import ObservedState
from composer.plan.render import render_plan
from composer.plan.selection import check_services, select_services
from composer.plan.up import UpOptions, plan_up
from runtime import ContainerSpec, EngineError, PortRequest, check_free, from_json, has_host_ports

PULL_POLICIES = ("always", "missing", "never", "build")


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    detach: bool = False
    wait: bool = False
    wait_timeout: int | None = None
    scale: tuple[str, ...] = ()
    force_recreate: bool = False
    no_recreate: bool = False
    no_deps: bool = False
    no_start: bool = False
    remove_orphans: bool = False
    renew_anon_volumes: bool = False
    timeout: int | None = None
    no_log_prefix: bool = False
    no_color: bool = False
    timestamps: bool = False
    build: bool = False
    no_build: bool = False
    pull: str = ""
    quiet_pull: bool = False
    quiet_build: bool = False
    always_recreate_deps: bool = False
    abort_on_container_exit: bool = False
    abort_on_container_failure: bool = False
    exit_code_from: str = ""
    attach: tuple[str, ...] = ()
    no_attach: tuple[str, ...] = ()
    attach_dependencies: bool = False
    explain: bool = False
    watch: bool = False
    menu: bool | None = None  # None: COMPOSE_MENU decides
    yes: bool = False  # nothing is asked

    @property
    def aborts(self) -> bool:
        """Whether the end of one container ends all."""
        return self.abort_on_container_exit or self.abort_on_container_failure or bool(self.exit_code_from)


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `up`; the exit code."""
    _check_options(arguments)
    begun_ns = time.time_ns()
    desired = context.desired(arguments.services)
    rules = None
    if arguments.watch:
        from composer.cli.up_watch import rules_of

        rules = rules_of(context, desired, arguments)
    images = image_options(arguments.pull, build=arguments.build, no_build=arguments.no_build)
    options = UpOptions(
        services=arguments.services,
        no_deps=arguments.no_deps,
        force_recreate=arguments.force_recreate,
        no_recreate=arguments.no_recreate,
        remove_orphans=context.removes_orphans(arguments.remove_orphans),
        renew_anonymous_volumes=arguments.renew_anon_volumes,
        no_start=arguments.no_start,
        wait=arguments.wait,
        scale=parse_scale(arguments.scale, desired),
        recreate_dependencies=arguments.always_recreate_deps,
        images=images,
        grace_ns=grace_ns(arguments.timeout),
    )
    check_services(
        desired, (*arguments.attach, *arguments.no_attach, *filter(None, [arguments.exit_code_from]))
    )
    if not context.options.dry_run:
        selected = select_services(desired, options.services, no_deps=options.no_deps)
        used = [item for item in selected if options.scale.get(item.name, item.scale) > 0]
        obtain_images(context, desired, used, images, quiet=arguments.quiet_pull or arguments.quiet_build)
        desired = ask_providers(context, desired, selected)
        options = options._replace(images=images._replace(ready=True))
    deadline = None
    if arguments.wait and arguments.wait_timeout:
        deadline = time.monotonic() + arguments.wait_timeout
    before: list[ObservedState] = []

    def plan_it(wanted: Desired, observed: ObservedState) -> Plan:
        before.append(observed)
        return plan_up(wanted, observed, options)

    try:
        plan = carry_out(
            context,
            desired,
            plan_it,
            check=lambda plan: _check_and_explain(context, desired, plan, explain=arguments.explain),
            deadline=deadline,
        )
    except ExecutionError as error:
        if before:
            _roll_back(context, desired, error, before[0])
        raise
    if context.options.dry_run:
        return 0
    _report_unchanged(context, desired, plan, options)
    if arguments.detach or arguments.wait or arguments.no_start:
        return 0
    return AttachedUp(context, desired, arguments, plan, begun_ns, rules).run()


def _roll_back(context: Context, desired: Desired, error: ExecutionError, before: ObservedState) -> None:
    """Undo failed updates whose failure_action says so."""
    services = [
        service.name
        for service in desired.services
        if service.name in error.services
        and service.update is not None
        and service.update.failure_action == ROLLBACK
    ]
    if services:
        from composer.plan.rolling import plan_rollback

        print_warning(context.err, f"the update of {', '.join(services)} failed and is rolled back")
        try:
            carry_out(context, desired, lambda wanted, now: plan_rollback(wanted, now, before, services))
        except (ComposeError, EngineError) as failure:
            print_error(context.err, failure)  # what comes after it is why the update failed


_EXCLUSIVE = (
    ("force_recreate", "no_recreate"),
    ("always_recreate_deps", "no_recreate"),
    ("abort_on_container_exit", "abort_on_container_failure"),
    ("attach", "attach_dependencies"),
    *(
        (mode, other)
        for mode in ("detach", "wait")
        for other in (
            "abort_on_container_exit", "abort_on_container_failure", "exit_code_from", "attach", "attach_dependencies"
        )
    ),
)  # fmt: skip


def _check_options(arguments: Arguments) -> None:
    for one, other in _EXCLUSIVE:
        if getattr(arguments, one) and getattr(arguments, other):
            names = (f"--{name.replace('_', '-')}" for name in (one, other))
            raise ComposeError(f"{' and '.join(names)} exclude each other")


def image_options(pull: str, *, build: bool, no_build: bool) -> ImageOptions:
    """--pull, --build and --no-build. Raises ComposeError."""
    if build and no_build:
        raise ComposeError("--build and --no-build exclude each other")
    if pull and pull not in (*PULL_POLICIES, "if_not_present"):
        raise ComposeError(f"--pull {pull!r} is not one of {', '.join(PULL_POLICIES)}")
    return ImageOptions(pull, build, no_build)


def parse_scale(words: tuple[str, ...], desired: Desired) -> dict[str, int]:
    """The --scale options as service -> number. Raises ComposeError."""
    known = {service.name for service in desired.services}
    scale = {}
    for word in words:
        name, separator, number = word.partition("=")
        if not separator or not number.isdigit():
            raise ComposeError(f"--scale {word!r} is not SERVICE=NUMBER")
        if name not in known:
            raise ComposeError(f"--scale {word}: no such service: {name}")
        scale[name] = int(number)
    return scale


def _check_and_explain(context: Context, desired: Desired, plan: Plan, *, explain: bool) -> None:
    check_plan(context, desired, plan)
    if explain and plan.actions:
        context.err.line(render_plan(plan))


def check_plan(context: Context, desired: Desired, plan: Plan) -> None:
    """Refuse the plan if a container of it can't ever start or a host port is taken. Raises EngineError."""
    for action in plan.actions:
        if action.kind is Kind.CREATE:
            try:
                context.engine.containers.check(from_json(action.spec))
            except EngineError as error:
                error.origin = next(
                    (item.origin for item in desired.services if item.name == action.service), ""
                )
                raise
    # Ports that a container of this plan gives up are free by the time they are wanted.
    stopped = {action.name for action in plan.actions if action.kind in (Kind.STOP, Kind.REMOVE)}
    requests = [
        port
        for action in plan.actions
        if action.kind is Kind.CREATE and action.name not in stopped and action.spec.get("ports")
        for port in _host_ports(context, desired, from_json(action.spec))
    ]
    if requests:
        check_free(requests)


def _host_ports(context: Context, desired: Desired, spec: ContainerSpec) -> tuple[PortRequest, ...]:
    """What a container wants of the host: nothing where all its networks keep its ports to themselves."""
    made = {network.name: network for network in desired.networks}
    for attachment in spec.networks:
        network, found = made.get(attachment.network), context.engine.networks.find(attachment.network)
        if found is not None:
            record = found.record
            families = {"ipv4": record.has_ipv4, "ipv6": record.has_ipv6}
            wanted = has_host_ports(record.driver, record.options, internal=record.internal, **families)
        elif network is not None:
            families = {"ipv4": network.enable_ipv4, "ipv6": network.enable_ipv6}
            wanted = has_host_ports(
                network.driver, network.driver_opts, internal=network.internal, **families
            )
        else:
            wanted = False  # it can't be made
        if wanted:
            return spec.ports
    return ()


def _report_unchanged(context: Context, desired: Desired, plan: Plan, options: UpOptions) -> None:
    touched = {action.name for action in plan.actions if action.kind is not Kind.WAIT}
    selected = {
        service.name for service in select_services(desired, options.services, no_deps=options.no_deps)
    }
    for container in observe(context.engine, desired).containers:
        if (
            container.live
            and not container.oneoff
            and container.service in selected
            and container.name not in touched
        ):
            context.err.line(f" Container {container.name}  Running")
