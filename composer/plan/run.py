"""Plans `run`: a container of its own for one command, made like those of a service, and what it depends on. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from composer.plan.action import Plan
from composer.plan.desired import Desired, DesiredService
from composer.plan.images import ImageOptions
from composer.plan.observed import ObservedState
from composer.plan.selection import select_services
from composer.plan.up import UpOptions, plan_up

LABEL_SLUG = "com.docker.compose.slug"
# What a ContainerSpec holds that a one-off container does not take over from its service.
_NOT_TAKEN_OVER = (
    "restart", "ports", "command", "entrypoint", "user", "working_dir", "tty", "stdin_open", "post_start"
)  # fmt: skip


class RunOptions(NamedTuple):
    """What the command line changes of the service; "", () and None leave it as it is. Parts are in JSON form."""

    service: str
    name: str
    slug: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    environment: tuple[tuple[str, str], ...] = ()
    user: str = ""
    working_dir: str = ""
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    mounts: tuple[Mapping[str, Any], ...] = ()
    ports: tuple[Mapping[str, Any], ...] = ()
    service_ports: bool = False
    use_aliases: bool = False
    tty: bool = False
    console_size: tuple[int, ...] = ()
    interactive: bool = True
    auto_remove: bool = False
    no_deps: bool = False
    remove_orphans: bool = False
    images: ImageOptions = ImageOptions()


def one_off(desired: Desired, options: RunOptions) -> Desired:
    """The project with its service as the command line wants it. Raises SelectionError."""
    select_services(desired, (options.service,))
    services = tuple(
        _changed(service, options) if service.name == options.service else service
        for service in desired.services
    )
    return desired._replace(services=services)


def plan_run(desired: Desired, observed: ObservedState, options: RunOptions) -> Plan:
    """Make and start the container, after what it depends on. `desired` is that of `one_off`."""
    return plan_up(
        desired,
        observed,
        UpOptions(
            services=(options.service,),
            no_deps=options.no_deps,
            remove_orphans=options.remove_orphans,
            scale={options.service: 1},
            images=options.images,
            one_off=options.name,
        ),
    )


def _changed(service: DesiredService, options: RunOptions) -> DesiredService:
    spec = {key: value for key, value in service.spec.items() if key not in _NOT_TAKEN_OVER}
    spec.update(_program(service.spec, options))
    spec["tty"] = options.tty
    spec["console_size"] = options.console_size
    spec["stdin_open"] = options.interactive
    spec["auto_remove"] = options.auto_remove
    spec["labels"] = {**spec.get("labels", {}), **options.labels, LABEL_SLUG: options.slug}
    spec["ports"] = [*(service.spec.get("ports", ()) if options.service_ports else ()), *options.ports]
    targets = {mount["target"] for mount in options.mounts}
    kept = [mount for mount in spec.get("mounts", ()) if mount["target"] not in targets]
    spec["mounts"] = [*kept, *options.mounts]
    names = {name for name, _ in options.environment}
    kept_variables = [pair for pair in spec.get("environment", ()) if pair[0] not in names]
    spec["environment"] = [*kept_variables, *map(list, options.environment)]
    spec["cap_add"] = [*spec.get("cap_add", ()), *options.cap_add]
    dropped = [name for name in spec.get("cap_drop", ()) if name not in options.cap_add]
    spec["cap_drop"] = [*dropped, *options.cap_drop]
    if not options.use_aliases:
        spec["networks"] = [{**item, "aliases": []} for item in spec.get("networks", ())]
    return service._replace(spec=spec, container_name="")


def _program(spec: Mapping[str, Any], options: RunOptions) -> dict[str, Any]:
    """What runs, as whom and where. Another entrypoint does without the service's command."""
    given: dict[str, Any] = {
        "user": options.user or spec.get("user", ""),
        "working_dir": options.working_dir or spec.get("working_dir", ""),
        "entrypoint": spec.get("entrypoint"),
        "command": spec.get("command"),
    }
    if options.entrypoint is not None:
        given["entrypoint"], given["command"] = options.entrypoint, ()
    if options.command:
        given["command"] = options.command
    return given
