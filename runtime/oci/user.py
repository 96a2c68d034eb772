"""A container's user as numbers: what resolving a name inside a root filesystem gives, and `generate` receives."""

from typing import NamedTuple


class ResolvedUser(NamedTuple):
    """Numbers of a user. `additional_gids` holds `gid` too, so that dropping it cannot widen access."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = (0,)
    home: str = "/"
    name: str = ""
