"""The part of an OCI image configuration that a container inherits (OCI image-spec config.md)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime.oci.container_spec import Healthcheck


class ImageConfig(NamedTuple):
    """`config` of an image: defaults for every container made from it. All empty for `host:/` and `rootfs:`."""

    env: tuple[str, ...] = ()  # "KEY=value"
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    volumes: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()  # "80/tcp"
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    labels: Mapping[str, str] = {}


def parse_image_config(document: Mapping[str, Any]) -> ImageConfig:
    """The `config` object of an image configuration blob (Docker's `Healthcheck` included)."""
    config = document.get("config") or {}
    return ImageConfig(
        env=tuple(config.get("Env") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        cmd=tuple(config.get("Cmd") or ()),
        user=config.get("User") or "",
        working_dir=config.get("WorkingDir") or "",
        volumes=tuple(config.get("Volumes") or ()),
        exposed_ports=tuple(config.get("ExposedPorts") or ()),
        stop_signal=config.get("StopSignal") or "",
        healthcheck=_parse_healthcheck(config.get("Healthcheck")),
        labels=dict(config.get("Labels") or {}),
    )


def _parse_healthcheck(data: Mapping[str, Any] | None) -> Healthcheck | None:
    if not data or not data.get("Test"):
        return None
    return Healthcheck(
        test=tuple(data["Test"]),
        interval_ns=data.get("Interval") or 0,
        timeout_ns=data.get("Timeout") or 0,
        retries=data.get("Retries") or 0,
        start_period_ns=data.get("StartPeriod") or 0,
        start_interval_ns=data.get("StartInterval") or 0,
    )
