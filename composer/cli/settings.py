"""Settings of a command line that may stand in the project's .env too: COMPOSE_ANSI, COMPOSE_PARALLEL_LIMIT, … Light.

As with the reference: the shell's environment wins, and the .env is that of --project-directory, of the first -f or
of the current folder, without a search in those above. What is wrong in the file is told by who loads the project.
"""

import os
from collections.abc import Sequence

_TRUE = ("1", "t", "true", "y", "yes", "on")


class Settings:
    """Looks variables up; the .env is read once, and parsed only if it has the variable's name in it."""

    def __init__(self, *, env_files: Sequence[str], project_directory: str, files: Sequence[str]) -> None:
        self._env_files = env_files
        self._project_directory = project_directory
        self._files = files
        self._texts: list[str] | None = None
        self._values: dict[str, str] | None = None

    def get(self, name: str) -> str:
        """A variable's value, "" if it has none."""
        if name in os.environ:
            return os.environ[name]
        if self._texts is None:
            self._texts = [_read(path) for path in self._paths()]
        if not any(name in text for text in self._texts):
            return ""
        if self._values is None:
            self._values = _parse(self._texts)
        return self._values.get(name, "")

    def _paths(self) -> list[str]:
        named = list(self._env_files) or [
            path for path in os.environ.get("COMPOSE_ENV_FILES", "").split(",") if path
        ]
        if named or os.environ.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in _TRUE:
            return named
        first = next((file for file in self._files if file != "-"), "")
        return [os.path.join(self._project_directory or os.path.dirname(first), ".env")]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _parse(texts: Sequence[str]) -> dict[str, str]:
    from composer.load.dotenv import DotenvError, parse_dotenv

    values: dict[str, str] = {}
    for text in texts:
        try:
            values.update(parse_dotenv(text, lambda name: os.environ.get(name, values.get(name))).values)
        except DotenvError:
            continue
    return values
