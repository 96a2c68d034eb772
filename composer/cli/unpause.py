"""`unpause`: let the processes of containers go on."""

from composer.cli import pause
from composer.cli.context import Context
from composer.cli.pause import Arguments as Arguments


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `unpause`; the exit code."""
    return pause.run(context, arguments, paused=False)
