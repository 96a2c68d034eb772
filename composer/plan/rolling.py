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
        names = tuple(change.name for change in batch)
        watched = _watch(builder, service.name, "update", policy, names, len(changes), starts, last=last)
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


def _watch(
    builder: PlanBuilder,
    service: str,
    what: str,
    policy: UpdatePolicy,
    names: tuple[str, ...],
    total: int,
    needs: tuple[int, ...],
    *,
    last: bool,
) -> int:
    """The WAIT that sees whether a batch does well; after the last one there is no delay."""
    return builder.add(
        Kind.WAIT,
        service,
        f"{what}_config: {len(names)} of {total} replicas",
        needs=needs,
        service=service,
        condition=UPDATED,
        containers=names,
        spec={
            **policy._asdict(),
            "what": what,
            "total": total,
            "delay_ns": 0 if last else policy.delay_ns,
        },
    )


class _Return(NamedTuple):
    """A container to have again, one to do without, or both: one in the place of the other."""

    was: ObservedContainer | None
    now: ObservedContainer | None


def plan_rollback(
    desired: Desired, observed: ObservedState, before: ObservedState, services: Sequence[str]
) -> Plan:
    """Bring services back to the containers they had before an update that failed, as deploy.rollback_config says."""
    builder = PlanBuilder(desired.project)
    policies = {service.name: service.rollback for service in desired.services}
    for name in services:
        old = {container.number: container for container in before.of_service(name)}
        present = {container.number: container for container in observed.of_service(name)}
        returns = [_Return(old.get(number), present.get(number)) for number in sorted({*old, *present})]
        _add_rollback(builder, observed, name, returns, policies.get(name))
    return builder.plan()


def _add_rollback(
    builder: PlanBuilder,
    observed: ObservedState,
    service: str,
    returns: Sequence[_Return],
    policy: UpdatePolicy | None,
) -> None:
    """In batches. With start-first a new container, which has a number of its own, goes once an old one is back."""
    changed = [item for item in returns if item.was is not None and not _stands(item.was, item.now)]
    extra = [item.now for item in returns if item.was is None and item.now is not None]
    start_first = policy is not None and policy.start_first
    size = (policy.parallelism if policy else 0) or max(1, len(changed), len(extra))
    after: tuple[int, ...] = ()
    for first in range(0, max(len(changed), len(extra)), size):
        batch, gone = changed[first : first + size], extra[first : first + size]
        if not start_first:
            after = (*after, *(_take_away(builder, item, after) for item in gone))
        starts = [_bring_back(builder, observed, item, after) for item in batch if item.was is not None]
        after = (*after, *starts)
        names = tuple(item.was.name for item in batch if item.was is not None and item.was.live)
        if policy is not None and names:
            last = first + size >= len(changed)
            watched = _watch(builder, service, "rollback", policy, names, len(changed), after, last=last)
            after = (watched,)
        if start_first:
            after = (*after, *(_take_away(builder, item, after) for item in gone))


def _stands(was: ObservedContainer, now: ObservedContainer | None) -> bool:
    """Whether the update has left a container alone."""
    return now is not None and now.id == was.id and (bool(now.live) or not was.live)


def _take_away(builder: PlanBuilder, now: ObservedContainer, needs: tuple[int, ...]) -> int:
    stopped = (add_stop(builder, now, _CAUSE, needs=needs),) if now.live else needs
    return builder.add(Kind.REMOVE, now.name, _CAUSE, needs=stopped, service=now.service, container_id=now.id)


def _bring_back(builder: PlanBuilder, observed: ObservedState, item: _Return, needs: tuple[int, ...]) -> int:
    """A container as it was; the action after which it is."""
    was, now = item
    assert was is not None
    if now is not None and now.id == was.id:
        return add_start(builder, was.service, Starting(now.name, now.id, _CAUSE, now.post_start, needs))
    return _restore(builder, observed, was, now, needs)


_CAUSE = ROLLBACK


def _restore(
    builder: PlanBuilder,
    observed: ObservedState,
    was: ObservedContainer,
    now: ObservedContainer | None,
    needs: tuple[int, ...],
) -> int:
    """Make a container as it was, in the place of the one there is now."""
    spec = json.loads(was.spec_text)
    if observed.images.get(spec["image"], was.image_id) != was.image_id:
        # The name means another image by now.
        spec["image"] = was.image_id
    if now is not None and now.live:
        needs = (add_stop(builder, now, _CAUSE, needs=needs),)
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
        made = add_start(builder, was.service, Starting(was.name, "", _CAUSE, was.post_start, (made,)))
    return made
