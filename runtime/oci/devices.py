"""The devices every container may use, as rules of the device cgroup. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.errors import InvalidError

if TYPE_CHECKING:
    from runtime.oci.spec import DeviceRule

# Character devices: null, zero, full, random, urandom, tty, console, ptmx, pts/*.
_ALLOWED = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, -1))

DENY_ALL: DeviceRule = {"allow": False, "access": "rwm"}


def standard_device_rules() -> list[DeviceRule]:
    """What is allowed after `DENY_ALL`."""
    rules: list[DeviceRule] = [
        # Making a node is harmless as long as it cannot be opened.
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "b", "access": "m"},
    ]
    for major, minor in _ALLOWED:
        rule: DeviceRule = {"allow": True, "type": "c", "major": major, "access": "rwm"}
        if minor >= 0:
            rule["minor"] = minor
        rules.append(rule)
    return rules


def parse_device_rule(text: str) -> DeviceRule:
    """`c 1:3 mr`, `a *:* rwm`: a line of device_cgroup_rules. Raises InvalidError."""
    kind, _, rest = text.strip().partition(" ")
    numbers, _, access = rest.partition(" ")
    major, _, minor = numbers.partition(":")
    if not (
        kind in ("a", "b", "c")
        and all(number == "*" or (number.isascii() and number.isdigit()) for number in (major, minor))
        and 0 < len(access) <= 3
        and not access.strip("rwm")
    ):
        raise InvalidError(
            f"{text!r} is no device rule", hint="type, major:minor and access, as in `c 1:3 rwm` or `b 8:* r`"
        )
    rule: DeviceRule = {"allow": True, "type": kind, "access": access}
    if major != "*":
        rule["major"] = int(major)
    if minor != "*":
        rule["minor"] = int(minor)
    return rule
