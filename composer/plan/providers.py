"""Services that another program provides (`provider`): when it is asked, and what their dependants get. Pure.

A provider is asked before containers are made, because what it answers is part of their environment: variables with
the service's name before theirs (`setenv`), or as they are (`rawsetenv`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from composer.plan.action import DOWN, UP, Kind, PlanBuilder
from composer.plan.desired import Desired, DesiredService

# What a provider has answered: message type -> variables.
Answer = Mapping[str, Mapping[str, str]]
PREFIXED, RAW = "setenv", "rawsetenv"


def plan_providers(builder: PlanBuilder, services: Iterable[DesiredService]) -> dict[str, int]:
    """Ask for each provided service, for those it depends on first; service -> action."""
    asked: dict[str, int] = {}
    for service in services:
        if service.provider:
            before = (asked[item.service] for item in service.depends_on if item.service in asked)
            asked[service.name] = _ask(builder, service, UP, "new", tuple(before))
    return asked


def plan_release(
    builder: PlanBuilder, services: Iterable[DesiredService], needs: tuple[int, ...]
) -> list[int]:
    """Have each provided service taken down, dependants first, when no container needs it any more."""
    released: dict[str, int] = {}
    waiting: dict[str, list[int]] = {}
    for service in reversed(tuple(services)):
        if not service.provider:
            continue
        before = (*needs, *waiting.get(service.name, ()))
        released[service.name] = _ask(builder, service, DOWN, "down", before)
        for item in service.depends_on:
            waiting.setdefault(item.service, []).append(released[service.name])
    return list(released.values())


def _ask(
    builder: PlanBuilder, service: DesiredService, command: str, cause: str, needs: tuple[int, ...]
) -> int:
    return builder.add(
        Kind.PROVIDE,
        service.name,
        cause,
        needs=needs,
        service=service.name,
        spec=service.provider,
        condition=command,
    )


def with_answers(desired: Desired, answers: Mapping[str, Answer]) -> tuple[Desired, list[str]]:
    """The project with what providers have answered, by service, in the environment of their dependants.

    It counts as a change of these when it is another answer. Also warnings: of variables that give way.
    """
    warnings: list[str] = []
    services = []
    for service in desired.services:
        given: dict[str, str] = {}
        own = dict(service.spec.get("environment", ()))
        for item in service.depends_on:
            answer = answers.get(item.service, {})
            prefix = f"{item.service.upper()}_"
            given.update({f"{prefix}{name}": value for name, value in answer.get(PREFIXED, {}).items()})
            for name, value in answer.get(RAW, {}).items():
                if {**own, **given}.get(name, value) != value:
                    warnings.append(
                        f"service {service.name}: the variable {name} is that of provider {item.service}"
                    )
                given[name] = value
        services.append(_with_variables(service, given) if given else service)
    return desired._replace(services=tuple(services)), warnings


def _with_variables(service: DesiredService, given: Mapping[str, str]) -> DesiredService:
    from composer.config_hash import config_hash, value_hash  # few services have a provider

    kept = [pair for pair in service.spec.get("environment", ()) if pair[0] not in given]
    spec: dict[str, Any] = {**service.spec, "environment": [*kept, *map(list, given.items())]}
    return service._replace(
        spec=spec,
        config_hash=f"{service.config_hash}+{config_hash(dict(given))[:12]}",
        fields={
            **service.fields,
            **{f"environment.{name}": value_hash(item) for name, item in given.items()},
        },
    )
