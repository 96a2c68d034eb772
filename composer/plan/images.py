"""Plans which images are pulled and built before containers are made. Pure.

As in the reference: an image that is missing is pulled; what can't be pulled but has a `build` is built. `build:`,
`pull_policy`, `--pull`, `--build` and `--no-build` say otherwise.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from composer.errors import ComposeError
from composer.plan.action import Kind, PlanBuilder
from composer.plan.build import LOCAL_IMAGE, contexts_first
from composer.plan.desired import DesiredService
from composer.plan.hooks import step_images
from composer.plan.observed import ObservedState

ALWAYS, NEVER, MISSING, BUILD = "always", "never", "missing", "build"
_DAY_NS = 86_400_000_000_000
_LOCAL = ("host:", "rootfs:")


class ImageOptions(NamedTuple):
    """What the command line says of images. `pull` "" = each service's own policy."""

    pull: str = ""
    build: bool = False
    no_build: bool = False
    ready: bool = False  # pulls and builds are done: what is missing now stays missing


def plan_images(
    builder: PlanBuilder,
    services: Iterable[DesiredService],
    observed: ObservedState,
    options: ImageOptions,
) -> dict[str, tuple[int, ...]]:
    """Add PULL and BUILD actions; service -> the actions after which its image is there. Raises ComposeError."""
    services = tuple(services)
    return _ImagePlanner(builder, (*services, *step_images(services)), observed, options).plan()


class _ImagePlanner:
    def __init__(
        self,
        builder: PlanBuilder,
        services: tuple[DesiredService, ...],
        observed: ObservedState,
        options: ImageOptions,
    ) -> None:
        self._builder = builder
        self._services = services
        self._observed = observed
        self._options = options
        self._pulls: dict[tuple[str, str], int] = {}
        self._builds: dict[str, tuple[int, ...]] = {}

    def plan(self) -> dict[str, tuple[int, ...]]:
        ready: dict[str, tuple[int, ...]] = {}
        for service in contexts_first(self._services):
            if service.provider:
                continue
            mounted = self._plan_mounted(service)
            if not service.image or service.image.startswith(_LOCAL):
                self._check_local(service)
                ready[service.name] = mounted
                continue
            ready[service.name] = () if self._options.ready else (*mounted, *self._plan_service(service))
            if self._options.ready and not self._observed.images.get(service.image):
                raise self._missing(service)
        return ready

    def _plan_mounted(self, service: DesiredService) -> tuple[int, ...]:
        """Pull the images that it mounts and that are missing; one that a service builds comes from that."""
        pulls: list[int] = []
        for mount in service.spec.get("mounts", ()):
            image = mount.get("source", "") if mount["type"] == "image" else ""
            if not image or image.startswith(_LOCAL) or self._observed.images.get(image):
                continue
            owner = next((other for other in self._services if other.image == image and other.build), None)
            if owner is not None:
                pulls += self._builds.get(owner.name, ())
            elif not self._options.ready:
                pulls.append(self._pull(service._replace(image=image, build={}), "it is mounted and missing"))
        return tuple(pulls)

    def _check_local(self, service: DesiredService) -> None:
        if not service.image:
            raise ComposeError(f"{service.origin}: service {service.name} has neither an image nor a build")
        if not self._observed.images.get(service.image):
            raise self._missing(service)

    def _missing(self, service: DesiredService) -> ComposeError:
        place = service.origins.get("image", service.origin)
        hint = f"pycompose pull {service.name}, or import it with `pycompose image import TAR NAME`"
        if service.build:
            hint = f"pycompose build {service.name}"
        return ComposeError(f"{place}: service {service.name}: there is no image {service.image}", hint=hint)

    def _plan_service(self, service: DesiredService) -> tuple[int, ...]:
        there = bool(self._observed.images.get(service.image))
        policy = self._options.pull or service.pull_policy or MISSING
        pull = self._pull_cause(service, policy, there)
        if service.build and (self._options.build or policy == BUILD) and not self._options.no_build:
            cause = "--build" if self._options.build else "pull_policy: build"
            return (self._build(service, cause, needs=()),)
        if pull:
            action = self._pull(service, pull)
            if not service.build or self._options.no_build:
                return (action,)
            if there:
                return (action,)
            return (self._build(service, "if it can't be pulled", needs=(action,), if_missing=True),)
        if there:
            return ()
        if service.build and not self._options.no_build:
            return (self._build(service, "it is missing", needs=()),)
        raise self._missing(service)

    def _pull_cause(self, service: DesiredService, policy: str, there: bool) -> str:
        """Why to pull, "" where not to. Raises ComposeError for a policy nobody knows."""
        if service.build and service.image == f"{self._builder.project}-{service.name}":
            return ""  # it has no name of its own: no registry can have it
        if policy == ALWAYS:
            return "--pull always" if self._options.pull else "pull_policy: always"
        if policy in (NEVER, BUILD):
            return ""
        if policy in (MISSING, "if_not_present"):
            return "" if there else "it is missing"
        age_ns = self._observed.now_ns - self._observed.pulled_ns.get(service.image, 0)
        if not there:
            return "it is missing"
        return f"pull_policy: {policy}" if age_ns > refresh_ns(policy) else ""

    def _pull(self, service: DesiredService, cause: str) -> int:
        key = (service.image, service.platform)
        if key not in self._pulls:
            self._pulls[key] = self._builder.add(
                Kind.PULL,
                service.image,
                cause,
                service=service.name,
                platform=service.platform,
                optional=bool(service.build) and not self._options.no_build,
            )
        return self._pulls[key]

    def _build(
        self, service: DesiredService, cause: str, *, needs: tuple[int, ...], if_missing: bool = False
    ) -> int:
        before = [
            action
            for other in self._services
            if f"{LOCAL_IMAGE}{other.image}" in service.build.get("additional_contexts", {}).values()
            for action in self._builds.get(other.name, ())
        ]
        action = self._builder.add(
            Kind.BUILD,
            service.image,
            cause,
            needs=(*needs, *before),
            service=service.name,
            spec=service.build,
            if_missing=if_missing,
        )
        self._builds[service.name] = (action,)
        return action


def refresh_ns(policy: str) -> int:
    """After what time an image is pulled again: daily, weekly, every_12h, every_1w2d. Raises ComposeError."""
    known: Mapping[str, int] = {"daily": _DAY_NS, "weekly": 7 * _DAY_NS}
    if policy in known:
        return known[policy]
    if not policy.startswith("every_"):
        raise ComposeError(
            f"pull_policy {policy!r} is not known",
            hint="always, never, missing, if_not_present, build, daily, weekly or every_<duration>",
        )
    from composer.values import parse_duration_ns  # few services have such a policy

    text, total = policy.removeprefix("every_"), 0
    for unit, days in (("w", 7), ("d", 1)):
        head, found, rest = text.partition(unit)
        if found and head.isdigit():
            total, text = total + int(head) * days * _DAY_NS, rest
    try:
        return total + (parse_duration_ns(text) if text else 0)
    except ValueError as error:
        raise ComposeError(f"pull_policy {policy!r}: {error}") from error
