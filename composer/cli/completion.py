"""What shells complete: `completion SHELL` prints the script, and services come from the Compose file."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import typer

from composer.cli.context import Context, GlobalOptions
from composer.errors import ComposeError

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_PYCOMPOSE_COMPLETE"


def completion_script(shell: str) -> str:
    """What a shell has to source. Raises ComposeError for a shell that is not known."""
    if shell not in SHELLS:
        raise ComposeError(f"{shell!r} is not one of {', '.join(SHELLS)}")
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    return str(get_completion_script(prog_name="pycompose", complete_var=_VARIABLE, shell=shell))


def complete_services(context: typer.Context, incomplete: str) -> list[str]:
    """The project's services, those that need a profile too, that begin with what is typed; never an error."""
    parameters: Mapping[str, Any] = context.find_root().params
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in parameters.items()
        if name in GlobalOptions._fields and value is not None
    }
    # Whatever loading has to say would be printed among what is typed.
    with open(os.devnull, "w") as nothing:
        usual, sys.stderr = sys.stderr, nothing
        try:
            with Context(GlobalOptions(**given)) as opened:
                desired = opened.existing()
                names = [*(service.name for service in desired.services), *desired.inactive]
        except Exception:
            return []
        finally:
            sys.stderr = usual
    return [name for name in names if name.startswith(incomplete)]
