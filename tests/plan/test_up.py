"""`up` as text: what is planned, in which order, why."""

import pytest

from composer.errors import ComposeError, SelectionError
from composer.plan.action import Kind, Plan
from composer.plan.images import ImageOptions
from composer.plan.render import render_plan
from composer.plan.up import UpOptions, plan_up
from tests.plan.build import NOTHING, container, desired, observed, service, volume


def lines(plan: Plan) -> list[str]:
    return render_plan(plan).splitlines()


def test_a_new_project_is_made_in_dependency_order() -> None:
    plan = plan_up(desired(service("db"), service("web", "db:healthy")), NOTHING, UpOptions())
    assert lines(plan) == [
        "create network p_default  (new)",
        "create container p-db-1  (new)",
        "create container p-web-1  (new)",
        "start container p-db-1  (new)",
        "wait for service db to be healthy  (web depends on it)",
        "start container p-web-1  (new)",
    ]
    start_web = plan.actions[-1]
    assert {plan.actions[need].kind for need in start_web.needs} == {Kind.WAIT, Kind.CREATE}


def test_nothing_to_do_when_all_is_as_it_should_be() -> None:
    plan = plan_up(desired(service("web")), observed(container("web")), UpOptions())
    assert plan.empty
    assert lines(plan) == ["nothing to do"]


def test_only_what_changed_is_made_anew_and_the_cause_names_the_line() -> None:
    changed = service(
        "web",
        config_hash="other",
        fields={"environment.DEBUG": "b", "image": "i"},
        origins={"environment.DEBUG": "compose.yaml:14:7"},
    )
    state = observed(
        container("web", fields={"environment.DEBUG": "a", "image": "i"}, health=""), container("db")
    )
    plan = plan_up(desired(service("db"), changed), state, UpOptions())
    assert lines(plan) == [
        "stop container p-web-1  (environment.DEBUG changed (compose.yaml:14:7))",
        "create container p-web-1  (environment.DEBUG changed (compose.yaml:14:7))",
        "remove container p-web-1  (environment.DEBUG changed (compose.yaml:14:7))",
        "start container p-web-1  (environment.DEBUG changed (compose.yaml:14:7))",
    ]
    assert plan.actions[1].replaces == "id-web-1"


def test_an_attribute_added_and_one_removed() -> None:
    changed = service("web", config_hash="other", fields={"user": "u"}, origins={"user": "c:1:1"})
    state = observed(container("web", fields={"command": "c"}))
    cause = plan_up(desired(changed), state, UpOptions()).actions[0].cause
    assert cause == "command removed, user added (c:1:1)"


def test_another_image_behind_the_same_name() -> None:
    plan = plan_up(desired(service("web")), observed(container("web", image_id="old")), UpOptions())
    assert plan.actions[0].cause == "image img is another one now"


def test_no_recreate_and_force_recreate() -> None:
    stale = observed(container("web", config_hash="old"))
    assert plan_up(desired(service("web")), stale, UpOptions(no_recreate=True)).empty
    forced = plan_up(desired(service("web")), observed(container("web")), UpOptions(force_recreate=True))
    assert forced.actions[0].cause == "--force-recreate"


def test_force_recreate_of_one_service_leaves_what_it_depends_on() -> None:
    project = desired(service("db"), service("web", "db"))
    state = observed(container("db"), container("web"))
    plan = plan_up(project, state, UpOptions(services=("web",), force_recreate=True))
    assert {action.service for action in plan.actions} == {"web"}


def test_a_stopped_container_is_started_again() -> None:
    plan = plan_up(desired(service("web")), observed(container("web", status="exited")), UpOptions())
    assert lines(plan) == ["start container p-web-1  (it is exited)"]


def test_scale_up_fills_gaps_and_scale_down_takes_the_newest() -> None:
    up = plan_up(
        desired(service("web", scale=3)), observed(container("web", 1), container("web", 3)), UpOptions()
    )
    assert [action.name for action in up.actions if action.kind is Kind.CREATE] == ["p-web-2"]
    down = plan_up(
        desired(service("web")),
        observed(container("web", 1), container("web", 2), container("web", 3)),
        UpOptions(),
    )
    assert [action.name for action in down.actions if action.kind is Kind.REMOVE] == ["p-web-3", "p-web-2"]


