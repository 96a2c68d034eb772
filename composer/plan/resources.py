"""Plans for a project's networks and volumes. Pure."""

from collections.abc import Iterable

from composer.errors import ComposeError
from composer.plan.action import Kind, PlanBuilder
from composer.plan.desired import Desired, DesiredNetwork, DesiredService, DesiredVolume
from composer.plan.observed import ObservedState

_DRIVERS = ("bridge", "macvlan", "ipvlan")


def check_resources(desired: Desired, observed: ObservedState) -> None:
    """Raise ComposeError for an external network or volume that is not there, and for drivers we do not have."""
    for network in desired.networks:
        if not network.external and network.driver not in ("", "default", *_DRIVERS):
            raise ComposeError(
                f"{network.origin}: network {network.name}: driver {network.driver!r} is not supported",
                hint=f"use one of {', '.join(_DRIVERS)}, or leave it out",
            )
    for volume in desired.volumes:
        if volume.driver not in ("", "local", "default"):
            raise ComposeError(
                f"{volume.origin}: volume {volume.name}: driver {volume.driver!r} is not supported",
                hint="use driver: local, or leave it out",
            )
    for network in desired.networks:
        if network.external and network.name not in observed.networks:
            raise ComposeError(
                f"{network.origin}: network {network.name} is declared as external, but there is no such network",
                hint="make it first, or remove `external: true`",
            )
    for volume in desired.volumes:
        if volume.external and volume.name not in observed.volumes:
            raise ComposeError(
                f"{volume.origin}: volume {volume.name} is declared as external, but there is no such volume",
                hint="make it first, or remove `external: true`",
            )


def diverged_networks(desired: Desired, observed: ObservedState) -> tuple[DesiredNetwork, ...]:
    """Networks that exist with another definition and have to be made anew."""
    return tuple(
        network
        for network in desired.networks
        if not network.external
        and network.name in observed.networks
        and observed.networks[network.name] != network.config_hash
    )


def plan_networks(
    builder: PlanBuilder, networks: Iterable[DesiredNetwork], observed: ObservedState
) -> dict[str, int]:
    """Actions that make missing networks; real name -> action id."""
    return {
        network.name: builder.add(Kind.CREATE_NETWORK, network.name, "new")
        for network in networks
        if not network.external and network.name not in observed.networks
    }


def plan_volumes(
    builder: PlanBuilder, volumes: Iterable[DesiredVolume], observed: ObservedState
) -> dict[str, int]:
    """Actions that make missing volumes; real name -> action id. A changed definition never costs data."""
    made = {}
    for volume in volumes:
        if volume.external:
            continue
        if volume.name not in observed.volumes:
            made[volume.name] = builder.add(Kind.CREATE_VOLUME, volume.name, "new")
        elif observed.volumes[volume.name] != volume.config_hash:
            builder.warn(
                f"{volume.origin}: volume {volume.name} exists with another definition and is kept as it is;"
                " remove it with `down -v` to make it anew"
            )
    return made


def used_networks(desired: Desired, services: Iterable[DesiredService]) -> list[DesiredNetwork]:
    """The networks that containers of `services` join."""
    used = {item["network"] for service in services for item in service.spec.get("networks", ())}
    return [network for network in desired.networks if network.name in used]


def used_volumes(desired: Desired, services: Iterable[DesiredService]) -> list[DesiredVolume]:
    """The named volumes that containers of `services` mount."""
    used = {
        mount.get("source")
        for service in services
        for mount in service.spec.get("mounts", ())
        if mount["type"] == "volume"
    }
    return [volume for volume in desired.volumes if volume.name in used]
