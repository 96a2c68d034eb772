"""Entry of `pycompose` and of `python -P -m composer`."""

import sys
from typing import NoReturn

from composer.cli.context import Context, GlobalOptions
from composer.cli.hot import Parsed, parse
from composer.errors import ComposeError
from composer.output.errors import print_error, print_warning
from composer.output.terminal import Terminal
from runtime import EngineError

_INTERRUPTED = 130
_USAGE = 1


def main() -> NoReturn:
    """Run the command line; the process ends with its exit code."""
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except (ComposeError, EngineError) as error:
        print_error(Terminal(sys.stderr), error)
        code = getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`pycompose logs | head`): that is no error.
        sys.stderr.close()
        code = 0
    except OSError as error:
        print_error(Terminal(sys.stderr), ComposeError(str(error)))
        code = 1
    sys.exit(code)


def _run(words: list[str]) -> int:
    parsed = parse(words)
    return _run_typer(words) if parsed is None else _run_hot(parsed)


def _run_hot(parsed: Parsed) -> int:
    import importlib

    module = importlib.import_module(f"composer.cli.{parsed.command}")
    options = GlobalOptions(**parsed.options)
    if parsed.parameters.pop("dry_run", False):
        options = options._replace(dry_run=True)
    with Context(options) as context:
        code: int = module.run(context, module.Arguments(**parsed.parameters))
    return code


def _run_typer(words: list[str]) -> int:
    import typer.main

    from composer.cli.app import app
    from composer.cli.flags import spell_out

    try:
        command = typer.main.get_command(app)
        terminal = Terminal(sys.stderr)
        spelt_out = spell_out(words, command, lambda text: print_warning(terminal, text))
        outcome = command(spelt_out, prog_name="pycompose", standalone_mode=False)
    except (ComposeError, EngineError, OSError):
        raise
    except Exception as error:
        # typer carries a click of its own in some releases, so its errors are known by what they can do.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return _USAGE
    return outcome if isinstance(outcome, int) else 0


if __name__ == "__main__":
    main()
