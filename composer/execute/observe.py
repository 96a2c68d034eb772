"""Reads what is there into an ObservedState."""

import time
from collections.abc import Iterable

from composer.plan.desired import Desired, DesiredService
from composer.plan.hooks import LABEL_HOOK, step_images
from composer.plan.observed import ObservedContainer, ObservedState
from runtime import Container, Engine


def observe_container(container: Container, networks: tuple[str, ...] = ()) -> ObservedContainer:
    """One container as the planner sees it."""
    return ObservedContainer(
        id=container.id,
        name=container.name,
        service=container.service,
        number=container.number,
        status=container.status,
        health=container.live.health if container.live else "",
        exit_code=container.exit.code if container.exit else -1,
        config_hash=container.config_hash,
        image_id=container.image_id,
        fields=container.fields,
        networks=networks,
        oneoff=container.oneoff,
        leftover=container.leftover,
        hook=container.label(LABEL_HOOK),
        spec_text=container.spec_text,
        post_start=container.hooks("post_start"),
        pre_stop=container.hooks("pre_stop"),
    )


def observe(engine: Engine, desired: Desired) -> ObservedState:
    """The project's containers, all networks and volumes that matter to it, and its images. Takes no lock."""
    containers = tuple(
        observe_container(container, tuple(engine.containers.addresses(container.id)))
        for container in engine.containers.list(desired.project)
    )
    networks = {network.name: network for network in engine.networks.list()}
    return ObservedState(
        containers=containers,
        networks={name: network.config_hash for name, network in networks.items()},
        project_networks=tuple(name for name, item in networks.items() if item.project == desired.project),
        volumes={volume.name: volume.config_hash for volume in engine.volumes.list() if not volume.anonymous},
        images=_images(engine, (*desired.services, *step_images(desired.services))),
        pulled_ns={
            service.image: engine.images.pulled_ns(service.image)
            for service in desired.services
            if service.pull_policy in ("daily", "weekly") or service.pull_policy.startswith("every_")
        },
        now_ns=time.time_ns(),
    )


def _images(engine: Engine, services: Iterable[DesiredService]) -> dict[str, str]:
    services = tuple(services)
    wanted = dict.fromkeys((service.image, service.platform) for service in services if service.image)
    mounts = (mount for service in services for mount in service.spec.get("mounts", ()))
    wanted |= dict.fromkeys((mount["source"], "") for mount in mounts if mount["type"] == "image")
    return {image: engine.images.find(image, platform) for image, platform in wanted}
