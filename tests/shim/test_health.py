from runtime.oci.container_spec import Healthcheck
from runtime.shim.health import Health, Probe, judge, next_delay_ns, plan_probe

SECOND = 1_000_000_000
PROBE = Probe(("true",), 30 * SECOND, SECOND, 3, 10 * SECOND, SECOND)


def test_forms_and_defaults() -> None:
    probe = plan_probe(Healthcheck(("CMD-SHELL", "curl x || exit 1")))
    assert probe is not None
    assert probe.args == ("/bin/sh", "-c", "curl x || exit 1")
    assert (probe.interval_ns, probe.timeout_ns, probe.retries) == (30 * SECOND, 30 * SECOND, 3)
    assert plan_probe(Healthcheck(("NONE",))) is None
    assert plan_probe(None) is None


def test_failures_in_the_start_period_do_not_count() -> None:
    health = Health()
    for _ in range(9):
        health = judge(PROBE, health, passed=False, uptime_ns=5 * SECOND)
    assert health == Health("starting", 0)


def test_unhealthy_after_retries_and_healthy_at_the_first_success() -> None:
    health = Health()
    for _ in range(3):
        health = judge(PROBE, health, passed=False, uptime_ns=20 * SECOND)
    assert health == Health("unhealthy", 3)
    assert judge(PROBE, health, passed=True, uptime_ns=21 * SECOND) == Health("healthy", 0)


def test_start_interval_only_within_the_start_period() -> None:
    assert next_delay_ns(PROBE, Health(), uptime_ns=SECOND) == SECOND
    assert next_delay_ns(PROBE, Health("healthy"), uptime_ns=SECOND) == 30 * SECOND
    assert next_delay_ns(PROBE, Health(), uptime_ns=11 * SECOND) == 30 * SECOND
