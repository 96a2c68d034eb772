"""Errors and warnings as the user reads them."""

from composer.errors import ComposeError, LoadError, Problem
from composer.output.terminal import RED, YELLOW, Terminal
from runtime import EngineError

_MOST_SHOWN = 50


def print_error(terminal: Terminal, error: Exception) -> None:
    """Print a deliberate error of the composer or the runtime: where, what, the line, and what to do."""
    if isinstance(error, LoadError):
        for problem in error.problems[:_MOST_SHOWN]:
            _print_problem(terminal, problem)
        if len(error.problems) > _MOST_SHOWN:
            terminal.line(f"… and {len(error.problems) - _MOST_SHOWN} more errors")
        return
    where = f"{error.origin}: " if isinstance(error, ComposeError | EngineError) and error.origin else ""
    terminal.line(f"{terminal.paint('error:', RED)} {where}{error}")
    _print_hint(terminal, getattr(error, "hint", ""))


def _print_problem(terminal: Terminal, problem: Problem) -> None:
    where = f"{problem.origin}: " if problem.origin else ""
    what = f"{problem.path}: {problem.message}" if problem.path else problem.message
    terminal.line(f"{terminal.paint('error:', RED)} {where}{what}")
    if problem.snippet:
        terminal.line(problem.snippet.rstrip("\n"))
    _print_hint(terminal, problem.hint)


def _print_hint(terminal: Terminal, hint: str) -> None:
    if hint:
        terminal.line(f"  hint: {hint}")


def print_warning(terminal: Terminal, text: str) -> None:
    """Print one warning, a complete sentence with its place if it has one."""
    terminal.line(f"{terminal.paint('warning:', YELLOW)} {text.removeprefix('warning: ')}")
