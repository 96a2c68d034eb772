"""Names of signals, as Compose files and command lines write them. Pure."""

import signal

from runtime.errors import InvalidError


def parse_signal(text: str) -> int:
    """The number of a signal given as "SIGTERM", "term", "15" or "SIGRTMIN+3". Raises InvalidError."""
    word = text.strip().upper()
    if word.isdigit() and 1 <= int(word) <= 64:
        return int(word)
    name = word if word.startswith("SIG") else f"SIG{word}"
    base, _, offset = name.partition("+")
    numbers = {member.name: member.value for member in signal.Signals}
    if base in numbers and (not offset or (base == "SIGRTMIN" and offset.isdigit())):
        return numbers[base] + int(offset or 0)
    raise InvalidError(
        f"{text!r} is not a signal", hint="use a name such as SIGTERM or a number from 1 to 64"
    )
