"""Plans `down`, `stop`, `start`, `restart` and `kill`. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from composer.errors import SelectionError
from composer.plan.action import Kind, Plan, PlanBuilder
from composer.plan.desired import COMPLETED, HEALTHY, Desired, DesiredService
from composer.plan.hooks import Starting, add_pre_start, add_start, add_stop
from composer.plan.observed import PAUSED, RUNNING, ObservedContainer, ObservedState
from composer.plan.orphans import find_orphans, plan_orphans
from composer.plan.selection import check_services, select_services


class DownOptions(NamedTuple):
    """The options of `down` that change the plan. `grace_ns` -1 = each container's own."""

    services: tuple[str, ...] = ()
    volumes: bool = False
    remove_orphans: bool = False
    rmi: str = ""  # "all", or "local": images that are built and have no name of their own
    grace_ns: int = -1


def _dependents(desired: Desired) -> dict[str, set[str]]:
    """Service -> the services that depend on it directly."""
    found: dict[str, set[str]] = {}
    for service in desired.services:
        for dependency in service.depends_on:
            found.setdefault(dependency.service, set()).add(service.name)
    return found


def _stop_all(
    builder: PlanBuilder,
    desired: Desired,
    containers: Iterable[ObservedContainer],
    cause: str,
    grace_ns: int,
    *,
    resumable: bool = False,
) -> dict[str, int]:
    """STOP actions, dependents before what they depend on; container id -> action."""
    by_service: dict[str, list[ObservedContainer]] = {}
    for container in containers:
        by_service.setdefault(container.service, []).append(container)
    dependents = _dependents(desired)
    order = [service.name for service in reversed(desired.services)]
    order += [name for name in by_service if name not in order]
    stops: dict[str, int] = {}
    of_service: dict[str, tuple[int, ...]] = {}
    for name in order:
        before = tuple(
            stop for dependent in dependents.get(name, ()) for stop in of_service.get(dependent, ())
        )
        own = []
        for container in by_service.get(name, ()):
            if container.live:
                stops[container.id] = add_stop(
                    builder, container, cause, needs=before, grace_ns=grace_ns, resumable=resumable
                )
                own.append(stops[container.id])
        # A service with nothing to stop passes on what has to be stopped before it.
        of_service[name] = tuple(own) or before
    return stops


def plan_down(desired: Desired, observed: ObservedState, options: DownOptions) -> Plan:
    """Stop and remove the project's containers, then its networks, with `volumes` also its volumes."""
    check_services(desired, options.services)
    builder = PlanBuilder(desired.project)
    orphans = {container.id for container in find_orphans(desired, observed)}
    chosen = [
        container
        for container in observed.containers
        if container.id not in orphans
        and (not options.services or container.service in options.services)
        # A command under way goes on, as it does with the reference; one that has ended is not kept.
        and (options.remove_orphans or container.hook or not (container.oneoff and container.live))
    ]
    kept = orphans | {container.id for container in observed.containers if container.oneoff}
    kept -= {container.id for container in chosen}
    stops = _stop_all(builder, desired, chosen, "down", options.grace_ns)
    removals = [
        builder.add(
            Kind.REMOVE,
            container.name,
            "down",
            needs=(stops[container.id],) if container.id in stops else (),
            service=container.service,
            container_id=container.id,
            anonymous_volumes=options.volumes,
        )
        for container in chosen
    ]
    removals += plan_orphans(builder, desired, observed, remove=options.remove_orphans)
    provided = [
        service
        for service in desired.services
        if service.provider and (not options.services or service.name in options.services)
    ]
    if provided:
        from composer.plan.providers import plan_release  # few projects have any

        plan_release(builder, provided, tuple(removals))
    if not options.services:
        _remove_resources(builder, desired, observed, options, tuple(removals), kept=kept)
    _remove_images(builder, desired, observed, options, tuple(removals))
    return builder.plan()


