"""What the terminal can do: colours, width."""

import os
from typing import TextIO

RESET = "\033[0m"
BOLD = "\033[1m"
RED = "\033[31m"
GREEN = "\033[32m"
YELLOW = "\033[33m"
DIM = "\033[2m"

# The colours of log prefixes, in the order in which containers get them.
PREFIX_COLOURS = (
    "\033[36m",
    "\033[33m",
    "\033[32m",
    "\033[35m",
    "\033[34m",
    "\033[96m",
    "\033[93m",
    "\033[92m",
)


class Terminal:
    """One output stream; `colour` tells whether escapes may be written to it, `live` whether lines may change in
    place, `json` whether progress is told as JSON objects.
    """

    __slots__ = ("colour", "json", "live", "stream")

    def __init__(self, stream: TextIO, ansi: str = "auto", progress: str = "auto") -> None:
        """`ansi`: "auto" (a terminal, and neither NO_COLOR nor TERM=dumb), "always" or "never".

        `progress`: "auto" (in place on a terminal), "tty" (in place), "plain" (line by line), "json" or "quiet".
        """
        self.stream = stream
        able = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.live = progress == "tty" or (progress == "auto" and able)
        self.json = progress == "json"
        if ansi == "auto":
            self.colour = (
                stream.isatty()
                and not os.environ.get("NO_COLOR")
                and os.environ.get("TERM", "dumb") != "dumb"
            )
        else:
            self.colour = ansi == "always"
        if self.json:
            self.colour = False

    def paint(self, text: str, colour: str) -> str:
        """`text` in a colour, where colours may be."""
        return f"{colour}{text}{RESET}" if self.colour else text

    def line(self, text: str) -> None:
        """Write one line and flush it."""
        self.stream.write(f"{text}\n")
        self.stream.flush()
