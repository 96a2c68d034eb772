"""The table that `config --variables` prints."""

import json
from typing import Any

from composer.load.template import Variable, find_variables

_HEAD = ("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")
_WIDTH = 20


def render_variables(tree: Any, *, as_json: bool) -> str:
    """Every variable that a tree of uninterpolated values names, by name: a table, or a JSON object."""
    found: dict[str, Variable] = {}
    _collect(tree, found)
    ordered = [found[name] for name in sorted(found)]
    if as_json:
        rows = {
            v.name: {
                "Name": v.name,
                "DefaultValue": v.default,
                "PresenceValue": v.alternate,
                "Required": v.required,
            }
            for v in ordered
        }
        return json.dumps(rows, indent=4, ensure_ascii=False) + "\n"
    table = [_HEAD, *((v.name, str(v.required).lower(), v.default, v.alternate) for v in ordered)]
    return "".join("".join(f"{cell:{_WIDTH}}" for cell in row).rstrip() + "\n" for row in table)


def _collect(value: Any, found: dict[str, Variable]) -> None:
    if isinstance(value, str):
        for variable in find_variables(value):
            known = found.get(variable.name, Variable(variable.name))
            found[variable.name] = Variable(
                variable.name,
                known.default or variable.default,
                known.alternate or variable.alternate,
                known.required or variable.required,
            )
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        _collect(item, found)