def _remove_images(
    builder: PlanBuilder,
    desired: Desired,
    observed: ObservedState,
    options: DownOptions,
    removals: tuple[int, ...],
) -> None:
    if not options.rmi:
        return
    for image, service in {item.image: item for item in desired.services}.items():
        chosen = not options.services or service.name in options.services
        local = service.build and image == f"{desired.project}-{service.name}"
        there = observed.images.get(image) and not image.startswith(("host:", "rootfs:"))
        if chosen and there and (local or options.rmi == "all"):
            builder.add(
                Kind.REMOVE_IMAGE, image, f"--rmi {options.rmi}", needs=removals, service=service.name
            )


def _remove_resources(
    builder: PlanBuilder,
    desired: Desired,
    observed: ObservedState,
    options: DownOptions,
    removals: tuple[int, ...],
    *,
    kept: set[str],
) -> None:
    users = {
        name: container.name
        for container in observed.containers
        if container.id in kept and not options.remove_orphans
        for name in container.networks
    }
    for name in observed.project_networks:
        if name in users:
            builder.warn(f"network {name} is still in use by {users[name]} and stays")
        else:
            builder.add(Kind.REMOVE_NETWORK, name, "down", needs=removals)
    if not options.volumes:
        return
    for name in desired.all_volumes:
        if name in observed.volumes:
            builder.add(Kind.REMOVE_VOLUME, name, "down --volumes", needs=removals, destructive=True)


def plan_stop(
    desired: Desired,
    observed: ObservedState,
    services: tuple[str, ...] = (),
    *,
    grace_ns: int = -1,
    resumable: bool = False,
) -> Plan:
    """Stop containers, dependents first; `resumable`: for as long as the machine is down."""
    check_services(desired, services)
    builder = PlanBuilder(desired.project)
    chosen = [
        item for item in observed.containers if not item.oneoff and (not services or item.service in services)
    ]
    _stop_all(builder, desired, chosen, "stop", grace_ns, resumable=resumable)
    return builder.plan()


def plan_kill(
    desired: Desired,
    observed: ObservedState,
    services: tuple[str, ...],
    number: int,
    *,
    remove_orphans: bool = False,
) -> Plan:
    """Send a signal to running containers; orphans get it too, or are removed."""
    check_services(desired, services)
    builder = PlanBuilder(desired.project)
    removed: set[str] = set()
    if remove_orphans:
        removed = {container.id for container in find_orphans(desired, observed)}
        plan_orphans(builder, desired, observed, remove=True)
    for container in observed.containers:
        if container.live and container.id not in removed and (not services or container.service in services):
            builder.add(
                Kind.KILL,
                container.name,
                "kill",
                service=container.service,
                container_id=container.id,
                number=number,
            )
    return builder.plan()


def plan_pause(desired: Desired, observed: ObservedState, services: tuple[str, ...], *, paused: bool) -> Plan:
    """Freeze running containers, or let frozen ones go on."""
    check_services(desired, services)
    kind, wanted = (Kind.PAUSE, RUNNING) if paused else (Kind.UNPAUSE, PAUSED)
    builder = PlanBuilder(desired.project)
    for container in observed.containers:
        if container.status == wanted and (not services or container.service in services):
            builder.add(
                kind,
                container.name,
                "pause" if paused else "unpause",
                service=container.service,
                container_id=container.id,
            )
    return builder.plan()


class RemoveOptions(NamedTuple):
    """The options of `rm` that change the plan."""

    services: tuple[str, ...] = ()
    stop: bool = False
    volumes: bool = False


def plan_remove(desired: Desired, observed: ObservedState, options: RemoveOptions) -> Plan:
    """Remove stopped containers, with `stop` also those that run, with `volumes` their anonymous ones."""
    check_services(desired, options.services)
    builder = PlanBuilder(desired.project)
    chosen = [
        item
        for item in observed.containers
        if not item.oneoff
        and (not options.services or item.service in options.services)
        and (options.stop or not item.live)
    ]
    stops = _stop_all(builder, desired, chosen, "rm", -1)
    for container in chosen:
        builder.add(
            Kind.REMOVE,
            container.name,
            "rm",
            needs=(stops[container.id],) if container.id in stops else (),
            service=container.service,
            container_id=container.id,
            anonymous_volumes=options.volumes,
            destructive=True,
        )
    return builder.plan()


