"""A hook under way: a program in a container whose output is shown, and told again if it fails."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from composer.errors import ExecutionError
from composer.plan.action import Action
from runtime import Container, Engine, ExecRequest, Job, begin_captured

_LAST_LINES = 10


def begin_hook(engine: Engine, container: Container, action: Action) -> Job:
    """Run the HookSpec of a HOOK. Raises StateError if the container does not run."""
    hook = action.spec
    request = ExecRequest(
        args=tuple(hook["command"]),
        env=tuple(hook.get("environment", ())),
        user=hook.get("user", ""),
        cwd=hook.get("working_dir", ""),
        privileged=hook.get("privileged", False),
    )
    return begin_captured(engine, container, request)


class HookOutput:
    """The last lines a hook has printed."""

    def __init__(self, action: Action) -> None:
        self._action = action
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)

    def take(self, news: Mapping[str, Any]) -> None:
        self._lines.append(str(news["line"]))

    def failure(self, code: int) -> ExecutionError:
        """What to tell of a hook that has ended with `code`."""
        said = "".join(f"\n  | {line}" for line in self._lines)
        hook = self._action.cause.partition(":")[0]
        return ExecutionError(f"{self._action.name}: {hook} hook exited with status {code}{said}")
