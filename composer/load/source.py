"""The only reader of files and environment; it notes everything it was asked, for the cache and for snippets."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from composer.errors import LoadError, Origin, Problem
from composer.load.dotenv import DotenvError, parse_dotenv, parse_raw
from composer.load.options import LoadOptions

STDIN = "-"
DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDE_NAMES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)

MAX_BYTES = 16 * 2**20  # of one file; that of 10,000 services has 4 MB
_SNIPPET_COLUMNS = 100  # a longer line is cut around the caret


class ServiceFile(NamedTuple):
    """A file that a service names: `attribute` is "env_file" or "label_file"."""

    service: str
    attribute: str
    path: str


class Source:
    """Files and environment of one load."""

    def __init__(self, options: LoadOptions) -> None:
        self._environ = options.environ
        self._stdin = options.stdin_text
        self.cwd = options.cwd
        self.inputs: dict[str, bool] = {}
        self.consulted: set[str] = set()
        self.texts: dict[str, str] = {}
        self.compose_files: list[str] = []  # those of the paths in `texts` that were read as Compose files
        self.service_files: list[ServiceFile] = []
        self._lines: dict[str, list[str]] = {}

    def variable(self, name: str) -> str | None:
        """An environment variable, or None."""
        self.consulted.add(name)
        return self._environ.get(name)

    def environment(self) -> Mapping[str, str]:
        """The whole environment; asking for it does not count as consulting it."""
        return self._environ

    def exists(self, path: str) -> bool:
        """Whether a file is there. Remembered as an input."""
        path = os.path.join(self.cwd, path)
        found = os.path.exists(path)
        self.inputs[path] = found
        return found

    def read(self, path: str, what: str, origin: Origin | None = None) -> str:
        """A file's text. Raises LoadError naming `what` it is and where it was asked for."""
        if path == STDIN:
            self.texts[path] = self._stdin or ""
            if len(self.texts[path]) > MAX_BYTES:
                raise LoadError([Problem(f"standard input has more than {MAX_BYTES // 2**20} MB")])
            return self.texts[path]
        path = os.path.join(self.cwd, path)
        if path in self.texts:
            return self.texts[path]
        self.inputs[path] = True
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except ValueError:
            raise LoadError(
                [self.problem(Problem(f"{what} {path!r}: no file can have this name", origin))]
            ) from None
        except OSError as error:
            self.inputs[path] = not isinstance(error, FileNotFoundError)
            reason = (
                "not found"
                if isinstance(error, FileNotFoundError)
                else (error.strerror or "unreadable").lower()
            )
            raise LoadError([self.problem(Problem(f"{what} {path}: {reason}", origin))]) from None
        if len(data) > MAX_BYTES:
            message = f"{what} {path} has more than {MAX_BYTES // 2**20} MB"
            raise LoadError([self.problem(Problem(message, origin))])
        try:
            self.texts[path] = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            message = f"{what} {path} is not UTF-8 text"
            raise LoadError([Problem(message, Origin(path, line, 1), "", "save the file as UTF-8")]) from None
        return self.texts[path]

    def problem(self, problem: Problem) -> Problem:
        """The problem with the offending line and a caret, if its file was read."""
        origin = problem.origin
        if origin is None or not origin.line or origin.file not in self.texts or problem.snippet:
            return problem
        if origin.file not in self._lines:
            self._lines[origin.file] = self.texts[origin.file].split("\n")
        lines = self._lines[origin.file]
        if origin.line > len(lines):
            return problem
        line = lines[origin.line - 1].rstrip("\r")
        pad = "".join("\t" if c == "\t" else " " for c in line[: max(origin.column - 1, 0)])
        return problem._replace(snippet=_clip(line, f"{pad}^"))


class Variables:
    """Where a file's `${…}` are looked up: the environment, then dotenv values of the scopes from outside in."""

    def __init__(self, source: Source, layers: Sequence[Mapping[str, str]] = ()) -> None:
        self._source = source
        self._layers = tuple(layers)
        self._fixed: dict[str, str] = {}

    def fix(self, name: str, value: str) -> None:
        """Give a variable a value that wins over every other."""
        self._fixed[name] = value

    def get(self, name: str) -> str | None:
        if name in self._fixed:
            return self._fixed[name]
        value = self._source.variable(name)
        if value is not None:
            return value
        return next((layer[name] for layer in self._layers if name in layer), None)

    def all(self) -> dict[str, str]:
        """Every variable with its value."""
        values: dict[str, str] = {}
        for layer in reversed(self._layers):
            values.update(layer)
        return {**values, **self._source.environment(), **self._fixed}

    def within(self, layer: Mapping[str, str]) -> "Variables":
        """The same with one more layer, behind the others."""
        inner = Variables(self._source, (*self._layers, layer))
        inner._fixed = dict(self._fixed)
        return inner


class EnvFile(NamedTuple):
    """Values of one file and where each is written."""

    values: dict[str, str]
    origins: dict[str, Origin]


def load_env_file(
    source: Source, path: str, variables: Variables, *, raw: bool = False, what: str = "the env file"
) -> EnvFile:
    """What a dotenv file gives, or a `raw` one. Raises LoadError if it is missing or malformed."""
    text = source.read(path, what)
    try:
        found = (parse_raw if raw else parse_dotenv)(text, variables.get)
    except DotenvError as error:
        raise LoadError([source.problem(Problem(str(error), Origin(path, error.line, 1)))]) from None
    return EnvFile(found.values, {key: Origin(path, line, 1) for key, line in found.lines.items()})


def load_dotenv(
    source: Source, path: str, variables: Variables, what: str = "the env file"
) -> dict[str, str]:
    """Values of one dotenv file. Raises LoadError if it is missing or malformed."""
    return load_env_file(source, path, variables, what=what).values


def absolute(path: str, base: str) -> str:
    """`path` below `base`, cleaned."""
    return os.path.normpath(os.path.join(base, path))


def _clip(line: str, caret: str) -> str:
    """The line with a caret below it, cut around the caret where it is too wide for a terminal."""
    first = max(0, len(caret) - _SNIPPET_COLUMNS // 2)
    shown = line[first : first + _SNIPPET_COLUMNS]
    left, right = "… " if first else "", " …" if first + _SNIPPET_COLUMNS < len(line) else ""
    return f"{left}{shown}{right}\n{' ' * len(left)}{caret[first:]}"
