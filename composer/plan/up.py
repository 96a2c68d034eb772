"""Plans `up`: what to make, make anew, start, wait for and take away. Pure.

Order, as the reference has it: networks and volumes, then every container that is missing or changed (an old one
is stopped, replaced and removed), then starts in dependency order with waits for conditions between them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from composer.errors import ComposeError
from composer.plan.action import READY, Kind, Plan, PlanBuilder
from composer.plan.changes import describe_change
from composer.plan.desired import (
    COMPLETED,
    HEALTHY,
    Dependency,
    Desired,
    DesiredNetwork,
    DesiredService,
)
from composer.plan.hooks import POST_START, Starting, add_pre_start, add_start, add_stop
from composer.plan.images import ImageOptions, plan_images
from composer.plan.observed import ObservedContainer, ObservedState
from composer.plan.orphans import plan_orphans
from composer.plan.resources import (
    check_resources,
    diverged_networks,
    plan_networks,
    plan_volumes,
    used_networks,
    used_volumes,
)
from composer.plan.selection import select_services

if TYPE_CHECKING:
    from composer.plan.rolling import Change

LABEL_NUMBER = "com.docker.compose.container-number"
LABEL_HASH = "com.docker.compose.config-hash"
LABEL_ONEOFF = "com.docker.compose.oneoff"


class UpOptions(NamedTuple):
    """The options of `up` that change the plan. `grace_ns` -1 = each container's own."""

    services: tuple[str, ...] = ()
    no_deps: bool = False
    force_recreate: bool = False
    no_recreate: bool = False
    recreate_dependencies: bool = False  # --always-recreate-deps
    remove_orphans: bool = False
    renew_anonymous_volumes: bool = False
    no_start: bool = False
    wait: bool = False
    scale: Mapping[str, int] = {}
    images: ImageOptions = ImageOptions()
    grace_ns: int = -1
    one_off: str = ""  # name of a container to make and start instead of those of `services[0]`: see plan_run


def plan_up(desired: Desired, observed: ObservedState, options: UpOptions) -> Plan:
    """What it takes to make the project's containers as the file says. Raises ComposeError before any change."""
    return _UpPlanner(desired, observed, options).plan()


