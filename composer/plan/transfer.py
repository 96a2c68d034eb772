"""Plans `pull` and `push`. Pure."""

from typing import NamedTuple

from composer.plan.action import Kind, PlanBuilder
from composer.plan.desired import Desired
from composer.plan.images import ImageOptions, plan_images
from composer.plan.observed import ObservedState
from composer.plan.selection import select_services


class TransferOptions(NamedTuple):
    """The options of `pull` and `push` that change the plan."""

    services: tuple[str, ...] = ()
    include_deps: bool = False
    ignore_buildable: bool = False
    policy: str = ""


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
