"""Progress of pulls, pushes and builds: lines that change in place on a terminal, lines of news elsewhere. Light.

`up` shows pulls too, so nothing heavy may be loaded here.
"""

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from composer.output.terminal import DIM, GREEN, RED, Terminal

_REDRAW_S = 0.08
_WORDS = {
    "pulling": "Pulling",
    "pushing": "Pushing",
    "exists": "Already there",
    "done": "Done",
    "pushed": "Pushed",
    "mounted": "Taken over",
    "working": "Working",
}
_BAR_WIDTH = 20


class LiveLines:
    """Lines by key; on a terminal they are drawn again where they are, elsewhere only `final` ones are written."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.live = terminal.live
        self._lines: dict[str, str] = {}
        self._drawn = 0
        self._at = 0.0

    def set(self, key: str, text: str, *, final: bool = False) -> None:
        """The text of one line."""
        if self._lines.get(key) == text:
            return
        self._lines[key] = text
        if not self.live:
            if final:
                self._write(text)
            return
        if final or time.monotonic() - self._at > _REDRAW_S:
            self._draw()

    def drop(self, key: str) -> None:
        """Take a line away."""
        if self._lines.pop(key, None) is not None and self.live:
            self._draw()

    def above(self, text: str) -> None:
        """A line that stays, before those that change."""
        if self.live and self._drawn:
            self._terminal.stream.write(f"\033[{self._drawn}A\033[J")
            self._drawn = 0
        self._write(text)
        if self.live:
            self._draw()

    def _write(self, text: str) -> None:
        self._terminal.line(json.dumps({"text": text.strip()}) if self._terminal.json else text)

    def close(self) -> None:
        """Draw the last state; what is written next comes below."""
        if self.live and self._lines:
            self._draw()
        self._lines.clear()
        self._drawn = 0

    def _draw(self) -> None:
        self._at = time.monotonic()
        columns, rows = _size()
        shown = list(self._lines.values())[-(rows - 1) :]
        out = f"\033[{self._drawn}A\033[J" if self._drawn else ""
        out += "".join(f"\033[2K{_clip(text, columns)}\n" for text in shown)
        self._drawn = len(shown)
        self._terminal.stream.write(out)
        self._terminal.stream.flush()


def _size() -> tuple[int, int]:
    try:
        size = os.get_terminal_size(2)
    except OSError:
        return 80, 24
    return max(size.columns, 20), max(size.lines, 4)


def _clip(text: str, columns: int) -> str:
    """At most one line; escapes have no width."""
    visible, out, index = 0, "", 0
    while index < len(text):
        if text[index] == "\033":
            end = text.find("m", index)
            out, index = out + text[index : end + 1], end + 1
            continue
        if visible == columns - 1:
            return out + "\033[0m"
        out, visible, index = out + text[index], visible + 1, index + 1
    return out


class TransferProgress:
    """What a pull or a push of one image tells, under the image's name."""

    def __init__(self, terminal: Terminal, lines: LiveLines, name: str, *, quiet: bool = False) -> None:
        self._terminal = terminal
        self._lines = lines
        self._name = name
        self._quiet = quiet

    def __call__(self, news: Mapping[str, Any]) -> None:
        if self._quiet:
            return
        if "layer" not in news:
            self._lines.above(f" {self._name}: {news['status']}")
            return
        status = str(news["status"])
        word = _WORDS.get(status, status)
        final = status in ("exists", "done", "pushed", "mounted")
        text = f"   {news['layer']}  {self._terminal.paint(word, GREEN if final else DIM)}"
        if news.get("total"):
            text += f"  {_bar(news['done'], news['total'])}"
        self._lines.set(f"{self._name} {news['layer']}", text, final=final)

    def heading(self, word: str, *, error: str = "") -> None:
        """The image's own line."""
        if self._quiet and not error:
            return
        colour = RED if error else GREEN if word.endswith("ed") else DIM
        text = f" Image {self._name}  {self._terminal.paint(word, colour)}{f'  {error}' if error else ''}"
        if self._lines.live and not error:
            self._lines.set(self._name, text, final=True)
        else:
            self._lines.above(text)


def _bar(done: int, total: int) -> str:
    filled = _BAR_WIDTH * done // total
    return f"[{'=' * filled}{' ' * (_BAR_WIDTH - filled)}] {describe_size(done)} / {describe_size(total)}"


def describe_size(size_bytes: int) -> str:
    """A size in decimal units with three digits, as the reference prints it: "12.4MB"."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.3g}{unit}" if size < 1000 else f"{size:.0f}{unit}"
