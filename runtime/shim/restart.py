"""Whether and when a container's program is started again (Docker's restart policies). Pure."""

from typing import NamedTuple

from runtime.oci.container_spec import RestartPolicy

_FIRST_DELAY_NS = 100_000_000
_LONGEST_DELAY_NS = 60_000_000_000
_STABLE_NS = 10_000_000_000


class Backoff(NamedTuple):
    """How often the program was restarted, and the delay that was used last (ns).

    `attempts` are those restarts that `max_retries` bounds: since a run as long as the policy's window.
    """

    restarts: int = 0
    delay_ns: int = 0
    attempts: int = 0


def plan_restart(
    policy: RestartPolicy, backoff: Backoff, *, exit_code: int, uptime_ns: int, unhealthy: bool = False
) -> Backoff | None:
    """The next wait, or None if the program stays down.

    The delay doubles from 100 ms to one minute and starts anew once the program has run for 10 s. A program
    that was stopped by the user is never asked about here. One that was ended because it was `unhealthy`, and is to be
    restarted then, is started again whatever the policy says.
    """
    if not unhealthy and (policy.name == "no" or (policy.name == "on-failure" and exit_code == 0)):
        return None
    attempts = 0 if policy.window_ns and uptime_ns >= policy.window_ns else backoff.attempts
    if not unhealthy and policy.max_retries and attempts >= policy.max_retries:
        return None
    if policy.delay_ns:
        delay_ns = policy.delay_ns
    elif uptime_ns >= _STABLE_NS or not backoff.delay_ns:
        delay_ns = _FIRST_DELAY_NS
    else:
        delay_ns = min(backoff.delay_ns * 2, _LONGEST_DELAY_NS)
    return Backoff(backoff.restarts + 1, delay_ns, attempts if unhealthy else attempts + 1)
