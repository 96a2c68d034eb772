"""The fingerprint of a service: which changes make its containers anew, and what names them. Pure.

As in the reference (`ServiceHash`), what does not shape a container does not count: build, pull_policy, scale,
deploy.replicas, depends_on, profiles, attach, develop. Environment from env files counts by its values.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from composer.load.rules import words

IGNORED = frozenset(
    words(
        "attach build depends_on develop env_file extends label_file profiles provider pull_policy"
        " pull_refresh_after scale"
    )
)
_IGNORED_DEPLOY = frozenset(
    ("replicas", "placement", "update_config", "rollback_config", "mode", "endpoint_mode")
)
# Attributes whose entries are named one by one when they change.
_BY_KEY = frozenset(
    ("environment", "labels", "sysctls", "annotations", "ulimits", "deploy", "healthcheck", "logging")
)


def service_fields(service: Mapping[str, Any]) -> dict[str, str]:
    """Attribute path ("image", "environment.DEBUG") to a short hash of its value; empty attributes are left out."""
    fields: dict[str, str] = {}
    for attribute in sorted(service):
        value = service[attribute]
        if attribute in IGNORED or attribute.startswith("x-") or _says_nothing(attribute, value):
            continue
        if attribute in _BY_KEY and isinstance(value, Mapping):
            for key in sorted(value):
                if value[key] is not None and not (attribute == "deploy" and key in _IGNORED_DEPLOY):
                    fields[f"{attribute}.{key}"] = value_hash(value[key])
        else:
            fields[attribute] = value_hash(value)
    return fields


def _says_nothing(attribute: str, value: Any) -> bool:
    if attribute in ("command", "entrypoint"):
        return value is None  # an empty list overrides the image's
    return value is None or value is False or value in ("", [], {})


def value_hash(value: Any) -> str:
    """Twelve hexadecimal digits that stand for a plain value, whatever the order of its keys."""
    return _digest(value)[:12]


def config_hash(content: Any) -> str:
    """The full fingerprint of plain content, 64 hexadecimal digits."""
    return _digest(content)


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return sha256(text.encode()).hexdigest()
