"""Small projects and states for planner tests."""

from typing import Any

from composer.plan.desired import Dependency, Desired, DesiredNetwork, DesiredService, DesiredVolume
from composer.plan.observed import ObservedContainer, ObservedState

IMAGES = {"img": "id"}


def service(name: str, *needs: str, level: int = 0, **details: Any) -> DesiredService:
    """A service on the network `p_default`; needs are "name" or "name:condition"."""
    dependencies = []
    for need in needs:
        other, _, condition = need.partition(":")
        dependencies.append(Dependency(other, f"service_{condition or 'started'}"))
    defaults: dict[str, Any] = {
        "scale": 1,
        "image": "img",
        "spec": {"image": "img", "networks": [{"network": "p_default"}]},
        "config_hash": f"hash-{name}",
        "level": level,
        "depends_on": tuple(dependencies),
        "origin": "compose.yaml:2:3",
    }
    return DesiredService(name=name, **{**defaults, **details})


def desired(*services: DesiredService, **details: Any) -> Desired:
    """A project `p` with one network."""
    network = DesiredNetwork("default", "p_default", config_hash="n1", origin="compose.yaml:9:1")
    return Desired("p", "/p", ("/p/compose.yaml",), services, networks=(network,), **details)


def volume(name: str, config_hash: str = "v1") -> DesiredVolume:
    return DesiredVolume(name, f"p_{name}", config_hash=config_hash, origin="compose.yaml:12:1")


def container(name: str, number: int = 1, **details: Any) -> ObservedContainer:
    """A running container of service `name`, up to date unless told otherwise."""
    defaults: dict[str, Any] = {
        "id": f"id-{name}-{number}",
        "name": f"p-{name}-{number}",
        "service": name,
        "number": number,
        "status": "running",
        "config_hash": f"hash-{name}",
        "image_id": "id",
        "networks": ("p_default",),
    }
    return ObservedContainer(**{**defaults, **details})


def observed(*containers: ObservedContainer, **details: Any) -> ObservedState:
    """A state in which the network is there."""
    defaults: dict[str, Any] = {
        "networks": {"p_default": "n1"},
        "project_networks": ("p_default",),
        "images": IMAGES,
    }
    return ObservedState(containers=containers, **{**defaults, **details})


NOTHING = ObservedState(images=IMAGES)