class _UpPlanner:
    def __init__(self, desired: Desired, observed: ObservedState, options: UpOptions) -> None:
        self._desired = desired
        self._observed = observed
        self._options = options
        self._builder = PlanBuilder(desired.project)
        self._services = select_services(desired, options.services, no_deps=options.no_deps)
        self._images: dict[str, tuple[int, ...]] = {}  # service -> actions after which its image is there
        self._provided: dict[str, int] = {}  # service -> the action that asks its provider
        self._made: dict[str, int] = {}  # network, volume or first container of a service -> action
        self._starts: dict[str, tuple[int, ...]] = {}  # service -> its START actions
        self._changed: set[str] = set()  # services with a container that is made anew
        self._to_start: dict[str, list[Starting]] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._changes: dict[str, list[Change]] = {}  # what a rolling update is to make anew

    def plan(self) -> Plan:
        self._check()
        used = (service for service in self._services if self._scale(service) > 0)
        self._images = plan_images(self._builder, used, self._observed, self._options.images)
        if not self._options.images.ready and any(service.provider for service in self._services):
            from composer.plan.providers import plan_providers

            self._provided = plan_providers(self._builder, self._services)
        self._remove_leftovers()
        diverged = self._renewable(diverged_networks(self._desired, self._observed))
        renewed = frozenset(network.name for network in diverged)
        stops = self._stop_users(renewed)
        self._made |= plan_volumes(self._builder, used_volumes(self._desired, self._services), self._observed)
        self._made |= plan_networks(
            self._builder, used_networks(self._desired, self._services), self._observed
        )
        for network in diverged:
            cause = f"its definition changed ({network.origin})"
            gone = self._builder.add(
                Kind.REMOVE_NETWORK, network.name, cause, needs=tuple(stops.values()), detach=True
            )
            self._made[network.name] = self._builder.add(
                Kind.CREATE_NETWORK, network.name, cause, needs=(gone,)
            )
        for service in self._services:
            if self._options.one_off and service.name == self._options.services[0]:
                self._plan_one_off(service)
            else:
                self._plan_containers(service, renewed, stops)
        if not self._options.no_start:
            for service in self._services:
                self._plan_starts(service)
            if self._options.wait:
                self._plan_final_waits()
        plan_orphans(self._builder, self._desired, self._observed, remove=self._options.remove_orphans)
        return self._builder.plan()

    # ---- checks

    def _check(self) -> None:
        check_resources(self._desired, self._observed)
        for service in self._services:
            if service.problems and self._scale(service) > 0:
                raise ComposeError(f"service {service.name}: {service.problems[0]}")
            if service.container_name and self._scale(service) > 1:
                raise ComposeError(
                    f"{service.origin}: service {service.name} has a container_name and can not have"
                    f" {self._scale(service)} containers",
                    hint="remove container_name or scale to 1",
                )

    def _scale(self, service: DesiredService) -> int:
        return self._options.scale.get(service.name, service.scale)

    def _renewable(self, networks: tuple[DesiredNetwork, ...]) -> tuple[DesiredNetwork, ...]:
        """Those networks whose every user is made anew in this plan; the others stay, with a warning."""
        planned = {service.name for service in self._services}
        if self._options.one_off:
            planned.discard(self._options.services[0])
        chosen = []
        for network in networks:
            users = [item for item in self._observed.containers if network.name in item.networks]
            others = sorted(
                {item.service for item in users if item.service not in planned or (item.oneoff and item.live)}
            )
            if others or self._options.no_recreate:
                self._builder.warn(
                    f"{network.origin}: network {network.name} has another definition now, but stays as it is"
                    + (
                        f" while {', '.join(others)} use it; run `pycompose up` for all services"
                        if others
                        else ""
                    )
                )
            else:
                chosen.append(network)
        return tuple(chosen)

    # ---- containers

    def _remove_leftovers(self) -> None:
        for container in self._observed.containers:
            if container.leftover:
                self._remove(container, "left by an interrupted command")

    def _stop(self, container: ObservedContainer, cause: str, after: tuple[int, ...] = ()) -> tuple[int, ...]:
        if not container.live:
            return ()
        return (add_stop(self._builder, container, cause, needs=after, grace_ns=self._options.grace_ns),)

    def _stop_users(self, networks: frozenset[str]) -> dict[str, int]:
        """Stop every container in a network that is made anew; container id -> action."""
        stops = {}
        for container in self._observed.containers:
            if networks.intersection(container.networks) and container.live:
                name = sorted(networks.intersection(container.networks))[0]
                (stops[container.id],) = self._stop(container, f"network {name} is made anew")
        return stops

    def _plan_containers(
        self, service: DesiredService, renewed: frozenset[str], stops: dict[str, int]
    ) -> None:
        scale = self._scale(service)
        existing = {container.number: container for container in self._observed.of_service(service.name)}
        kept = sorted(existing)[:scale]
        for number in sorted(set(existing) - set(kept), reverse=True):
            self._remove(existing[number], f"scaled to {scale}")
        free = (number for number in range(1, scale + len(kept) + 1) if number not in kept)
        numbers = sorted([*kept, *(next(free) for _ in range(scale - len(kept)))])
        # What is stopped anyway is made anew at once.
        rolls = service.update is not None and not self._options.no_start
        names = []
        for number in numbers:
            container = existing.get(number)
            names.append(container.name if container else self._name(service, number))
            cause = "new" if container is None else self._cause_to_recreate(service, container, renewed)
            if cause and container is not None and rolls and container.live and container.id not in stops:
                names[-1] = self._note_change(service, container, cause, numbers)
            elif cause:
                names[-1] = self._name(service, number)
                action = self._create(service, number, container, cause, stops)
                self._to_start.setdefault(service.name, []).append(
                    Starting(names[-1], "", cause, service.spec.get(POST_START, ()), (action,))
                )
            elif container is not None and not container.live:
                self._to_start.setdefault(service.name, []).append(
                    Starting(container.name, container.id, f"it is {container.status}", container.post_start)
                )
        self._names[service.name] = tuple(names)

    def _note_change(
        self, service: DesiredService, old: ObservedContainer, cause: str, numbers: list[int]
    ) -> str:
        changes = self._changes.setdefault(service.name, [])
        number = old.number
        if service.update is not None and service.update.start_first:
            from composer.plan.rolling import check_start_first

            check_start_first(service)
            known = (item.number for item in self._observed.of_service(service.name))
            number = max((*numbers, *known)) + 1 + len(changes)
        from composer.plan.rolling import Change  # few projects have rolling updates

        changes.append(Change(number, self._name(service, number), old, cause))
        return changes[-1].name

    def _plan_one_off(self, service: DesiredService) -> None:
        """One container beside those of the service, which stay as they are."""
        name = self._options.one_off
        labels = {**service.spec.get("labels", {}), LABEL_HASH: service.config_hash, LABEL_ONEOFF: "True"}
        action = self._builder.add(
            Kind.CREATE,
            name,
            "one-off",
            needs=self._made_for(service),
            service=service.name,
            spec={**service.spec, "name": name, "labels": labels},
            fields=service.fields,
        )
        self._names[service.name] = (name,)
        self._to_start[service.name] = [Starting(name, "", "one-off", needs=(action,))]

    def _name(self, service: DesiredService, number: int) -> str:
        separator = self._desired.separator
        parts = (self._desired.project, service.name, str(number))
        return service.container_name or separator.join(parts)

    def _remove(self, container: ObservedContainer, cause: str) -> None:
        needs = self._stop(container, cause)
        self._builder.add(
            Kind.REMOVE,
            container.name,
            cause,
            needs=needs,
            service=container.service,
            container_id=container.id,
        )

    def _cause_to_recreate(
        self, service: DesiredService, container: ObservedContainer, renewed: frozenset[str]
    ) -> str:
        if self._options.no_recreate:
            return ""
        if self._options.force_recreate and (
            not self._options.services or service.name in self._options.services
        ):
            return "--force-recreate"
        if (
            self._options.recreate_dependencies
            and self._options.services
            and service.name not in self._options.services
        ):
            return "--always-recreate-deps"
        network = next((name for name in container.networks if name in renewed), "")
        if network:
            return f"network {network} is made anew"
        if self._differs(service, container):
            return describe_change(service, container)
        if container.image_id != self._observed.images.get(service.image):
            return f"image {service.image} is another one now"
        return ""

    def _differs(self, service: DesiredService, container: ObservedContainer) -> bool:
        if container.config_hash == service.config_hash:
            return False
        # What a provider will answer is not known before it is asked: the same as the last time, one hopes.
        providers = {item.name for item in self._desired.services if item.provider}
        unknown = any(item.service in providers for item in service.depends_on)
        return not (unknown and container.config_hash.startswith(f"{service.config_hash}+"))

    def _create(
        self,
        service: DesiredService,
        number: int,
        old: ObservedContainer | None,
        cause: str,
        stops: dict[str, int],
        after: tuple[int, ...] = (),
    ) -> int:
        needs = [*self._made_for(service), *after]
        replaced = old.id if old else ""
        if old is not None:
            self._changed.add(service.name)
            needs += [stops[old.id]] if old.id in stops else self._stop(old, cause, after)
        name = self._name(service, number)
        action = self._builder.add(
            Kind.CREATE,
            name,
            cause,
            needs=tuple(needs),
            service=service.name,
            spec=_spec(service, name, number),
            fields=service.fields,
            replaces=replaced,
            anonymous_volumes=self._options.renew_anonymous_volumes,
        )
        self._made[name] = action
        if old is None:
            return action
        return self._builder.add(
            Kind.REMOVE,
            old.name,
            cause,
            needs=(action,),
            service=service.name,
            container_id=old.id,
            anonymous_volumes=self._options.renew_anonymous_volumes,
            replaced=True,
        )

    def _made_for(self, service: DesiredService) -> tuple[int, ...]:
        """The actions after which its image, networks and volumes are there."""
        names = (
            *(attachment["network"] for attachment in service.spec.get("networks", ())),
            *(mount.get("source", "") for mount in service.spec.get("mounts", ())),
        )
        names = (*names, *(entry.partition(":")[0] for entry in service.spec.get("volumes_from", ())))
        made = tuple(self._made[name] for name in names if name in self._made)
        asked = (
            self._provided[item.service] for item in service.depends_on if item.service in self._provided
        )
        return (*made, *asked, *self._images.get(service.name, ()))

    # ---- starting

    def _plan_starts(self, service: DesiredService) -> None:
        self._restart_for_dependencies(service)
        waiting = self._to_start.get(service.name, [])
        changes = self._changes.get(service.name, [])
        if not waiting and not changes:
            return
        before = self._conditions(service)
        if changes:
            from composer.plan.rolling import add_update

            self._changed.add(service.name)
            self._starts[service.name] = add_update(
                self._builder,
                service,
                self._observed,
                changes,
                before,
                self._images,
                lambda number, old, cause, after: self._create(service, number, old, cause, {}, after),
            )
            before = (*before, *self._starts[service.name])  # further replicas come after the update
        waiting = [item._replace(needs=(*before, *item.needs)) for item in waiting]
        if not self._options.one_off or service.name != self._options.services[0]:
            waiting = add_pre_start(
                self._builder,
                service,
                self._observed,
                waiting,
                before,
                self._images,
                proven=True if changes else None,
            )
        starts = tuple(add_start(self._builder, service.name, item) for item in waiting)
        self._starts[service.name] = (*self._starts.get(service.name, ()), *starts)

    def _restart_for_dependencies(self, service: DesiredService) -> None:
        """`depends_on: {x: {restart: true}}`: start again when x is made anew (Compose spec 05-services)."""
        cause = next(
            (f"{item.service}, on which it depends, is made anew" for item in service.depends_on
             if item.restart and item.service in self._changed),
            "",
        )  # fmt: skip
        if not cause:
            return
        planned = {item.name for item in self._to_start.get(service.name, ())}
        for container in self._observed.of_service(service.name):
            if (
                container.live
                and container.name not in planned
                and container.name in self._names[service.name]
            ):
                (stop,) = self._stop(container, cause)
                self._to_start.setdefault(service.name, []).append(
                    Starting(container.name, container.id, cause, container.post_start, (stop,))
                )

    def _conditions(self, service: DesiredService) -> tuple[int, ...]:
        if self._options.no_deps:
            return ()
        planned = {item.name for item in self._services}
        needs: list[int] = []
        for dependency in service.depends_on:
            if dependency.service not in planned:
                continue
            needs += self._condition(service, dependency)
        return tuple(needs)

    def _condition(self, service: DesiredService, dependency: Dependency) -> tuple[int, ...]:
        started = self._starts.get(dependency.service, ())
        if dependency.service in self._provided:
            return (self._provided[dependency.service],)
        if dependency.condition not in (HEALTHY, COMPLETED):
            return started
        if not started and dependency.condition == HEALTHY and self._all_healthy(dependency.service):
            return ()
        return (
            self._wait(
                dependency.service,
                dependency.condition,
                f"{service.name} depends on it",
                started,
                optional=not dependency.required,
            ),
        )

    def _all_healthy(self, service: str) -> bool:
        return all(container.health == "healthy" for container in self._observed.of_service(service))

    def _wait(
        self,
        service: str,
        condition: str,
        cause: str,
        started: tuple[int, ...],
        *,
        optional: bool = False,
    ) -> int:
        for action in self._builder.actions:
            if action.kind is Kind.WAIT and (action.name, action.condition, action.optional) == (
                service,
                condition,
                optional,
            ):
                return action.id
        return self._builder.add(
            Kind.WAIT,
            service,
            cause,
            needs=started,
            service=service,
            condition=condition,
            containers=self._names[service],
            optional=optional,
        )

    def _plan_final_waits(self) -> None:
        for service in self._services:
            if self._names[service.name]:
                self._wait(service.name, READY, "--wait", self._starts.get(service.name, ()))


def _spec(service: DesiredService, name: str, number: int) -> dict[str, Any]:
    labels = {
        **service.spec.get("labels", {}),
        LABEL_NUMBER: str(number),
        LABEL_HASH: service.config_hash,
    }
    return {**service.spec, "name": name, "labels": labels}
