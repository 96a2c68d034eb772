"""Resource limits this process can hand on (getrlimit(2))."""

import resource

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
