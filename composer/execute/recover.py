"""A project without its file: what is running tells what it was made from.

Enough for the commands that act on containers that exist; `up` needs the file.
"""

import json
from collections.abc import Mapping

from composer.errors import ProjectGoneError
from composer.plan.desired import Dependency, Desired, DesiredNetwork, DesiredService, DesiredVolume
from runtime import Container, Engine

_LABEL = "com.docker.compose."


def recover_desired(engine: Engine, project: str) -> Desired:
    """The project as its containers, networks and volumes show it. Raises ProjectGoneError if nothing is left of it."""
    containers = [item for item in engine.containers.list(project) if not item.leftover]
    networks = engine.networks.list(project)
    volumes = [
        volume for volume in engine.volumes.list() if volume.project == project and not volume.anonymous
    ]
    if not (containers or networks or volumes):
        raise ProjectGoneError(
            f"there is no project {project}: no file was found, and nothing of that name exists",
            hint="name the file with -f, or look with `pycompose ls -a`",
        )
    by_service: dict[str, list[Container]] = {}
    for container in containers:
        by_service.setdefault(container.service, []).append(container)
    needs = {name: _dependencies(members[0].spec.labels) for name, members in by_service.items()}
    levels = _levels({name: {item.service for item in items} for name, items in needs.items()})
    services = [
        _service(name, by_service[name], needs[name], levels[name])
        for name in sorted(by_service, key=lambda name: (levels[name], name))
    ]
    first = containers[0].spec.labels if containers else {}
    return Desired(
        project=project,
        working_dir=first.get(f"{_LABEL}project.working_dir", ""),
        config_files=(),
        services=tuple(services),
        networks=tuple(
            DesiredNetwork(key=network.name, name=network.name, config_hash=network.config_hash)
            for network in networks
        ),
        volumes=tuple(DesiredVolume(key=volume.name, name=volume.name) for volume in volumes),
        all_volumes=tuple(volume.name for volume in volumes),
    )


def _service(
    name: str, members: list[Container], depends_on: tuple[Dependency, ...], level: int
) -> DesiredService:
    newest = max(members, key=lambda item: (not item.oneoff, item.created_ns))
    return DesiredService(
        name=name,
        scale=sum(not item.oneoff for item in members),
        image=newest.image,
        spec={key: value for key, value in json.loads(newest.spec_text).items() if key != "name"},
        config_hash=newest.config_hash,
        level=level,
        depends_on=depends_on,
        fields=newest.fields,
    )


def _dependencies(labels: Mapping[str, str]) -> tuple[Dependency, ...]:
    """The label depends_on: "db:service_healthy:false,cache:service_started:true"."""
    found = []
    for word in filter(None, labels.get(f"{_LABEL}depends_on", "").split(",")):
        service, condition, restart = (*word.split(":"), "", "")[:3]
        if service:
            found.append(Dependency(service, condition or "service_started", True, restart == "true"))
    return tuple(found)


def _levels(needs: Mapping[str, set[str]]) -> dict[str, int]:
    """Service -> how many others stand before it in its longest chain; labels that form a cycle count as they come."""
    levels: dict[str, int] = dict.fromkeys(needs, 0)
    for _ in needs:
        for name, others in needs.items():
            levels[name] = max((levels[other] + 1 for other in others if other in levels), default=0)
    return levels
