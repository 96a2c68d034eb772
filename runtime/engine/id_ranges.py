"""Which ids of the host a container with a user namespace of its own gets: none that anybody else has."""

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runtime.oci.container_spec import ContainerSpec
from runtime.oci.user_mapping import UNUSED, IdRange, choose_range, parse_userns_mode

if TYPE_CHECKING:
    from runtime.engine.engine import Engine

# Whose ranges in /etc/subuid and /etc/subgid are for containers: ours, or the name that podman has for the same.
_OWNERS = ("pycompose", "containers")


def with_id_range(engine: "Engine", spec: ContainerSpec) -> ContainerSpec:
    """The specification with the ids the container gets, if it wants some; within the caller's transaction.

    Kept in its row, so they are its own until it is removed. Raises InvalidError, ConflictError.
    """
    size = parse_userns_mode(spec.userns)
    if not size:
        return spec._replace(id_range=())
    recorded = engine.database.rows(
        "SELECT json_extract(spec, '$.id_range') AS ids FROM containers WHERE ids IS NOT NULL"
    )
    used = [IdRange(*json.loads(row["ids"])) for row in recorded]
    chosen = choose_range(size, _allowed(), [*used, *_of_others()])
    return spec._replace(id_range=tuple(chosen))


def _allowed() -> list[range]:
    """The ranges to choose from: those both files give, else such as nobody uses."""
    users, groups = _subordinate("/etc/subuid"), _subordinate("/etc/subgid")
    common = [
        range(max(one.start, other.start), min(one.stop, other.stop)) for one in users for other in groups
    ]
    return [ids for ids in common if ids] or [UNUSED]


def _subordinate(path: str) -> list[range]:
    """subuid(5): NAME:FIRST:COUNT lines."""
    found: dict[str, list[range]] = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, numbers = line.strip().partition(":")
                first, _, count = numbers.partition(":")
                if name in _OWNERS and first.isdigit() and count.isdigit():
                    found.setdefault(name, []).append(range(int(first), int(first) + int(count)))
    except FileNotFoundError:
        return []
    return next((found[name] for name in _OWNERS if name in found), [])


def _of_others() -> Iterator[IdRange]:
    """Ranges of processes that run now: of another root of ours, or of another engine."""
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            with open(f"/proc/{pid}/uid_map", encoding="ascii") as file:
                lines = [line.split() for line in file]
        except OSError:
            continue  # it has ended
        for _, first, size in lines:
            if first != "0":  # the host's own
                yield IdRange(int(first), int(size))
