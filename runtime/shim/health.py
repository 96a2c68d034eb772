"""The health check's rules (Docker's HEALTHCHECK): what to run when, and what a result means. Pure."""

from typing import NamedTuple

from runtime.oci.container_spec import Healthcheck
from runtime.shim.state import HEALTH_HEALTHY, HEALTH_STARTING, HEALTH_UNHEALTHY

_SECOND_NS = 1_000_000_000
# What is kept of a probe's output, and how many results are; Docker's limits.
OUTPUT_BYTES = 4096
KEPT_RESULTS = 5


class Probe(NamedTuple):
    """A health check with every default filled in. Times in ns."""

    args: tuple[str, ...]
    interval_ns: int
    timeout_ns: int
    retries: int
    start_period_ns: int
    start_interval_ns: int


class Health(NamedTuple):
    """What is known of a container's health."""

    status: str = HEALTH_STARTING
    failing_streak: int = 0


def plan_probe(check: Healthcheck | None, shell: tuple[str, ...] = ("/bin/sh", "-c")) -> Probe | None:
    """The probe a health check asks for; None if there is none or it is switched off."""
    if check is None or not check.test or check.test[0] == "NONE":
        return None
    kind, *words = check.test
    args = (*shell, " ".join(words)) if kind == "CMD-SHELL" else tuple(words)
    return Probe(
        args=args,
        interval_ns=check.interval_ns or 30 * _SECOND_NS,
        timeout_ns=check.timeout_ns or 30 * _SECOND_NS,
        retries=check.retries or 3,
        start_period_ns=check.start_period_ns,
        start_interval_ns=check.start_interval_ns or 5 * _SECOND_NS,
    )


def next_delay_ns(probe: Probe, health: Health, *, uptime_ns: int) -> int:
    """How long to wait before the next run: start_interval within the start period, interval afterwards."""
    if probe.start_period_ns and health.status == HEALTH_STARTING and uptime_ns < probe.start_period_ns:
        return min(probe.start_interval_ns, probe.interval_ns)
    return probe.interval_ns


def judge(probe: Probe, health: Health, *, passed: bool, uptime_ns: int) -> Health:
    """The health after one more result. Failures within the start period do not count."""
    if passed:
        return Health(HEALTH_HEALTHY, 0)
    if health.status == HEALTH_STARTING and uptime_ns < probe.start_period_ns:
        return health
    streak = health.failing_streak + 1
    return Health(HEALTH_UNHEALTHY if streak >= probe.retries else health.status, streak)
