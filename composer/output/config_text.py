"""The text that `config` prints of a loaded tree: YAML or JSON."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from composer.errors import ComposeError
from composer.load.emit import USER_MAPS
from composer.load.origins import Path, dotted
from composer.load.rules import RuleTable

_USER: RuleTable[bool] = RuleTable(dict.fromkeys(USER_MAPS, True))
_ULIMITS: RuleTable[bool] = RuleTable({"services.*.ulimits.*": True, "services.*.build.ulimits.*": True})
_LIMITS = [f"services.*.{key}" for key in ("mem_limit", "mem_reservation", "memswap_limit", "shm_size")]
_MEMORY: RuleTable[bool] = RuleTable(dict.fromkeys(_LIMITS, True))
# What the reference's JSON has although nobody wrote it, and what it lacks.
_DEFAULTS: RuleTable[Mapping[str, Any]] = RuleTable(
    {
        "services.*": {"command": None, "entrypoint": None},
        "services.*.deploy": {"resources": {}, "placement": {}},
        "services.*.develop.watch.*": {"exec": {"command": None}},
        "networks.*": {"ipam": {}},
    }
)
_EMPTY_OUT: RuleTable[tuple[str, ...]] = RuleTable(
    {"services.*.build": ("context", "dockerfile"), "configs.*": ("content",)}
)
_LEFT_OUT: RuleTable[tuple[str, ...]] = RuleTable({"networks.*.ipam": ("options",)})
_LARGEST = sys.float_info.max
_FIRST = ("name", "services", "networks", "volumes", "secrets", "configs", "models")


def render_config(tree: Mapping[str, Any], *, format: str) -> str:
    """The tree as "yaml" or "json", ending with a line feed.

    JSON is what the reference prints, without x- keys below the top level; YAML is what loads to the same project
    again, and has the same values for readers that follow YAML 1.1 and 1.2. Raises ComposeError.
    """
    if format == "json":
        return json.dumps(_as_the_reference(_ordered(tree), ()), indent=2, ensure_ascii=False) + "\n"
    return render_yaml(tree)


def render_plain_json(tree: Mapping[str, Any]) -> str:
    """The tree as JSON with nothing left out. Raises ComposeError."""
    return json.dumps(_json_tree(_sorted(_ordered(tree), top=True), ()), indent=2, ensure_ascii=False) + "\n"


def _ordered(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tree[key] for key in (*_FIRST, *sorted(set(tree) - set(_FIRST))) if key in tree}


def render_yaml(tree: Mapping[str, Any]) -> str:
    """The tree as YAML."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        """Texts of several lines as blocks."""

    def represent(dumper: Any, text: str) -> Any:
        style = "|" if "\n" in text.strip("\n") else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def represent_moment(dumper: Any, value: datetime) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:timestamp", _moment(value))

    Dumper.add_representer(str, represent)
    Dumper.add_representer(datetime, represent_moment)
    text: str = yaml.dump(
        _sorted(_ordered(tree), top=True),
        Dumper=Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=2**20,
    )
    return text


def _as_the_reference(value: Any, path: Path) -> Any:
    """What the reference prints as JSON differs from what it reads: these are its ways."""
    if _ULIMITS.find(path):
        limits = value if isinstance(value, dict) else {} if value == 0 else None
        return value if limits is None else {key: limits[key] for key in sorted(limits) if limits[key] != 0}
    extension = bool(path) and isinstance(path[0], str) and path[0].startswith("x-")
    if isinstance(value, list):
        if extension and not value:
            return None
        return [_as_the_reference(item, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return str(value) if _MEMORY.find(path) and value is not None else _json_value(value, path)
    keep = extension or not path or _USER.find(path)
    out = {
        key.replace("$", "$$"): _as_the_reference(value[key], (*path, key))
        for key in (value if not path else sorted(value))
        if keep or not key.startswith("x-")
    }
    for key, default in (_DEFAULTS.find(path) or {}).items():
        out.setdefault(key, default)
    if not path:
        out.pop("models", None)
    for key in _EMPTY_OUT.find(path) or ():
        if out.get(key) == "":
            del out[key]
    for key in _LEFT_OUT.find(path) or ():
        out.pop(key, None)
    return out


def _json_tree(value: Any, path: Path) -> Any:
    if isinstance(value, dict):
        return {key: _json_tree(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_tree(item, (*path, index)) for index, item in enumerate(value)]
    return _json_value(value, path)


def _json_value(value: Any, path: Path) -> Any:
    """Moments as the reference writes them. Raises ComposeError for a number that JSON does not have."""
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, float) and not -_LARGEST <= value <= _LARGEST:
        raise ComposeError(f"{dotted(path)}: JSON cannot hold {value}", hint="use --format yaml")
    return value


def _moment(value: datetime) -> str:
    """RFC 3339 without the fraction's last zeros."""
    fraction = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
    zone = "Z" if not value.utcoffset() else value.isoformat()[-6:]
    return f"{value.replace(microsecond=0, tzinfo=None).isoformat()}{fraction}{zone}"


def _sorted(value: Any, *, top: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in (value if top else sorted(value))}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value
