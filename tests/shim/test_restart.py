import pytest

from runtime.oci.container_spec import RestartPolicy
from runtime.shim.restart import Backoff, plan_restart

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        (RestartPolicy("no"), 1, False),
        (RestartPolicy("always"), 0, True),
        (RestartPolicy("unless-stopped"), 0, True),
        (RestartPolicy("on-failure"), 0, False),
        (RestartPolicy("on-failure"), 3, True),
    ],
)
def test_which_policy_restarts(policy: RestartPolicy, code: int, again: bool) -> None:
    assert (plan_restart(policy, Backoff(), exit_code=code, uptime_ns=0) is not None) is again


def test_delay_doubles_to_a_minute_and_starts_anew_after_ten_seconds() -> None:
    policy, backoff, delays = RestartPolicy("always"), Backoff(), []
    for _ in range(12):
        after = plan_restart(policy, backoff, exit_code=1, uptime_ns=0)
        assert after is not None
        backoff = after
        delays.append(backoff.delay_ns / SECOND)
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 60
    fresh = plan_restart(policy, backoff, exit_code=1, uptime_ns=10 * SECOND)
    assert fresh == Backoff(13, SECOND // 10, 13)


@pytest.mark.parametrize("name", ["on-failure", "always"])
def test_it_gives_up_after_its_retries(name: str) -> None:
    policy = RestartPolicy(name, max_retries=2)
    assert plan_restart(policy, Backoff(2, 1, 2), exit_code=1, uptime_ns=0) is None
    assert plan_restart(policy, Backoff(1, 1, 1), exit_code=1, uptime_ns=0) is not None


def test_a_run_as_long_as_the_window_makes_retries_count_anew() -> None:
    policy = RestartPolicy("on-failure", max_retries=2, window_ns=5 * SECOND)
    tired = Backoff(2, 1, 2)
    assert plan_restart(policy, tired, exit_code=1, uptime_ns=4 * SECOND) is None
    again = plan_restart(policy, tired, exit_code=1, uptime_ns=5 * SECOND)
    assert again is not None and (again.restarts, again.attempts) == (3, 1)


def test_an_unhealthy_program_is_restarted_whatever_the_policy() -> None:
    again = plan_restart(RestartPolicy(), Backoff(), exit_code=0, uptime_ns=0, unhealthy=True)
    assert again is not None and again.attempts == 0


def test_a_fixed_delay_is_kept() -> None:
    policy = RestartPolicy("always", delay_ns=5 * SECOND)
    assert plan_restart(policy, Backoff(3, 1), exit_code=1, uptime_ns=0) == Backoff(4, 5 * SECOND, 1)
