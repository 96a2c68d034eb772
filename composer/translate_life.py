"""How a service's containers live: restarts, hooks, steps before a start, logs, updates. Pure."""

from collections.abc import Mapping
from typing import Any

from composer.model.deploy import UpdateConfig
from composer.model.parts import Hook
from composer.model.service import Service
from composer.plan.desired import UpdatePolicy
from runtime import (
    ContainerSpec,
    Healthcheck,
    HookSpec,
    InvalidError,
    LogRequest,
    NetworkAttachment,
    RestartPolicy,
    plan_logging,
)
from runtime import to_json as spec_to_json

ON_UNHEALTHY = "x-on-unhealthy"
_CONDITIONS = {"none": "no", "any": "always", "on-failure": "on-failure"}


def update_policy(service: Service) -> UpdatePolicy | None:
    return _policy(service.deploy.update_config) if service.deploy else None


def rollback_policy(service: Service) -> UpdatePolicy | None:
    return _policy(service.deploy.rollback_config) if service.deploy else None


def _policy(config: UpdateConfig | None) -> UpdatePolicy | None:
    if config is None:
        return None
    return UpdatePolicy(
        parallelism=1 if config.parallelism is None else config.parallelism,
        delay_ns=config.delay,
        failure_action=config.failure_action or "pause",
        monitor_ns=config.monitor,
        max_failure_ratio=config.max_failure_ratio,
        start_first=config.order == "start-first",
    )


def unhealthy_problems(service: Service, origin: str) -> tuple[str, ...]:
    wanted = service.extensions.get(ON_UNHEALTHY, "restart")
    return () if wanted == "restart" else (f"{origin}: {ON_UNHEALTHY} {wanted!r} is not `restart`",)


def logging_problems(spec: ContainerSpec, origin: str) -> tuple[str, ...]:
    if spec.logging == LogRequest():
        return ()
    try:
        plan_logging(spec.logging)
    except InvalidError as error:
        return (f"{origin}: {error}" + (f" ({error.hint})" if error.hint else ""),)
    return ()


def translate_hook(hook: Hook) -> HookSpec:
    return HookSpec(
        command=hook.command or (),
        environment=_entries(hook.environment),
        user=hook.user,
        working_dir=hook.working_dir,
        privileged=hook.privileged,
    )


def _entries(environment: Mapping[str, str | None]) -> tuple[str, ...]:
    return tuple(f"{key}={value}" for key, value in environment.items() if value is not None)


def translate_pre_start(service: Service, spec: ContainerSpec) -> tuple[dict[str, Any], ...]:
    """The steps before a start, each with the ContainerSpec it runs by: the service's but for what a step is not.

    A step publishes no ports, answers to no name of the service, is not restarted and has a program of its own, which
    its image's entrypoint gets.
    """
    return tuple(
        {"spec": spec_to_json(_step(hook, spec)), "per_replica": hook.per_replica}
        for hook in service.pre_start
    )


def _step(hook: Hook, spec: ContainerSpec) -> ContainerSpec:
    own = dict(spec.environment)
    own.update((key, value) for key, value in hook.environment.items() if value is not None)
    return spec._replace(
        image=hook.image or spec.image,
        command=hook.command,
        entrypoint=None,
        environment=tuple(own.items()),
        working_dir=hook.working_dir or ("" if hook.image else spec.working_dir),
        user=hook.user or spec.user,
        privileged=hook.privileged or spec.privileged,
        networks=tuple(
            NetworkAttachment(item.network, priority=item.priority, gw_priority=item.gw_priority)
            for item in spec.networks
        ),
        hostname="",
        ports=(),
        expose=(),
        tty=False,
        stdin_open=False,
        healthcheck=Healthcheck(("NONE",)),
        restart=RestartPolicy(),
        post_start=(),
        pre_stop=(),
    )


def translate_restart(service: Service) -> RestartPolicy:
    """`deploy.restart_policy` over `restart`."""
    policy = service.deploy.restart_policy if service.deploy else None
    if policy is not None:
        condition = _CONDITIONS.get(policy.condition or "any", "always")
        return RestartPolicy(condition, policy.max_attempts or 0, policy.delay or 0, policy.window or 0)
    name, _, count = service.restart.partition(":")
    if name not in ("always", "unless-stopped", "on-failure"):
        return RestartPolicy()
    return RestartPolicy(name, int(count) if count.isdigit() else 0)
