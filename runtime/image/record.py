"""A resolved image as JSON, for the database and for shims. Pure."""

from collections.abc import Mapping
from typing import Any

from runtime.image.store import ResolvedImage
from runtime.oci.container_spec import Healthcheck
from runtime.oci.image_config import ImageConfig


def image_to_json(image: ResolvedImage) -> dict[str, Any]:
    """A JSON object; only what differs from an empty configuration."""
    empty = ImageConfig()
    config = {key: value for key, value in image.config._asdict().items() if value != getattr(empty, key)}
    if image.config.healthcheck is not None:
        config["healthcheck"] = image.config.healthcheck._asdict()
    return {**image._asdict(), "config": config}


def image_from_json(data: Mapping[str, Any]) -> ResolvedImage:
    """The inverse of `image_to_json`."""
    config = _tupled(data["config"])
    if "healthcheck" in config:
        config["healthcheck"] = Healthcheck(**_tupled(config["healthcheck"]))
    return ResolvedImage(**{**_tupled(data), "config": ImageConfig(**config)})


def _tupled(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
