"""The parts of `deploy` (Compose spec deploy.md). Times are nanoseconds, sizes bytes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from composer.model.parts import DeviceRequest, Extensions


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds: processors, bytes, processes; 0 = none."""

    cpus: float = 0
    memory: int = 0
    pids: int = 0
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class DiscreteResource:
    """A countable resource of the platform."""

    kind: str = ""
    value: int = 0
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class GenericResource:
    """One entry of generic_resources."""

    discrete_resource_spec: DiscreteResource | None = None
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Reservations:
    """What a container needs: processors, bytes, devices."""

    cpus: float = 0
    memory: int = 0
    generic_resources: tuple[GenericResource, ...] = ()
    devices: tuple[DeviceRequest, ...] = ()
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Resources:
    """Bounds and needs."""

    limits: Limits | None = None
    reservations: Reservations | None = None
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class UpdateConfig:
    """How to update or roll back."""

    parallelism: int | None = None
    delay: int = 0
    failure_action: str = ""
    monitor: int = 0
    max_failure_ratio: float = 0
    order: str = ""
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """`condition`: none, on-failure or any; times in nanoseconds."""

    condition: str = ""
    delay: int | None = None
    max_attempts: int | None = None
    window: int | None = None
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Preference:
    """How to spread over nodes."""

    spread: str = ""
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Placement:
    """Where containers may run."""

    constraints: tuple[str, ...] = ()
    preferences: tuple[Preference, ...] = ()
    max_replicas_per_node: int = 0
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Deploy:
    """Numbers, bounds and restarts of a service."""

    mode: str = ""
    endpoint_mode: str = ""
    replicas: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    resources: Resources | None = None
    restart_policy: RestartPolicy | None = None
    placement: Placement | None = None
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys
