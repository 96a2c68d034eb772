"""Lines of container logs on a terminal: prefix, colour, time."""

import json
import time
from collections.abc import Iterable

from composer.output.terminal import PREFIX_COLOURS, Terminal
from runtime import Line, LogEvent

_STDERR = 2


class LogPrinter:
    """Prints lines of the given containers; prefixes are as wide as the longest name."""

    def __init__(
        self, terminal: Terminal, names: Iterable[str], *, prefix: bool = True, timestamps: bool = False
    ) -> None:
        self._terminal = terminal
        self._prefix = prefix
        self._timestamps = timestamps
        ordered = list(dict.fromkeys(names))
        self._width = max((len(name) for name in ordered), default=0)
        self._colours = {
            name: PREFIX_COLOURS[position % len(PREFIX_COLOURS)] for position, name in enumerate(ordered)
        }

    def __call__(self, event: LogEvent, name: str) -> None:
        """Print a line, or that the container has ended."""
        if name not in self._colours:
            self._colours[name] = PREFIX_COLOURS[len(self._colours) % len(PREFIX_COLOURS)]
            self._width = max(self._width, len(name))
        if event.line is not None:
            self._terminal.stream.write(f"{self._lead(name)}{self._text(event.line)}\n")
        else:
            self._terminal.stream.write(f"{name} exited with code {event.exit_code}\n")

    def flush(self) -> None:
        self._terminal.stream.flush()

    def _lead(self, name: str) -> str:
        if not self._prefix:
            return ""
        return self._terminal.paint(f"{name.ljust(self._width)}  | ", self._colours.get(name, ""))

    def _text(self, line: Line) -> str:
        text = line.text.decode(errors="replace").removesuffix("\r")
        return f"{_timestamp(line.time_ns)} {text}" if self._timestamps else text


class JsonLogPrinter:
    """Prints lines as objects: container, service, stream, time and text."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def __call__(self, event: LogEvent, name: str) -> None:
        line = event.line
        if line is not None:
            document = {
                "container": event.container.name,
                "service": event.container.service,
                "stream": "stderr" if line.stream == _STDERR else "stdout",
                "time": _timestamp(line.time_ns),
                "message": line.text.decode(errors="replace"),
            }
            self._terminal.stream.write(f"{json.dumps(document, ensure_ascii=False)}\n")

    def flush(self) -> None:
        self._terminal.stream.flush()


def _timestamp(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def short_name(name: str, project: str) -> str:
    """A container's name without its project, as log prefixes show it."""
    return name.removeprefix(f"{project}-")
