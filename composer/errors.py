"""Every error the composer raises on purpose.

ComposeError                    message, origin (file:line:column) and hint
├── LoadError                   one or more Problems in the files or the environment
│   └── NoFileError             there is no Compose file
├── SelectionError              a service, profile or option that the project does not have
└── ExecutionError              a plan that could not be carried out to its end
"""

from collections.abc import Sequence
from typing import NamedTuple


class Origin(NamedTuple):
    """Where a value was written. `line` and `column` start at 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Problem(NamedTuple):
    """One thing that is wrong in an input: what, where (attribute path such as services.web.ports[0]) and why."""

    message: str
    origin: Origin | None = None
    path: str = ""
    hint: str = ""
    snippet: str = ""  # the offending line and a caret below it


class ComposeError(Exception):
    """Base of all deliberate errors of this package. `exit_code` is what the process ends with."""

    exit_code = 1

    def __init__(self, message: str, *, origin: Origin | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.origin = origin
        self.hint = hint


class LoadError(ComposeError):
    """The files or the environment do not describe a valid project; all problems found at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(problem.message for problem in problems))
        self.problems = tuple(problems)


class NoFileError(LoadError):
    """No Compose file was named, and none is in the working directory or above it."""


class ProjectGoneError(ComposeError):
    """Nothing is left of a project that was asked for by its name."""


class SelectionError(ComposeError):
    """A service, profile or option that the project does not have."""


class ExecutionError(ComposeError):
    """A plan that could not be carried out to its end. `services` are those whose rolling update has failed."""

    def __init__(self, message: str, *, hint: str = "", services: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.services = tuple(services)


class DeadlineError(ExecutionError):
    """What was waited for was not there in the time the user has given."""
