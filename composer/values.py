"""Text to number and back for the units of Compose: durations, byte sizes, floats as text. Pure.

Every number carries its unit in the function's name (`_ns`, `_bytes`). What a value means to a container is not
decided here.
"""

import re
from decimal import Decimal, InvalidOperation

_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
    "d": 24 * 3600 * 1_000_000_000,
    "w": 7 * 24 * 3600 * 1_000_000_000,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([^\d.]*)")
_SIZE_POWER = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_FLOAT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_INT64_MAX = 2**63 - 1


def parse_duration_ns(text: str) -> int:
    """Nanoseconds of a duration such as "1m30s" or "1.5h" (Compose spec 11-extension: durations).

    Units are ns, us, ms, s, m, h, d and w. Raises ValueError with what is wrong.
    """
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if body == "0":
        return 0
    if len(body) > 100:
        raise ValueError("the duration has more than 100 characters")
    total, position = Decimal(0), 0
    while position < len(body):
        part = _DURATION_PART.match(body, position)
        if part is None:
            raise ValueError(f"{text!r} is not a duration")
        unit = part.group(2)
        if not unit:
            raise ValueError(f"the duration {text!r} lacks a unit")
        if unit not in _UNIT_NS:
            raise ValueError(f"{unit!r} in the duration {text!r} is not a unit")
        total += Decimal(part.group(1)) * _UNIT_NS[unit]
        position = part.end()
    if not body:
        raise ValueError("an empty text is not a duration")
    if total > _INT64_MAX:
        raise ValueError(f"the duration {text!r} is too long")
    return sign * int(total)


def format_duration_ns(value_ns: int) -> str:
    """The normal form of a duration: "1h0m0s", "1m30s", "1.5s", "100µs", "0s"."""
    if value_ns == 0:
        return "0s"
    sign, value = ("-", -value_ns) if value_ns < 0 else ("", value_ns)
    if value < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if value >= size:
                return f"{sign}{_fraction(value, size)}{unit}"
    hours, rest = divmod(value, _UNIT_NS["h"])
    minutes, rest = divmod(rest, _UNIT_NS["m"])
    out = f"{_fraction(rest, 1_000_000_000)}s"
    if hours or minutes:
        out = f"{minutes}m{out}"
    return f"{sign}{hours}h{out}" if hours else sign + out


def _fraction(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{len(str(size)) - 1}d}".rstrip("0")


def parse_size_bytes(text: str) -> int:
    """Bytes of a size such as "512m", "1.5g", "10 MB" or "64KiB"; every unit is a power of 1024.

    Raises ValueError with what is wrong (Compose spec 11-extension: byte values).
    """
    cut = max((text.rfind(c) for c in "0123456789. "), default=-1)
    if cut < 0:
        raise ValueError(f"{text!r} is not a size")
    number, suffix = text[: cut + 1].removesuffix(" "), text[cut + 1 :].lower()
    if not _FLOAT.fullmatch(number):
        raise ValueError(f"{text!r} is not a size")
    try:
        value = Decimal(number)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a size") from None
    if value < 0:
        raise ValueError(f"the size {text!r} is negative")
    if value > _INT64_MAX:
        raise ValueError(f"the size {text!r} is too large")
    if suffix not in ("", "b"):
        power = _SIZE_POWER.get(suffix[0])
        if power is None or suffix[1:] not in ("", "b", "ib"):
            raise ValueError(f"{suffix!r} is not a unit of size (b, k, m, g, t, p)")
        value *= 1024**power
    return int(value)


def format_float(value: float) -> str:
    """A float as the reference prints it: shortest digits, exponent below 1e-4 and from 21 (plain %g rules)."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + int(exponent)  # position of the decimal point before the first digit
    if text == "0":
        return "-0" if sign else "0"
    exp = point - 1
    prefix = "-" if sign else ""
    if exp < -4 or exp >= max(len(text), 21 if len(text) > 21 else 6):
        mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
        return f"{prefix}{mantissa}e{'-' if exp < 0 else '+'}{abs(exp):02d}"
    if exp >= 6:  # more digits than the switch to exponents allows
        mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
        return f"{prefix}{mantissa}e+{exp:02d}"
    if point <= 0:
        return f"{prefix}0.{'0' * -point}{text}"
    if len(text) <= point:
        return prefix + text.ljust(point, "0")
    return f"{prefix}{text[:point]}.{text[point:]}"


def format_scalar(value: object) -> str:
    """A YAML scalar as text: true and false in lower case, floats by `format_float`, None as ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_float(value)
    return str(value)


def parse_float(text: str) -> float:
    """A decimal number. Raises ValueError."""
    if not _FLOAT.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def parse_int(text: str) -> int:
    """A decimal integer of at most 64 bits, without spaces or underscores. Raises ValueError."""
    if not re.fullmatch(r"[+-]?\d+", text):
        raise ValueError(f"{text!r} is not a whole number")
    value = int(text) if len(text) < 100 else 2**64
    if not -(2**63) <= value <= _INT64_MAX:
        raise ValueError(f"{text!r} does not fit in 64 bits")
    return value


def parse_nano_cpus(text: str) -> int:
    """Billionths of a processor of a decimal number of processors ("0.5" -> 500000000). Raises ValueError."""
    try:
        return int(Decimal(text) * 1_000_000_000)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number of processors") from None
