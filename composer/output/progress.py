"""What an executor does, line by line, as it happens."""

import json

from composer.execute.event import Event, Phase
from composer.output.build import BuildProgress
from composer.output.terminal import DIM, GREEN, RED, YELLOW, Terminal
from composer.output.transfer import LiveLines, TransferProgress
from composer.plan.action import DOWN, Action, Kind
from composer.plan.desired import COMPLETED, HEALTHY

# Kind -> what kind of thing it is about, the word while it goes on, the word when it is done.
_WORDS = {
    Kind.PULL: ("Image", "Pulling", "Pulled"),
    Kind.BUILD: ("Image", "Building", "Built"),
    Kind.PUSH: ("Image", "Pushing", "Pushed"),
    Kind.REMOVE_IMAGE: ("Image", "Removing", "Removed"),
    Kind.CREATE_NETWORK: ("Network", "Creating", "Created"),
    Kind.REMOVE_NETWORK: ("Network", "Removing", "Removed"),
    Kind.CREATE_VOLUME: ("Volume", "Creating", "Created"),
    Kind.REMOVE_VOLUME: ("Volume", "Removing", "Removed"),
    Kind.CREATE: ("Container", "Creating", "Created"),
    Kind.START: ("Container", "Starting", "Started"),
    Kind.STOP: ("Container", "Stopping", "Stopped"),
    Kind.KILL: ("Container", "Killing", "Killed"),
    Kind.PAUSE: ("Container", "Pausing", "Paused"),
    Kind.UNPAUSE: ("Container", "Unpausing", "Unpaused"),
    Kind.REMOVE: ("Container", "Removing", "Removed"),
    Kind.WAIT: ("Service", "Waiting", "Ready"),
    Kind.HOOK: ("Hook of", "Running", "Completed"),
    Kind.PROVIDE: ("Service", "Creating", "Created"),
}
_OBVIOUS_CAUSES = frozenset(
    ("new", "down", "stop", "start", "restart", "kill", "pause", "unpause", "rm", "--wait", "build", "push")
)


class Progress:
    """Writes to one terminal (stderr); `quiet` shows failures only."""

    def __init__(self, terminal: Terminal, *, quiet: bool = False, plain: bool = False) -> None:
        self._terminal = terminal
        self._plain = plain
        self._quiet = quiet
        self._lines = LiveLines(terminal)
        self._transfers: dict[int, TransferProgress | BuildProgress] = {}

    def close(self) -> None:
        """What is written next comes below what is drawn."""
        self._lines.close()

    def __call__(self, event: Event) -> None:
        action = event.action
        if event.phase is Phase.NEWS:
            self._tell(event)
            return
        if event.phase is Phase.SKIPPED:
            if event.error and action.kind is Kind.PULL and not self._quiet:
                self._write(action, "Skipped", f"{event.error} (it is built instead)", YELLOW)
            return
        if event.phase is Phase.FAILED:
            self._write(action, "Error", event.error, RED)
        elif self._quiet or (action.kind is Kind.REMOVE and not self._is_visible_removal(action)):
            return
        elif event.phase is Phase.BEGUN:
            self._write(action, self._begun(action), self._cause(action), DIM)
        else:
            self._write(action, self._done(action), "", GREEN)

    def _tell(self, event: Event) -> None:
        action = event.action
        if action.kind in (Kind.HOOK, Kind.PROVIDE):
            if not self._quiet:
                self._lines.above(f"   {action.name}: {event.news['line']}")
            return
        if action.id not in self._transfers:
            self._transfers[action.id] = (
                BuildProgress(self._terminal, self._lines, action.name, quiet=self._quiet, plain=self._plain)
                if action.kind is Kind.BUILD
                else TransferProgress(self._terminal, self._lines, action.name, quiet=self._quiet)
            )
        self._transfers[action.id](event.news)

    @staticmethod
    def _is_visible_removal(action: Action) -> bool:
        # The old half of a recreated container goes without a line of its own.
        return not action.replaced

    @staticmethod
    def _begun(action: Action) -> str:
        if action.kind is Kind.PROVIDE and action.condition == DOWN:
            return "Removing"
        return "Recreating" if action.kind is Kind.CREATE and action.replaces else _WORDS[action.kind][1]

    @staticmethod
    def _done(action: Action) -> str:
        if action.kind is Kind.CREATE and action.replaces:
            return "Recreated"
        if action.kind is Kind.PROVIDE and action.condition == DOWN:
            return "Removed"
        if action.kind is Kind.WAIT:
            return {HEALTHY: "Healthy", COMPLETED: "Completed"}.get(action.condition, "Ready")
        return _WORDS[action.kind][2]

    @staticmethod
    def _cause(action: Action) -> str:
        return "" if action.cause in _OBVIOUS_CAUSES else action.cause

    def _write(self, action: Action, word: str, more: str, colour: str) -> None:
        if self._terminal.json:
            event = {"id": f"{_WORDS[action.kind][0]} {action.name}", "status": word}
            self._terminal.line(json.dumps({**event, "text": more} if more else event))
            return
        text = f" {_WORDS[action.kind][0]} {action.name}  {self._terminal.paint(word, colour)}"
        self._lines.above(f"{text}  {more}" if more else text)
