"""Hooks, steps before a start and rolling updates, as text."""

import pytest

from composer.errors import ComposeError
from composer.plan.desired import UpdatePolicy
from composer.plan.lifecycle import plan_resume, plan_stop
from composer.plan.observed import CREATED, EXITED
from composer.plan.render import render_plan
from composer.plan.rolling import plan_rollback
from composer.plan.up import UpOptions, plan_up
from tests.plan.build import NOTHING, container, desired, observed, service

HOOK = {"command": ["sh", "-c", "echo hi"]}
STEP = {"spec": {"image": "img", "command": ["migrate"]}, "per_replica": False}


def lines(plan):
    return render_plan(plan).splitlines()


def test_dependents_wait_for_hooks() -> None:
    db = service("db", spec={"image": "img", "post_start": [HOOK]})
    plan = plan_up(desired(db, service("web", "db")), NOTHING, UpOptions())
    hook = next(action for action in plan.actions if action.kind.value.startswith("run hook"))
    assert hook.cause == "post_start[0]: sh -c 'echo hi'"
    assert hook.id in plan.actions[-1].needs


def test_a_stop_waits_for_its_hooks_and_what_has_ended_has_none() -> None:
    state = observed(container("web", pre_stop=(HOOK,)), container("job", status=EXITED, pre_stop=(HOOK,)))
    assert lines(plan_stop(desired(service("web"), service("job")), state)) == [
        "run hook in container p-web-1  (pre_stop[0]: sh -c 'echo hi')",
        "stop container p-web-1  (stop)",
    ]


@pytest.mark.parametrize(
    ("containers", "steps"),
    [
        ((), 1),
        ((container("web", status=CREATED),), 1),
        ((container("web", status=EXITED),), 0),
        ((container("web", config_hash="old"),), 1),
    ],
)
def test_steps_run_until_a_container_has_run_after_them(containers, steps) -> None:
    plan = plan_up(desired(service("web", pre_start=(STEP,))), observed(*containers), UpOptions())
    assert sum("wait for service p-web-pre_start-0" in line for line in lines(plan)) == steps


def test_scaling_up_does_not_run_them_again_unless_they_are_per_replica() -> None:
    steps = (STEP, {**STEP, "per_replica": True})
    plan = plan_up(desired(service("web", scale=2, pre_start=steps)), observed(container("web")), UpOptions())
    made = [line for line in lines(plan) if line.startswith("create")]
    assert made == [
        "create container p-web-2  (new)",
        "create container p-web-2-pre_start-1  (pre_start[1]: migrate)",
    ]


def _rolling(**policy):
    web = service("web", scale=2, config_hash="new", update=UpdatePolicy(**policy))
    return desired(web), observed(container("web"), container("web", 2))


def test_a_rolling_update_takes_one_after_the_other() -> None:
    kinds = [line.split("  ")[0] for line in lines(plan_up(*_rolling(), UpOptions()))]
    one = ["stop container p-web-1", "create container p-web-1", "remove container p-web-1", "start container p-web-1",
           "wait for service web to be updated"]  # fmt: skip
    assert kinds == [*one, *(line.replace("-1", "-2") for line in one)]


def test_the_new_one_first_gets_a_number_of_its_own() -> None:
    kinds = [
        line.split("  ")[0]
        for line in lines(plan_up(*_rolling(start_first=True, parallelism=0), UpOptions()))
    ]
    assert kinds == [
        "create container p-web-3", "create container p-web-4", "start container p-web-3", "start container p-web-4",
        "wait for service web to be updated",
        "stop container p-web-1", "remove container p-web-1", "stop container p-web-2", "remove container p-web-2",
    ]  # fmt: skip


def test_two_with_one_host_port_can_not_run_side_by_side() -> None:
    wanted, state = _rolling(start_first=True)
    spec = {**wanted.services[0].spec, "ports": [{"container_port": 80, "host_port": 8080}]}
    web = wanted.services[0]._replace(spec=spec)
    with pytest.raises(ComposeError, match="fixed host port"):
        plan_up(desired(web), state, UpOptions())


def test_a_rollback_takes_away_what_is_new_and_brings_back_what_was() -> None:
    before = observed(container("web", spec_text='{"image": "img"}'))
    now = observed(container("web", id="new"), container("web", 2))
    plan = plan_rollback(desired(service("web")), now, before, ["web"])
    assert [line.split("  ")[0] for line in lines(plan)] == [
        "stop container p-web-2", "remove container p-web-2",
        "stop container p-web-1", "create container p-web-1", "remove container p-web-1", "start container p-web-1",
    ]  # fmt: skip
    assert plan.actions[3].replaces == "new"


def test_a_rollback_with_the_old_one_first_goes_batch_by_batch() -> None:
    old = [container("web", number, spec_text='{"image": "img"}') for number in (1, 2, 3)]
    # Two were updated before the third failed.
    now = observed(*(container("web", number) for number in (3, 4, 5, 6)))
    web = service("web", rollback=UpdatePolicy(start_first=True, delay_ns=5))
    plan = plan_rollback(desired(web), now, observed(*old), ["web"])
    assert [line.split("  ")[0] for line in lines(plan)] == [
        "create container p-web-1", "start container p-web-1", "wait for service web to be updated",
        "stop container p-web-4", "remove container p-web-4",
        "create container p-web-2", "start container p-web-2", "wait for service web to be updated",
        "stop container p-web-5", "remove container p-web-5", "stop container p-web-6", "remove container p-web-6",
    ]  # fmt: skip
    assert [action.spec["delay_ns"] for action in plan.actions if action.condition == "updated"] == [5, 0]


def test_after_a_boot_finished_jobs_hold_nobody_up() -> None:
    wanted = desired(service("job"), service("web", "job:completed_successfully"))
    state = observed(container("job", status=EXITED, exit_code=1), container("web", status=EXITED))
    assert lines(plan_resume(wanted, state, frozenset(("id-web-1",)))) == [
        "start container p-web-1  (resume)"
    ]


def test_further_replicas_come_after_the_update_and_steps_run_once() -> None:
    web = service("web", scale=2, config_hash="new", update=UpdatePolicy(), pre_start=(STEP,))
    left = container("web", 9, status=EXITED, oneoff=True, hook="pre_start")
    left = left._replace(id="left", name="p-web-pre_start-0")
    plan = plan_up(desired(web), observed(container("web"), left), UpOptions())
    kinds = [line.split("  ")[0] for line in lines(plan)]
    assert kinds.count("create container p-web-pre_start-0") == 1
    assert kinds.count("remove container p-web-pre_start-0") == 2, "the old one and, at the end, the new one"
    assert kinds[-1] == "start container p-web-2"
    updated = next(action.id for action in plan.actions if action.condition == "updated")
    assert updated in plan.actions[-1].needs