def test_scale_option_wins() -> None:
    plan = plan_up(desired(service("web")), NOTHING, UpOptions(scale={"web": 2}))
    assert sum(action.kind is Kind.CREATE for action in plan.actions) == 2


def test_no_deps_starts_only_the_named_service() -> None:
    project = desired(service("db"), service("web", "db:healthy"))
    plan = plan_up(project, NOTHING, UpOptions(services=("web",), no_deps=True))
    assert {action.service for action in plan.actions if action.service} == {"web"}


def test_a_healthy_dependency_is_not_waited_for() -> None:
    project = desired(service("db"), service("web", "db:healthy"))
    plan = plan_up(project, observed(container("db", health="healthy")), UpOptions())
    assert all(action.kind is not Kind.WAIT for action in plan.actions)


def test_orphans_are_warned_about_or_removed() -> None:
    state = observed(container("web"), container("gone"))
    kept = plan_up(desired(service("web")), state, UpOptions())
    assert kept.empty
    assert "p-gone-1" in kept.warnings[0]
    removed = plan_up(desired(service("web")), state, UpOptions(remove_orphans=True))
    assert lines(removed) == ["stop container p-gone-1  (orphan)", "remove container p-gone-1  (orphan)"]


def test_services_of_inactive_profiles_are_no_orphans() -> None:
    plan = plan_up(
        desired(service("web"), inactive=("gone",)),
        observed(container("web"), container("gone")),
        UpOptions(),
    )
    assert plan.empty
    assert not plan.warnings


def test_a_changed_network_is_made_anew_with_all_its_containers() -> None:
    state = observed(container("web"), networks={"p_default": "n0"})
    assert [action.kind for action in plan_up(desired(service("web")), state, UpOptions()).actions] == [
        Kind.STOP,
        Kind.REMOVE_NETWORK,
        Kind.CREATE_NETWORK,
        Kind.CREATE,
        Kind.REMOVE,
        Kind.START,
    ]


def test_a_changed_volume_is_kept_with_a_warning() -> None:
    web = service(
        "web", spec={"image": "img", "mounts": [{"type": "volume", "source": "p_data", "target": "/d"}]}
    )
    plan = plan_up(
        desired(web, volumes=(volume("data", "v2"),)),
        observed(container("web"), volumes={"p_data": "v1"}),
        UpOptions(),
    )
    assert plan.empty
    assert "p_data" in plan.warnings[0]


def test_restart_true_takes_dependents_along() -> None:
    dependency = service("web")._replace(
        depends_on=(service("x", "db").depends_on[0]._replace(restart=True),)
    )
    state = observed(container("db", config_hash="old"), container("web"))
    plan = plan_up(desired(service("db"), dependency), state, UpOptions())
    assert "stop container p-web-1  (db, on which it depends, is made anew)" in lines(plan)


def test_leftovers_of_an_interrupted_command_are_removed() -> None:
    state = observed(container("web"), container("web", 7, leftover=True, status="exited"))
    assert lines(plan_up(desired(service("web")), state, UpOptions())) == [
        "remove container p-web-7  (left by an interrupted command)"
    ]


def test_a_missing_image_is_refused_before_anything() -> None:
    for options in (ImageOptions("never"), ImageOptions(ready=True)):
        with pytest.raises(ComposeError, match="no image nope"):
            plan_up(desired(service("web", image="nope")), NOTHING, UpOptions(images=options))


def test_an_unknown_service_is_refused() -> None:
    with pytest.raises(SelectionError, match="no such service: nope"):
        plan_up(desired(service("web")), NOTHING, UpOptions(services=("nope",)))


def test_container_name_excludes_scale() -> None:
    with pytest.raises(ComposeError, match="container_name"):
        plan_up(desired(service("web", container_name="one", scale=2)), NOTHING, UpOptions())


def test_wait_ends_with_one_wait_per_service() -> None:
    plan = plan_up(desired(service("a"), service("b", "a")), NOTHING, UpOptions(wait=True))
    assert [action.name for action in plan.actions if action.kind is Kind.WAIT] == ["a", "b"]
