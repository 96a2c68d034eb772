"""`--dry-run` of every command that changes something: it only says what would be done."""

from typing import Annotated

import typer


def _only_tell(context: typer.Context, wanted: bool) -> bool:
    """After the command's name the option means the same as before it."""
    if wanted and context.obj is not None:
        context.obj = context.obj._replace(dry_run=True)
    return wanted


# For a parameter `dry_run` of a command. Nobody has to read it: `Context` knows.
DryRun = Annotated[
    bool, typer.Option("--dry-run", callback=_only_tell, help="Print what would be done, do nothing.")
]
