"""What a loaded project asks for, in the light form the planner compares with what is running.

It is the only thing that passes from the heavy half (reading, validating, translating) to the light one, as
JSON: it is what the plan cache stores. `to_json` and `from_json` are exact inverses. Pure.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

STARTED = "service_started"
HEALTHY = "service_healthy"
COMPLETED = "service_completed_successfully"
ROLLBACK = "rollback"  # a failure_action


class Dependency(NamedTuple):
    """One entry of depends_on, explicit or implied (Compose spec 05-services: depends_on)."""

    service: str
    condition: str = STARTED
    required: bool = True
    restart: bool = False


FILE, TEXT, PROBLEM = "file", "text", "problem"


class Content(NamedTuple):
    """What a secret or config holds. `value` is a path (FILE), the text itself (TEXT), or why there is none (PROBLEM);
    `digest` is the content's SHA-256.
    """

    kind: str
    value: str
    digest: str


class UpdatePolicy(NamedTuple):
    """deploy.update_config, deploy.rollback_config. Times in ns; `parallelism` 0 = all at once."""

    parallelism: int = 1
    delay_ns: int = 0
    failure_action: str = "pause"  # or "continue", and of an update "rollback"
    monitor_ns: int = 0
    max_failure_ratio: float = 0.0
    start_first: bool = False


class DesiredService(NamedTuple):
    """One active service. `spec` is a ContainerSpec in its JSON form without `name` and container number."""

    name: str
    scale: int
    image: str
    spec: Mapping[str, Any]
    config_hash: str
    level: int  # 0 = depends on nothing; a service is above all it depends on
    depends_on: tuple[Dependency, ...] = ()
    container_name: str = ""  # explicit container_name, else ""
    pull_policy: str = ""
    platform: str = ""
    build: Mapping[str, Any] = {}  # a BuildRequest in its JSON form; empty = nothing to build
    attach: bool = True
    watch: tuple[Mapping[str, Any], ...] = ()  # develop.watch, see WatchRule of the model
    job: bool = False  # restart "no": it may end with 0 and still be fine for --wait
    origin: str = ""  # file:line:column of the service's key
    fields: Mapping[str, str] = {}  # attribute path -> short hash; names the cause of a recreate
    origins: Mapping[str, str] = {}  # attribute path -> file:line:column
    pre_start: tuple[
        Mapping[str, Any], ...
    ] = ()  # steps: {"spec": a ContainerSpec in JSON form, "per_replica": bool}
    update: UpdatePolicy | None = None  # None = changed containers are made anew at once
    rollback: UpdatePolicy | None = None  # None = all at once, and nobody watches
    provider: Mapping[
        str, Any
    ] = {}  # who provides it instead of containers: {"type", "options": {NAME: [VALUE]}}
    problems: tuple[str, ...] = ()  # why no container can be made, though those that exist can be worked with


class DesiredNetwork(NamedTuple):
    """One network that an active service uses. `key` is the file's name for it, `name` the real one."""

    key: str
    name: str
    external: bool = False
    driver: str = ""  # "" = bridge
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    subnets: tuple[
        Mapping[str, Any], ...
    ] = ()  # ipam.config entries: subnet, gateway, ip_range, aux_addresses
    driver_opts: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    config_hash: str = ""
    origin: str = ""
    ipam_options: Mapping[str, str] = {}


class DesiredVolume(NamedTuple):
    """One named volume that an active service uses."""

    key: str
    name: str
    external: bool = False
    driver: str = ""  # "" = local
    driver_opts: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    config_hash: str = ""
    origin: str = ""


class Desired(NamedTuple):
    """A whole project. `services` are the active ones in an order in which dependencies come first."""

    project: str
    working_dir: str
    config_files: tuple[str, ...]
    services: tuple[DesiredService, ...]
    networks: tuple[DesiredNetwork, ...] = ()
    volumes: tuple[DesiredVolume, ...] = ()
    inactive: tuple[str, ...] = ()  # services whose profiles are not active
    all_volumes: tuple[str, ...] = ()  # real names of every non-external volume of the file, for down -v
    warnings: tuple[str, ...] = ()  # complete lines, printed again on every cache hit
    contents: Mapping[str, Content] = {}  # "secrets/NAME", "configs/NAME" -> what it holds
    environment: Mapping[str, str] = {}  # of env files, for providers; empty where there are none
    separator: str = "-"  # between the parts of a container's name


def on_runtime(desired: Desired, runtime: str) -> Desired:
    """The project with another OCI runtime for the services that name none; it counts as a change of them."""
    return desired._replace(
        services=tuple(
            service
            if service.spec.get("runtime")
            else service._replace(
                spec={**service.spec, "runtime": runtime},
                config_hash=f"{service.config_hash}+{runtime}",
                fields={**service.fields, "runtime": runtime},
            )
            for service in desired.services
        )
    )


def to_json(desired: Desired) -> dict[str, Any]:
    """A JSON object; nested records become objects, defaults are left out."""
    out = _plain(desired)
    out["services"] = [
        {
            **_plain(s),
            "depends_on": [_plain(d) for d in s.depends_on],
            **{
                key: policy._asdict()
                for key, policy in (("update", s.update), ("rollback", s.rollback))
                if policy is not None
            },
        }
        for s in desired.services
    ]
    out["networks"] = [_plain(n) for n in desired.networks]
    out["volumes"] = [_plain(v) for v in desired.volumes]
    out["contents"] = {name: list(content) for name, content in desired.contents.items()}
    return out


def from_json(data: Mapping[str, Any]) -> Desired:
    """The inverse of `to_json`. Raises TypeError for a field this version does not know."""
    fields = _tupled(data)
    fields["services"] = tuple(
        DesiredService(
            **{
                **_tupled(service),
                "depends_on": tuple(Dependency(**d) for d in service.get("depends_on", ())),
                **{key: UpdatePolicy(**service[key]) for key in ("update", "rollback") if key in service},
            }
        )
        for service in data["services"]
    )
    fields["networks"] = tuple(DesiredNetwork(**_tupled(n)) for n in data.get("networks", ()))
    fields["volumes"] = tuple(DesiredVolume(**_tupled(v)) for v in data.get("volumes", ()))
    fields["contents"] = {name: Content(*item) for name, item in data.get("contents", {}).items()}
    return Desired(**fields)


def _plain(record: Any) -> dict[str, Any]:
    defaults = record._field_defaults
    return {
        k: v for k, v in zip(record._fields, record, strict=True) if k not in defaults or v != defaults[k]
    }


def _tupled(data: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
