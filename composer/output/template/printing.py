"""Values as text: Go's fmt package, as far as templates reach it. Pure."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from composer.output.template.values import MISSING, NilList, Record

_VERB = re.compile(r"%([-+# 0]*)(\*|[0-9]+)?(?:\.(\*|[0-9]+)?)?(.?)", re.DOTALL)
_HAS_PRECISION = re.compile(r"%[-+# 0]*(?:\*|[0-9]+)?\.")
_MOST_WIDTH = 10_000  # a width beyond it is a mistake, or an attempt to fill the memory


def text(value: Any) -> str:
    """A value as an action writes it, and as `%v` does."""
    if value is MISSING:
        return "<no value>"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _shortest(value)
    if isinstance(value, Record):
        return "{" + " ".join(text(item) for item in value.values() if not callable(item)) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(text, value)) + "]"
    return str(value)


def _shortest(value: float) -> str:
    """%g with as many digits as the value needs: with an exponent below 1e-4 and from 1e6 on."""
    if math.isinf(value) or math.isnan(value):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return repr(value).removesuffix(".0")
    return next(text for places in range(17) if float(text := f"{value:.{places}e}") == value)


def join(values: Sequence[Any]) -> str:
    """Go's Sprint: a space between two neighbours of which neither is a text."""
    parts: list[str] = []
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            parts.append(" ")
        parts.append(text(value))
    return "".join(parts)


def to_json(value: Any) -> str:
    """Compact JSON: a map's keys sorted, an object's as they are."""
    return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if value is MISSING or isinstance(value, NilList):
        return None
    if isinstance(value, Record):
        return {key: _plain(item) for key, item in value.items() if not callable(item)}
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def printf(layout: str, values: Sequence[Any]) -> str:
    """Go's Sprintf. As there, what does not fit is said in the text: `%!d(string=x)`."""
    left = list(values)

    def fill(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not verb:
            return "%!(NOVERB)"
        numbers: list[int | None] = []
        for given in (width, precision):
            if given == "*":
                star = left.pop(0) if left else None
                if isinstance(star, bool) or not isinstance(star, int):
                    return "%!(BADWIDTH)"
                if star < 0:
                    flags, star = flags + "-", -star
                given = str(star)
            numbers.append(None if given is None else min(int(given), _MOST_WIDTH))
        if numbers[1] is None and _HAS_PRECISION.match(match.group()):
            numbers[1] = 0
        if not left:
            return f"%!{verb}(MISSING)"
        return _pad(_verb(verb, flags, numbers[1], left.pop(0)), flags, numbers[0] or 0, verb)

    out = _VERB.sub(fill, layout)
    if left:
        extra = ", ".join(f"{_go_type(value)}={text(value)}" for value in left)
        out += f"%!(EXTRA {extra})"
    return out


def _pad(shown: str, flags: str, width: int, verb: str) -> str:
    if "-" in flags:
        return shown.ljust(width)
    if "0" in flags and verb not in "sqvT":
        return shown.zfill(width)
    return shown.rjust(width)


def _verb(verb: str, flags: str, precision: int | None, value: Any) -> str:
    """One value by one verb; lists are gone through element by element, as fmt does."""
    if isinstance(value, list | tuple) and verb not in "vTp":
        return "[" + " ".join(_verb(verb, flags, precision, item) for item in value) + "]"
    sign = "+" if "+" in flags else " " if " " in flags else ""
    if isinstance(value, bool):
        if verb in "tv":
            return text(value)
    elif isinstance(value, int):
        if verb in "dv":
            return f"{value:{sign}d}"
        if verb in "boxX":
            return f"{value:{sign}{'#' if '#' in flags else ''}{verb}}"
        if verb == "c":
            return chr(value) if 0 <= value <= 0x10FFFF else "�"
        if verb == "q":
            return f"'{chr(value)}'" if 0 <= value <= 0x10FFFF else "'�'"
        if verb == "U":
            return f"U+{value:04X}"
    elif isinstance(value, float):
        if verb in "eEfF":
            return f"{value:{sign}.{6 if precision is None else precision}{verb}}"
        if verb in "gGv":
            shown = _shortest(value) if precision is None else f"{value:.{precision}g}"
            return f"{sign}{shown}" if value >= 0 else shown
    elif isinstance(value, str):
        cut = value if precision is None else value[:precision]
        if verb in "sv":
            return json.dumps(cut, ensure_ascii=False) if "#" in flags else cut
        if verb == "q":
            return json.dumps(cut, ensure_ascii=False)
        if verb in "xX":
            return cut.encode().hex() if verb == "x" else cut.encode().hex().upper()
    if verb == "T":
        return _go_type(value)
    if verb == "v":
        return text(value)
    if verb == "s" and (value is None or isinstance(value, dict)):
        return "%!s(<nil>)" if value is None else text(value)
    return f"%!{verb}({_go_type(value)}={text(value)})"


def _go_type(value: Any) -> str:
    if value is None or value is MISSING:
        return "<nil>"
    names: tuple[tuple[Any, str], ...] = (
        (bool, "bool"),
        (int, "int"),
        (float, "float64"),
        (str, "string"),
        (dict, "map[string]interface {}"),
    )
    return next((name for types, name in names if isinstance(value, types)), "[]interface {}")
