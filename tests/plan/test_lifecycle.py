"""`down`, `stop`, `start`, `restart`, `kill` as text."""

import pytest

from composer.errors import SelectionError
from composer.plan.action import Kind
from composer.plan.lifecycle import DownOptions, plan_down, plan_kill, plan_restart, plan_start, plan_stop
from composer.plan.render import plan_to_json, render_plan
from tests.plan.build import container, desired, observed, service

PROJECT = desired(service("db"), service("web", "db"), all_volumes=("p_data",))


def test_down_stops_dependents_first_and_removes_networks_last() -> None:
    plan = plan_down(PROJECT, observed(container("db"), container("web")), DownOptions())
    assert render_plan(plan).splitlines() == [
        "stop container p-web-1  (down)",
        "stop container p-db-1  (down)",
        "remove container p-db-1  (down)",
        "remove container p-web-1  (down)",
        "remove network p_default  (down)",
    ]
    assert plan.actions[1].needs == (0,)


def test_down_keeps_volumes_unless_asked() -> None:
    state = observed(volumes={"p_data": "v"})
    assert all(
        action.kind is not Kind.REMOVE_VOLUME for action in plan_down(PROJECT, state, DownOptions()).actions
    )
    removal = plan_down(PROJECT, state, DownOptions(volumes=True)).actions[-1]
    assert removal.kind is Kind.REMOVE_VOLUME
    assert removal.destructive


def test_down_of_one_service_leaves_the_network() -> None:
    plan = plan_down(PROJECT, observed(container("db"), container("web")), DownOptions(services=("web",)))
    assert [action.name for action in plan.actions] == ["p-web-1", "p-web-1"]


def test_down_leaves_orphans_and_their_network_with_a_warning() -> None:
    plan = plan_down(PROJECT, observed(container("gone")), DownOptions())
    assert not plan.actions
    assert "p_default" in " ".join(plan.warnings)
    assert plan_down(PROJECT, observed(container("gone")), DownOptions(remove_orphans=True)).actions[
        -1
    ].kind is (Kind.REMOVE_NETWORK)


def test_stop_order_reaches_through_a_service_that_does_not_run() -> None:
    project = desired(service("a"), service("b", "a"), service("c", "b"))
    state = observed(container("a"), container("b", status="exited"), container("c"))
    plan = plan_stop(project, state)
    assert [action.name for action in plan.actions] == ["p-c-1", "p-a-1"]
    assert plan.actions[1].needs == (0,)


def test_start_starts_what_is_stopped_in_order() -> None:
    state = observed(container("db", status="exited"), container("web", status="exited"))
    plan = plan_start(PROJECT, state)
    assert [action.name for action in plan.actions] == ["p-db-1", "p-web-1"]
    assert plan.actions[1].needs == (0,)


def test_start_of_a_service_without_container_is_refused() -> None:
    with pytest.raises(SelectionError):
        plan_start(PROJECT, observed(), ("web",))


def test_restart_stops_and_starts() -> None:
    plan = plan_restart(PROJECT, observed(container("db"), container("web")), ("web",))
    assert [action.kind for action in plan.actions] == [Kind.STOP, Kind.START]


def test_kill_only_touches_what_runs() -> None:
    plan = plan_kill(PROJECT, observed(container("db"), container("web", status="exited")), (), 9)
    assert [(action.kind, action.number) for action in plan.actions] == [(Kind.KILL, 9)]


def test_json_has_ids_and_causes() -> None:
    document = plan_to_json(plan_stop(PROJECT, observed(container("db"))))
    assert document["actions"][0]["kind"] == "stop container"
    assert document["actions"][0]["cause"] == "stop"
