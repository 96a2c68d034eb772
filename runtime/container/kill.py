"""Signals by name and number, and sending one to a container's first process."""

import signal

from runtime.errors import InvalidError
from runtime.linux.pidfd import send_signal


def parse_signal(text: str) -> int:
    """A signal as users write it: "SIGTERM", "term", "15", "SIGRTMIN+3". Raises InvalidError."""
    name = text.strip().upper()
    if name.isdigit():
        number = int(name)
        if 0 < number < signal.NSIG:
            return number
    else:
        base, sign, offset = name.partition("+")
        if not sign:
            base, sign, offset = name.partition("-")
        base = base if base.startswith("SIG") else f"SIG{base}"
        # Not signal.Signals: it would load enum, for a command that is called often.
        found = None if base.startswith("SIG_") else getattr(signal, base, None)
        if found is not None and not sign:
            return int(found)
        if found is not None and base in ("SIGRTMIN", "SIGRTMAX") and offset.isdigit():
            number = int(found) + (int(offset) if sign == "+" else -int(offset))
            if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
                return number
    raise InvalidError(
        f"unknown signal {text!r}", hint="give a name such as SIGTERM or a number from 1 to 64"
    )


def kill_container(pidfd: int, number: int) -> bool:
    """Send a signal to the first process by its pidfd; False if it has ended already."""
    return send_signal(pidfd, number)
