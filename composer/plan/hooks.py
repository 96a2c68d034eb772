"""Plans what belongs to a start or a stop: hooks in the container, and the `pre_start` steps before it. Pure.

`post_start` and `pre_stop` run in the container. A `pre_start` step runs to its end in a container of its own, which
goes when it has succeeded and stays, to be looked at, when it has failed (Compose spec 05-services: pre_start).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from composer.plan.action import Kind, PlanBuilder
from composer.plan.desired import COMPLETED, DesiredService
from composer.plan.observed import CREATED, ObservedContainer, ObservedState

POST_START = "post_start"
PRE_STOP = "pre_stop"
PRE_START = "pre_start"
LABEL_HOOK = "com.docker.compose.hook"
LABEL_ONEOFF = "com.docker.compose.oneoff"
_LONGEST_COMMAND = 60


class Starting(NamedTuple):
    """A container about to be started. `id` "" = it is made in this plan, by the action `made`."""

    name: str
    id: str
    cause: str
    hooks: Sequence[Mapping[str, Any]] = ()  # its post_start
    needs: tuple[int, ...] = ()


def add_stop(
    builder: PlanBuilder,
    container: ObservedContainer,
    cause: str,
    *,
    needs: tuple[int, ...] = (),
    grace_ns: int = -1,
    resumable: bool = False,
) -> int:
    """Its pre_stop hooks in order, then the STOP, whose id is returned."""
    needs = _add_hooks(
        builder, PRE_STOP, container.pre_stop, container.name, container.service, container.id, needs
    )
    return builder.add(
        Kind.STOP,
        container.name,
        cause,
        needs=needs,
        service=container.service,
        container_id=container.id,
        grace_ns=grace_ns,
        resumable=resumable,
    )


def add_start(builder: PlanBuilder, service: str, starting: Starting) -> int:
    """The START, then its post_start hooks in order; the id of the last of them."""
    start = builder.add(
        Kind.START,
        starting.name,
        starting.cause,
        needs=starting.needs,
        service=service,
        container_id=starting.id,
    )
    (last,) = _add_hooks(builder, POST_START, starting.hooks, starting.name, service, starting.id, (start,))
    return last


def _add_hooks(
    builder: PlanBuilder,
    moment: str,
    hooks: Sequence[Mapping[str, Any]],
    name: str,
    service: str,
    container_id: str,
    needs: tuple[int, ...],
) -> tuple[int, ...]:
    for index, hook in enumerate(hooks):
        action = builder.add(
            Kind.HOOK,
            name,
            f"{moment}[{index}]: {_shown(hook.get('command', ()))}",
            needs=needs,
            service=service,
            container_id=container_id,
            spec=hook,
            optional=moment == PRE_STOP,
        )
        needs = (action,)
    return needs


def _shown(command: Sequence[str]) -> str:
    from shlex import join  # few plans have hooks

    text = " ".join(join(command).split())
    return text if len(text) <= _LONGEST_COMMAND else f"{text[: _LONGEST_COMMAND - 1]}…"


# ---- pre_start


def add_pre_start(
    builder: PlanBuilder,
    service: DesiredService,
    observed: ObservedState,
    starts: Iterable[Starting],
    before: tuple[int, ...],
    images: Mapping[str, tuple[int, ...]],
    *,
    proven: bool | None = None,
) -> list[Starting]:
    """`starts` with what the service's pre_start steps add to their needs.

    A container that has run before proves that the steps have succeeded for its definition, so they are not run for
    it again, nor, unless `per_replica`, for those beside it. `before` are the service's own conditions, `images` the
    actions after which an image is there, by the name of `step_name`. `proven`: what the caller knows of that itself.
    """
    starts = list(starts)
    if not service.pre_start or not starts:
        return starts
    containers = observed.of_service(service.name)
    created = {container.id for container in containers if container.status == CREATED}
    fresh = [item for item in starts if not item.id or item.id in created]
    replaced = {item.name for item in fresh if not item.id}
    if proven is None:
        proven = any(item.status != CREATED and item.name not in replaced for item in containers)
    left = _remove_old(builder, service, observed)
    once: tuple[int, ...] = ()
    each = {item.name: item.needs for item in fresh}
    for index, step in enumerate(service.pre_start):
        ready = (*before, *left, *images.get(step_name(service.name, index), ()))
        if step.get("per_replica"):
            for item in fresh:
                needs = (*ready, *once, *each[item.name])
                each[item.name] = (_add_step(builder, service, index, item, needs, own=True),)
        elif fresh and not proven:
            # One run for all: with the volumes of the first container, after those steps that come before it.
            needs = (*ready, *once, *(need for needs in each.values() for need in needs))
            once = (_add_step(builder, service, index, fresh[0], needs, own=False),)
    return [
        item._replace(needs=(*item.needs, *once, *each[item.name])) if item.name in each else item
        for item in starts
    ]


def step_name(service: str, index: int) -> str:
    """What a pre_start step is called in messages: "web pre_start[0]"."""
    return f"{service} {PRE_START}[{index}]"


def step_images(services: Iterable[DesiredService]) -> list[DesiredService]:
    """The images that steps bring along, each as if it were a service without anything else."""
    return [
        DesiredService(
            step_name(service.name, index),
            scale=1,
            image=step["spec"]["image"],
            spec={},
            config_hash="",
            level=0,
            platform=service.platform,
            origin=service.origin,
            origins={"image": service.origins.get(PRE_START, service.origin)},
        )
        for service in services
        for index, step in enumerate(service.pre_start)
        if step["spec"]["image"] != service.image
    ]


def _remove_old(builder: PlanBuilder, service: DesiredService, observed: ObservedState) -> tuple[int, ...]:
    """Take away the containers of steps that have failed or were interrupted."""
    cause = "left by an earlier pre_start"
    removals: list[int] = []
    for container in observed.containers:
        if container.service == service.name and container.hook == PRE_START and not container.leftover:
            planned = [
                action.id
                for action in builder.actions
                if action.kind is Kind.REMOVE and action.container_id == container.id
            ]
            if planned:
                removals += planned
                continue
            stopped = (add_stop(builder, container, cause, grace_ns=0),) if container.live else ()
            removals.append(
                builder.add(
                    Kind.REMOVE,
                    container.name,
                    cause,
                    needs=stopped,
                    service=service.name,
                    container_id=container.id,
                    anonymous_volumes=True,
                )
            )
    return tuple(removals)


def _add_step(
    builder: PlanBuilder,
    service: DesiredService,
    index: int,
    item: Starting,
    needs: tuple[int, ...],
    *,
    own: bool,
) -> int:
    """Make, run, wait for and remove the container of one step; the id of the removal."""
    first = item.name if own else f"{builder.project}-{service.name}"
    name = f"{first}-{PRE_START}-{index}"
    spec = service.pre_start[index]["spec"]
    labels = {**spec.get("labels", {}), LABEL_HOOK: PRE_START, LABEL_ONEOFF: "True"}
    cause = f"{PRE_START}[{index}]: {_shown(spec.get('command') or ())}"
    made = builder.add(
        Kind.CREATE,
        name,
        cause,
        needs=needs,
        service=service.name,
        spec={**spec, "name": name, "labels": labels},
        shares=item.name,
    )
    start = builder.add(Kind.START, name, cause, needs=(made,), service=service.name)
    done = builder.add(
        Kind.WAIT,
        name,
        f"{service.name} is started after it",
        needs=(start,),
        service=service.name,
        condition=COMPLETED,
        containers=(name,),
    )
    return builder.add(
        Kind.REMOVE, name, "it has succeeded", needs=(done,), service=service.name, anonymous_volumes=True
    )
