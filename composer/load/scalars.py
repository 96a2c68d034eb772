"""What a plain YAML scalar means: the YAML 1.2 core rules plus the 1.1 remains that Compose files rely on. Pure.

`yes`, `on` and `12:30` stay text; 0755 and 0o755 are octal; a date is a date (which no attribute accepts).
"""

import datetime
import re
from typing import Any

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_FLOAT_WORDS = {
    ".inf": float("inf"), ".Inf": float("inf"), ".INF": float("inf"),
    "+.inf": float("inf"), "+.Inf": float("inf"), "+.INF": float("inf"),
    "-.inf": float("-inf"), "-.Inf": float("-inf"), "-.INF": float("-inf"),
    ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"),
}  # fmt: skip
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# With a zone after T, without one after a space: anything else stays text.
_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?(?:Z|([-+])(\d{2}):(\d{2}))"
    r"| +(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?)?"
)
_MAX_DIGITS = 4000  # Python refuses to read longer ones
_BASES = (("0b", 2, "01"), ("0o", 8, "01234567"), ("0x", 16, "0123456789abcdefABCDEF"))


def parse_plain(text: str) -> Any:
    """The value of an unquoted scalar without a tag: None, bool, int, float, date or the text itself."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    first = text[0]
    if not (first.isdigit() or first in "+-."):
        return text
    if text in _FLOAT_WORDS:
        return _FLOAT_WORDS[text]
    if first.isdigit() and (date := _DATE.fullmatch(text)):
        return _parse_date(date)
    number = _parse_int(text.replace("_", ""))
    if number is not None:
        return number if -(2**63) <= number < 2**64 else float(number)
    if _FLOAT.fullmatch(text.replace("_", "")):
        return float(text.replace("_", ""))
    return text


def _parse_int(text: str) -> int | None:
    body = text.lstrip("+-") if text[:1] in "+-" else text
    sign = -1 if text[:1] == "-" else 1
    for prefix, base, digits in _BASES:
        if body.startswith(prefix) and len(body) > 2 and all(c in digits for c in body[2:]):
            return sign * int(body[2:], base)
    if not body.isascii() or not body.isdigit() or len(body) > _MAX_DIGITS:
        return None
    if len(body) > 1 and body[0] == "0":
        return sign * int(body, 8) if all(c in "01234567" for c in body) else None
    return sign * int(body)


def _parse_date(match: "re.Match[str]") -> Any:
    """The moment, to the microsecond; in UTC where no zone is given. What the calendar lacks stays text."""
    year, month, day, *rest = match.groups()
    hour, minute, second, fraction = rest[:4] if rest[0] else rest[7:]
    sign, hours, minutes = rest[4:7]
    zone = datetime.UTC
    try:
        if sign:
            offset = datetime.timedelta(hours=int(hours), minutes=int(minutes))
            zone = datetime.timezone(-offset if sign == "-" else offset)
        micro = int((fraction or ".0")[1:7].ljust(6, "0"))
        clock = (int(hour or 0), int(minute or 0), int(second or 0))
        return datetime.datetime(int(year), int(month), int(day), *clock, micro, zone)
    except ValueError:
        return match.string


def parse_tagged(tag: str, text: str) -> Any:
    """The value of a scalar with one of YAML's own tags (!!str, !!int, …). Raises ValueError if it does not fit."""
    if tag in ("str", "binary"):
        return text
    value = parse_plain(text)
    if tag == "null":
        return None
    if tag == "bool" and isinstance(value, bool):
        return value
    if tag == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if tag == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if tag == "timestamp" and isinstance(value, datetime.datetime):
        return value
    raise ValueError(f"{text!r} is not a YAML {tag}")
