"""`create`: make containers without starting them."""

from typing import NamedTuple

from composer.cli import up
from composer.cli.context import Context


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    build: bool = False
    no_build: bool = False
    force_recreate: bool = False
    no_recreate: bool = False
    pull: str = ""
    quiet_pull: bool = False
    scale: tuple[str, ...] = ()
    remove_orphans: bool = False
    yes: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `create`: an `up` that stops before it starts anything."""
    return up.run(context, up.Arguments(**arguments._asdict(), no_start=True))
