"""Plans `build`. Pure, and light: a build without changes takes no longer than a look at it."""

from collections.abc import Mapping
from typing import NamedTuple

from composer.errors import ComposeError, SelectionError
from composer.plan.action import Kind, PlanBuilder
from composer.plan.desired import Desired, DesiredService
from composer.plan.selection import select_services

LOCAL_IMAGE = "local-image://"  # before the name of an image that another service builds


class BuildOptions(NamedTuple):
    """The options of `build` that change the plan."""

    services: tuple[str, ...] = ()
    arguments: Mapping[str, str] = {}
    no_cache: bool = False
    pull: bool = False
    push: bool = False
    with_dependencies: bool = False
    ssh: Mapping[str, str] = {}


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
        needs = tuple(action for image, action in built.items() if f"{LOCAL_IMAGE}{image}" in values)
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
            other = by_image.get(str(value).removeprefix(LOCAL_IMAGE))
            if other is not None and str(value).startswith(LOCAL_IMAGE):
                waiting.append(other)
    return tuple(found.values())


def contexts_first(services: tuple[DesiredService, ...]) -> list[DesiredService]:
    """Services ordered so that one whose image another is built with comes first. Raises ComposeError for a circle."""
    by_image = {service.image: service for service in services}
    ordered: dict[str, DesiredService] = {}

    def visit(service: DesiredService, above: tuple[str, ...]) -> None:
        if service.name in above:
            raise ComposeError(
                f"{service.origin}: services build with each other's images: {' -> '.join(above)}"
            )
        if service.name in ordered:
            return
        for context in service.build.get("additional_contexts", {}).values():
            other = by_image.get(str(context).removeprefix(LOCAL_IMAGE))
            if other is not None and str(context).startswith(LOCAL_IMAGE):
                visit(other, (*above, service.name))
        ordered[service.name] = service

    for service in services:
        visit(service, ())
    return list(ordered.values())
