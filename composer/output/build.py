"""Progress of a build: one line per step on a terminal, the whole log elsewhere. Light: `up` builds too."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from composer.output.terminal import BOLD, DIM, GREEN, RED, Terminal
from composer.output.transfer import LiveLines, describe_size

_SHOWN_OUTPUT = 4


class BuildProgress:
    """What the build of one image tells. `plain`: everything as lines, also on a terminal."""

    def __init__(
        self, terminal: Terminal, lines: LiveLines, name: str, *, quiet: bool = False, plain: bool = False
    ) -> None:
        self._terminal = terminal
        self._lines = lines
        self._name = name
        self._quiet = quiet
        self._live = lines.live and not plain
        self._titles: dict[str, str] = {}
        self._output: dict[str, deque[str]] = {}

    def __call__(self, news: Mapping[str, Any]) -> None:
        if self._quiet:
            return
        if "layer" in news:
            self._transfer(news)
        elif "step" not in news:
            self._lines.above(f" {self._name}: {news['status']}")
        elif "output" in news:
            self._print(str(news["step"]), str(news["output"]))
        else:
            self._step(str(news["step"]), news)

    def _transfer(self, news: Mapping[str, Any]) -> None:
        if self._live and news.get("total"):
            done = f"{describe_size(news['done'])} / {describe_size(news['total'])}"
            self._lines.set(f"{self._name} {news['layer']}", f"   {news['layer']}  {done}")

    def _step(self, step: str, news: Mapping[str, Any]) -> None:
        title = self._titles.setdefault(step, str(news.get("title", step)))
        status = str(news["status"])
        word = {"cached": "CACHED", "done": "DONE", "failed": "ERROR"}.get(status, "")
        colour = {"cached": GREEN, "done": GREEN, "failed": RED}.get(status, DIM)
        seconds = f" {news['seconds']:.1f}s" if "seconds" in news else ""
        if self._live:
            text = f" => {self._terminal.paint(title, colour)} {word}{seconds}"
            self._lines.set(f"{self._name} {step}", text, final=bool(word))
            if word:
                self._forget_output(step)
        elif status == "begun":
            self._lines.above(f"{self._name} #{step} {self._terminal.paint(title, BOLD)}")
        else:
            self._lines.above(
                f"{self._name} #{step} {title + ' ' if status == 'cached' else ''}{word}{seconds}"
            )

    def _print(self, step: str, text: str) -> None:
        if not self._live:
            for line in text.splitlines():
                self._lines.above(f"{self._name} #{step} {line}")
            return
        kept = self._output.setdefault(step, deque(maxlen=_SHOWN_OUTPUT))
        kept.extend(text.splitlines())
        for number, line in enumerate(kept):
            self._lines.set(f"{self._name} {step} output {number}", f"    {self._terminal.paint(line, DIM)}")

    def _forget_output(self, step: str) -> None:
        for number in range(len(self._output.pop(step, ()))):
            self._lines.drop(f"{self._name} {step} output {number}")
