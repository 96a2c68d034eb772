"""Process descriptors: a handle that cannot come to mean another process (pidfd_open(2))."""

import os
import select
import signal

from runtime.linux.procfs import start_time


def open_checked(pid: int, expected_start_time: int) -> int:
    """A pidfd of `pid` if it still is the process with that start time (clock ticks since boot).

    Raises ProcessLookupError if the process is gone or the number belongs to another one now.
    """
    fd = os.pidfd_open(pid)
    try:
        # Read after opening: the descriptor pins the process, so a match now means the match is its.
        if start_time(pid) != expected_start_time:
            raise ProcessLookupError(f"process {pid} is not the one recorded")
    except BaseException:
        os.close(fd)
        raise
    return fd


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal; False if the process has already ended (pidfd_send_signal(2))."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def has_exited(pidfd: int, timeout_ms: int = 0) -> bool:
    """Whether the process has ended, waiting up to `timeout_ms` milliseconds (-1 = for ever)."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(timeout_ms))
