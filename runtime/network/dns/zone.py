"""What names mean in a network: one entry per endpoint, and how a name is looked up. Pure.

A zone is a directory with one file per endpoint: {"v": 1, "names": [...], "address": "172.18.0.5",
"container": "project-web-1", "network": "project_default", "live": "/run/.../lock"}. `live` is the lock
that the endpoint's shim holds for its life; an entry whose lock is free is of somebody who is gone.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

VERSION = 1


class Entry(NamedTuple):
    """One endpoint: the names it answers to, lower case, without its network's name."""

    names: tuple[str, ...]
    address: str
    container: str
    network: str
    live: str = ""  # "" = always


def format_entry(entry: Entry) -> bytes:
    """The content of an entry's file."""
    return json.dumps(
        {
            "v": VERSION,
            "names": [name.lower() for name in entry.names],
            "address": entry.address,
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
        texts = [fields["address"], fields["container"], fields["network"], fields.get("live", "")]
    except (ValueError, KeyError):
        return None
    if not isinstance(names, list) or not all(isinstance(text, str) for text in (*names, *texts)):
        return None
    return Entry(tuple(names), texts[0], texts[1], texts[2], texts[3])


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
    """The entries that a reverse name, "5.0.18.172.in-addr.arpa", means."""
    labels = name.rstrip(".").lower().split(".")
    if len(labels) != 6 or labels[4:] != ["in-addr", "arpa"]:
        return []
    address = ".".join(reversed(labels[:4]))
    return [entry for entry in entries if entry.address == address]


def is_below(networks: Sequence[str], name: str) -> bool:
    """Whether only we can know a name: it ends with the name of one of these networks."""
    name = name.rstrip(".").lower()
    return any(name.endswith("." + network.lower()) for network in networks)
