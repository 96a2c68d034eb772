"""What names mean in a network: one entry per endpoint, and how a name is looked up. Pure.

A zone is a directory with one file per endpoint: {"v": 1, "names": [...], "address": "172.18.0.5",
"address6": "fd00::5", "container": "project-web-1", "network": "project_default", "live": "/run/.../lock"}.
`live` is the lock that the endpoint's shim holds for its life; an entry whose lock is free is of somebody who is
gone.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from runtime.network.ipam import parse_address

VERSION = 1
_DIGITS = frozenset("0123456789abcdef")


class Entry(NamedTuple):
    """One endpoint: the names it answers to, lower case, without its network's name. An address it lacks is ""."""

    names: tuple[str, ...]
    address: str
    container: str
    network: str
    live: str = ""  # "" = always
    address6: str = ""


def format_entry(entry: Entry) -> bytes:
    """The content of an entry's file."""
    return json.dumps(
        {
            "v": VERSION,
            "names": [name.lower() for name in entry.names],
            "address": entry.address,
            "address6": entry.address6,
            "container": entry.container,
            "network": entry.network,
            "live": entry.live,
        }
    ).encode()


def parse_entry(data: bytes) -> Entry | None:
    """The inverse of `format_entry`; None for what is damaged or of a version we don't know."""
    try:
        fields = json.loads(data)
        if not isinstance(fields, dict) or fields.get("v") != VERSION:
            return None
        names = fields["names"]
        texts = [fields["address"], fields["container"], fields["network"]]
        texts += [fields.get("live", ""), fields.get("address6", "")]
    except (ValueError, KeyError):
        return None
    if not isinstance(names, list) or not all(isinstance(text, str) for text in (*names, *texts)):
        return None
    return Entry(tuple(names), *texts)


def find(entries: Sequence[Entry], name: str) -> list[Entry]:
    """The entries that a name means: "web" or "web.project_default". Case does not matter."""
    name = name.rstrip(".").lower()
    out = []
    for entry in entries:
        suffix = "." + entry.network.lower()
        short = name[: -len(suffix)] if name.endswith(suffix) else name
        if short in entry.names or name in entry.names:
            out.append(entry)
    return out


def find_address(entries: Sequence[Entry], name: str) -> list[Entry]:
    """The entries that a reverse name means: "5.0.18.172.in-addr.arpa", or 32 digits before "ip6.arpa"."""
    labels = name.rstrip(".").lower().split(".")
    reversed_labels = labels[-3::-1]
    if len(labels) == 6 and labels[4:] == ["in-addr", "arpa"]:
        address = ".".join(reversed_labels)
        return [entry for entry in entries if entry.address == address]
    if len(labels) == 34 and labels[32:] == ["ip6", "arpa"] and set("".join(labels[:32])) <= _DIGITS:
        number = int("".join(reversed_labels), 16)
        return [entry for entry in entries if entry.address6 and parse_address(entry.address6) == number]
    return []


def is_below(networks: Sequence[str], name: str) -> bool:
    """Whether only we can know a name: it ends with the name of one of these networks."""
    name = name.rstrip(".").lower()
    return any(name.endswith("." + network.lower()) for network in networks)