def plan_start(desired: Desired, observed: ObservedState, services: tuple[str, ...] = ()) -> Plan:
    """Start containers that exist, with what they depend on, in dependency order.

    Raises SelectionError where a service has no container yet.
    """
    chosen = select_services(desired, services)
    for name in services:
        if not observed.of_service(name):
            raise SelectionError(f"service {name} has no container to start", hint="use `pycompose up`")
    builder = PlanBuilder(desired.project)
    _start_all(builder, chosen, observed, "start", {})
    return builder.plan()


def plan_resume(desired: Desired, observed: ObservedState, wanted: frozenset[str]) -> Plan:
    """Start the containers with these ids, in dependency order; what has ended for good holds nobody up."""
    builder = PlanBuilder(desired.project)
    kept = tuple(item for item in observed.containers if item.id in wanted or item.live)
    _start_all(builder, desired.services, observed._replace(containers=kept), "resume", {})
    return builder.plan()


def plan_restart(
    desired: Desired,
    observed: ObservedState,
    services: tuple[str, ...] = (),
    *,
    grace_ns: int = -1,
    no_deps: bool = False,
) -> Plan:
    """Stop and start containers; dependents with `restart: true` go along unless `no_deps`."""
    check_services(desired, services)
    names = set(services) or {service.name for service in desired.services}
    if not no_deps:
        for service in desired.services:
            if any(item.restart and item.service in names for item in service.depends_on):
                names.add(service.name)
    builder = PlanBuilder(desired.project)
    containers = [item for item in observed.containers if item.service in names and not item.oneoff]
    stops = _stop_all(builder, desired, containers, "restart", grace_ns)
    chosen = tuple(service for service in desired.services if service.name in names)
    _start_all(builder, chosen, observed, "restart", stops)
    return builder.plan()


def _holds(condition: str, containers: tuple[ObservedContainer, ...]) -> bool:
    """Whether there is nothing to wait for; without containers there is nothing that could be waited for."""
    if condition == HEALTHY:
        return all(container.health == "healthy" for container in containers)
    return all(not container.live and container.exit_code == 0 for container in containers)


def _start_all(
    builder: PlanBuilder,
    services: tuple[DesiredService, ...],
    observed: ObservedState,
    cause: str,
    stops: dict[str, int],
) -> None:
    starts: dict[str, tuple[int, ...]] = {}
    waits: dict[tuple[str, str, bool], int] = {}
    for service in services:
        containers = [item for item in observed.of_service(service.name) if not item.live or item.id in stops]
        if not containers:
            continue
        before: list[int] = []
        for item in service.depends_on:
            started = starts.get(item.service, ())
            others = observed.of_service(item.service)
            if item.condition in (HEALTHY, COMPLETED) and (started or not _holds(item.condition, others)):
                key = (item.service, item.condition, item.required)
                if key not in waits:
                    names = tuple(other.name for other in others)
                    waits[key] = builder.add(
                        Kind.WAIT,
                        item.service,
                        f"{service.name} depends on it",
                        needs=started,
                        service=item.service,
                        condition=item.condition,
                        containers=names,
                        optional=not item.required,
                    )
                before.append(waits[key])
            else:
                before += started
        waiting = [
            Starting(
                container.name,
                container.id,
                cause,
                container.post_start,
                (*before, *((stops[container.id],) if container.id in stops else ())),
            )
            for container in containers
        ]
        waiting = add_pre_start(builder, service, observed, waiting, tuple(before), {})
        starts[service.name] = tuple(add_start(builder, service.name, item) for item in waiting)
