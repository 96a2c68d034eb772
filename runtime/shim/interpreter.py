"""Command lines of fresh interpreters that run a function of this package."""

import os
import sys


def command_line(module: str, function: str, *arguments: str) -> list[str]:
    """The words that call `module.function()` of this package, which finds `arguments` in sys.argv[1:]."""
    package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    program = f"import sys; sys.path.append({package_root!r}); from {module} import {function}; {function}()"
    return [sys.executable, "-I", "-c", program, *arguments]
