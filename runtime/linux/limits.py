"""Resource limits this process can hand on (getrlimit(2))."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.linux import syscalls
from runtime.linux.capabilities import BITS


def load_hard_limits() -> dict[str, int]:
    """RLIMIT_NOFILE and so on -> the hard limit that cannot be exceeded; unlimited ones are left out.

    Empty with CAP_SYS_RESOURCE, which can raise any of them.
    """
    if syscalls.capget()[0] >> BITS["CAP_SYS_RESOURCE"] & 1:
        return {}
    limits: dict[str, int] = {}
    for name in dir(resource):
        if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE":
            hard = resource.getrlimit(getattr(resource, name))[1]
            if hard != resource.RLIM_INFINITY:
                limits[name] = hard
    return limits


def allow_many_files() -> int:
    """Let this process open as many files as its hard limit allows; the soft limit that it had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def limit_files(number: int) -> None:
    """Set the soft limit that `allow_many_files` has returned again; files that are open stay so."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@contextmanager
def many_files() -> Iterator[None]:
    """As many files as the hard limit allows, for a while."""
    soft = allow_many_files()
    try:
        yield
    finally:
        limit_files(soft)
