"""Plans `build`, `pull` and `push`. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from composer.errors import SelectionError
from composer.plan.action import Kind, PlanBuilder
from composer.plan.desired import Desired, DesiredService
from composer.plan.images import ImageOptions, contexts_first, plan_images
from composer.plan.observed import ObservedState
from composer.plan.selection import select_services

_LOCAL_IMAGE = "local-image://"


class BuildOptions(NamedTuple):
    """The options of `build` that change the plan."""

    services: tuple[str, ...] = ()
    arguments: Mapping[str, str] = {}
    no_cache: bool = False
    pull: bool = False
    push: bool = False
    with_dependencies: bool = False
    ssh: Mapping[str, str] = {}


class TransferOptions(NamedTuple):
    """The options of `pull` and `push` that change the plan."""

    services: tuple[str, ...] = ()
    include_deps: bool = False
    ignore_buildable: bool = False
    policy: str = ""


def plan_build(builder: PlanBuilder, desired: Desired, options: BuildOptions) -> None:
    """Build the images of services that have a `build`, after those they build with. Raises SelectionError."""
    chosen = select_services(desired, options.services, no_deps=not options.with_dependencies)
    for name in options.services:
        service = next(item for item in desired.services if item.name == name)
        if not service.build:
            raise SelectionError(f"service {name} has no build", hint="it only has an image")
    services = contexts_first(_with_contexts(desired, [item for item in chosen if item.build]))
    built: dict[str, int] = {}
    for service in services:
        spec = {
            **service.build,
            "args": {**service.build.get("args", {}), **options.arguments},
            "ssh": {**service.build.get("ssh", {}), **options.ssh},
            "no_cache": options.no_cache or service.build.get("no_cache", False),
            "pull": options.pull or service.build.get("pull", False),
        }
        values = service.build.get("additional_contexts", {}).values()
        needs = tuple(action for image, action in built.items() if f"{_LOCAL_IMAGE}{image}" in values)
        built[service.image] = builder.add(
            Kind.BUILD, service.image, "build", needs=needs, service=service.name, spec=spec
        )
        if options.push:
            builder.add(
                Kind.PUSH, service.image, "--push", needs=(built[service.image],), service=service.name
            )


def _with_contexts(desired: Desired, chosen: list[DesiredService]) -> tuple[DesiredService, ...]:
    """The chosen services and those whose images they are built with."""
    by_image = {service.image: service for service in desired.services if service.build}
    found: dict[str, DesiredService] = {}
    waiting = list(chosen)
    while waiting:
        service = waiting.pop(0)
        if service.name in found:
            continue
        found[service.name] = service
        for value in service.build.get("additional_contexts", {}).values():
            other = by_image.get(str(value).removeprefix(_LOCAL_IMAGE))
            if other is not None and str(value).startswith(_LOCAL_IMAGE):
                waiting.append(other)
    return tuple(found.values())


def plan_pull(
    builder: PlanBuilder, desired: Desired, observed: ObservedState, options: TransferOptions
) -> None:
    """Pull the images of services: all but those that are only built, or whose policy says never."""
    chosen = select_services(desired, options.services, no_deps=not options.include_deps)
    services = []
    for service in chosen:
        if service.image.startswith(("host:", "rootfs:")) or not service.image:
            continue
        only_built = service.build and service.image == f"{desired.project}-{service.name}"
        if only_built or (service.build and options.ignore_buildable):
            continue
        if service.pull_policy in ("never", "build") and not options.policy:
            continue
        services.append(service)
    plan_images(builder, services, observed, ImageOptions(options.policy or "always", no_build=True))


def plan_push(builder: PlanBuilder, desired: Desired, options: TransferOptions) -> None:
    """Push the images of services that have a `build` and a name of their own, as the reference does."""
    chosen = select_services(desired, options.services, no_deps=not options.include_deps)
    for image, service in {item.image: item for item in chosen if item.build and item.image}.items():
        names = service.build.get("names") or (image,)
        for name in names:
            builder.add(Kind.PUSH, name, "push", service=service.name)
