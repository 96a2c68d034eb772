"""The text that `config` prints of a loaded tree: YAML or JSON."""

import json
from collections.abc import Mapping
from typing import Any

from composer.load.emit import USER_MAPS
from composer.load.origins import Path
from composer.load.rules import RuleTable

_USER: RuleTable[bool] = RuleTable(dict.fromkeys(USER_MAPS, True))
_ULIMITS: RuleTable[bool] = RuleTable({"services.*.ulimits.*": True, "services.*.build.ulimits.*": True})
_FIRST = ("name", "services", "networks", "volumes", "secrets", "configs", "models")


def render_config(tree: Mapping[str, Any], *, format: str) -> str:
    """The tree as "yaml" or "json", ending with a line feed.

    JSON leaves out x- keys below the top level and limits of 0, as the reference does. A reader that
    follows YAML 1.1 or 1.2 gets the same values from the YAML text.
    """
    ordered = {key: tree[key] for key in (*_FIRST, *sorted(set(tree) - set(_FIRST))) if key in tree}
    if format == "json":
        return json.dumps(_as_the_reference(ordered, ()), indent=2, ensure_ascii=False) + "\n"
    return _yaml(_sorted(ordered, top=True))


def _yaml(tree: Any) -> str:
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        """Texts of several lines as blocks."""

    def represent(dumper: Any, text: str) -> Any:
        style = "|" if "\n" in text.strip("\n") else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represent)
    text: str = yaml.dump(
        tree,
        Dumper=Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=2**20,
    )
    return text


def _as_the_reference(value: Any, path: Path) -> Any:
    if _ULIMITS.find(path):
        limits = value if isinstance(value, dict) else {} if value == 0 else None
        return value if limits is None else {key: limits[key] for key in sorted(limits) if limits[key] != 0}
    if isinstance(value, list):
        return [_as_the_reference(item, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if path and isinstance(path[0], str) and path[0].startswith("x-"):
        return value
    keep = not path or _USER.find(path)
    return {
        key: _as_the_reference(value[key], (*path, key))
        for key in (value if not path else sorted(value))
        if keep or not key.startswith("x-")
    }


def _sorted(value: Any, *, top: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in (value if top else sorted(value))}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value
