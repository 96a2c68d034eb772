"""Rolling updates: changed containers of a service one batch after the other, each watched before the next. Pure.

Compose spec deploy: update_config. `stop-first` gives the new container the name of the old one. With `start-first`
both run for a while, so the new one gets a number of its own.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from composer.errors import ComposeError
from composer.plan.action import UPDATED, Kind, Plan, PlanBuilder
from composer.plan.desired import ROLLBACK, Desired, DesiredService, UpdatePolicy
from composer.plan.hooks import POST_START, Starting, add_pre_start, add_start, add_stop
from composer.plan.observed import ObservedContainer, ObservedState


class Change(NamedTuple):
    """A container to be made anew. `name` and `number` are the new one's."""

    number: int
    name: str
    old: ObservedContainer
    cause: str


# Adds the actions that make a container: number, what it replaces, cause, what comes before; the id of the last.
Create = Callable[[int, ObservedContainer | None, str, tuple[int, ...]], int]


def check_start_first(service: DesiredService) -> None:
    """Two containers of one definition must be able to run side by side. Raises ComposeError."""
    fixed = [
        port
        for port in service.spec.get("ports", ())
        if port.get("host_port") and not port.get("host_port_end")
    ]
    address = any(
        item.get("ipv4_address") or item.get("ipv6_address") for item in service.spec.get("networks", ())
    )
    for what, there in (
        ("a container_name", bool(service.container_name)),
        ("a fixed host port", bool(fixed)),
        ("a fixed address", address),
    ):
        if there:
            raise ComposeError(
                f"{service.origin}: service {service.name} has {what}, so old and new can not run side by side",
                hint="use update_config.order: stop-first",
            )


def add_update(
    builder: PlanBuilder,
    service: DesiredService,
    observed: ObservedState,
    changes: Sequence[Change],
    before: tuple[int, ...],
    images: Mapping[str, tuple[int, ...]],
    create: Create,
) -> tuple[int, ...]:
    """The batches; the actions after which all new containers have been started."""
    policy = service.update or UpdatePolicy()
    size = policy.parallelism or len(changes)
    after: tuple[int, ...] = before
    started: list[int] = []
    for first in range(0, len(changes), size):
        batch = changes[first : first + size]
        waiting = [
            Starting(
                change.name,
                "",
                change.cause,
                service.spec.get(POST_START, ()),
                (
                    *after,
                    create(change.number, None if policy.start_first else change.old, change.cause, after),
                ),
            )
            for change in batch
        ]
        waiting = add_pre_start(builder, service, observed, waiting, after, images, proven=first > 0)
        starts = tuple(add_start(builder, service.name, item) for item in waiting)
        last = first + size >= len(changes)
        watched = builder.add(
            Kind.WAIT,
            service.name,
            f"update_config: {len(batch)} of {len(changes)} replicas",
            needs=starts,
            service=service.name,
            condition=UPDATED,
            containers=tuple(change.name for change in batch),
            spec={**policy._asdict(), "total": len(changes), "delay_ns": 0 if last else policy.delay_ns},
        )
        removed = [_remove(builder, change, (watched,)) for change in batch] if policy.start_first else []
        after = (watched, *removed)
        started += [*starts, watched]
    return tuple(started)


def _remove(builder: PlanBuilder, change: Change, needs: tuple[int, ...]) -> int:
    stopped = add_stop(builder, change.old, change.cause, needs=needs) if change.old.live else None
    return builder.add(
        Kind.REMOVE,
        change.old.name,
        change.cause,
        needs=needs if stopped is None else (stopped,),
        service=change.old.service,
        container_id=change.old.id,
    )


def plan_rollback(
    desired: Desired, observed: ObservedState, before: ObservedState, services: Sequence[str]
) -> Plan:
    """Bring services back to the containers they had before an update that failed."""
    builder = PlanBuilder(desired.project)
    for name in services:
        old = {container.number: container for container in before.of_service(name)}
        present = {container.number: container for container in observed.of_service(name)}
        for number in sorted({*old, *present}):
            was, now = old.get(number), present.get(number)
            if was is None and now is not None:
                stopped = (add_stop(builder, now, _CAUSE),) if now.live else ()
                builder.add(Kind.REMOVE, now.name, _CAUSE, needs=stopped, service=name, container_id=now.id)
            elif was is not None and (now is None or now.id != was.id):
                _restore(builder, observed, was, now)
            elif was is not None and now is not None and was.live and not now.live:
                add_start(builder, name, Starting(now.name, now.id, _CAUSE, now.post_start))
    return builder.plan()


_CAUSE = ROLLBACK


def _restore(
    builder: PlanBuilder, observed: ObservedState, was: ObservedContainer, now: ObservedContainer | None
) -> None:
    """Make a container as it was, in the place of the one there is now."""
    spec = json.loads(was.spec_text)
    if observed.images.get(spec["image"], was.image_id) != was.image_id:
        # The name means another image by now.
        spec["image"] = was.image_id
    needs = (add_stop(builder, now, _CAUSE),) if now is not None and now.live else ()
    made = builder.add(
        Kind.CREATE,
        was.name,
        _CAUSE,
        needs=needs,
        service=was.service,
        spec=spec,
        fields=was.fields,
        replaces=now.id if now is not None else "",
    )
    if now is not None:
        made = builder.add(
            Kind.REMOVE,
            now.name,
            _CAUSE,
            needs=(made,),
            service=was.service,
            container_id=now.id,
            replaced=True,
        )
    if was.live:
        add_start(builder, was.service, Starting(was.name, "", _CAUSE, was.post_start, (made,)))
