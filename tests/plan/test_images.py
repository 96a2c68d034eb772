"""Which images are pulled and built before containers are made."""

import pytest

from composer.errors import ComposeError
from composer.plan.action import PlanBuilder
from composer.plan.build import BuildOptions, plan_build
from composer.plan.desired import DesiredService
from composer.plan.images import ImageOptions, plan_images, refresh_ns
from composer.plan.lifecycle import DownOptions, plan_down
from composer.plan.observed import ObservedState
from composer.plan.render import render_plan
from composer.plan.transfer import TransferOptions, plan_pull, plan_push
from tests.plan.build import desired, service

DAY = 86_400_000_000_000
THERE = ObservedState(images={"here": "id", "p-built": "id"}, pulled_ns={"here": 0}, now_ns=2 * DAY)


def built(name: str, image: str = "", **details: object) -> DesiredService:
    build = {"context": "/c", "names": [image or f"p-{name}"], **details}
    return service(name, image=image or f"p-{name}", build=build)


def plan(*services: DesiredService, **options: object) -> list[str]:
    builder = PlanBuilder("p")
    plan_images(builder, services, THERE, ImageOptions(**options))  # type: ignore[arg-type]
    text = render_plan(builder.plan())
    return [] if text == "nothing to do" else text.splitlines()


@pytest.mark.parametrize(
    ("image", "policy", "expected"),
    [
        ("here", "", []),
        ("here", "missing", []),
        ("here", "if_not_present", []),
        ("here", "never", []),
        ("here", "always", ["pull image here  (pull_policy: always)"]),
        ("here", "daily", ["pull image here  (pull_policy: daily)"]),
        ("here", "weekly", []),
        ("here", "every_47h", ["pull image here  (pull_policy: every_47h)"]),
        ("here", "every_1w2d", []),
        ("gone", "", ["pull image gone  (it is missing)"]),
        ("gone", "weekly", ["pull image gone  (it is missing)"]),
        ("host:/", "", None),
    ],
)
def test_policies(image: str, policy: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(ComposeError, match="no image"):
            plan(service("a", image=image))
    else:
        assert plan(service("a", image=image, pull_policy=policy)) == expected


def test_what_can_be_built_is_pulled_first_and_built_if_that_fails() -> None:
    assert plan(built("new", "named")) == [
        "pull image named  (it is missing)",
        "build image named  (if it can't be pulled)",
    ]
    assert plan(built("new")) == ["build image p-new  (it is missing)"]
    assert plan(built("built")) == []
    assert plan(built("built"), build=True) == ["build image p-built  (--build)"]
    assert plan(built("built"), pull="build") == ["build image p-built  (pull_policy: build)"]
    assert plan(built("new", "named"), no_build=True) == ["pull image named  (it is missing)"]
    assert plan(built("new", "named"), pull="never") == ["build image named  (it is missing)"]
    assert plan(built("new"), pull="never") == ["build image p-new  (it is missing)"]


def test_one_pull_for_two_services() -> None:
    assert len(plan(service("a", image="gone"), service("b", image="gone"))) == 1


def test_unknown_policy() -> None:
    with pytest.raises(ComposeError, match="not known"):
        plan(service("a", image="here", pull_policy="sometimes"))
    assert refresh_ns("every_1d12h") == 36 * 3600 * 10**9


def test_images_that_others_are_built_with_come_first() -> None:
    first = built("a", additional_contexts={"x": "local-image://p-b"})
    assert plan(first, built("b"), build=True) == ["build image p-b  (--build)", "build image p-a  (--build)"]
    builder = PlanBuilder("p")
    plan_build(builder, desired(first, built("b")), BuildOptions(services=("a",), push=True))
    actions = builder.plan().actions
    assert [(action.kind.value, action.name, action.needs) for action in actions] == [
        ("build image", "p-b", ()),
        ("push image", "p-b", (0,)),
        ("build image", "p-a", (0,)),
        ("push image", "p-a", (2,)),
    ]
    with pytest.raises(ComposeError, match="build with each other"):
        plan(first, built("b", additional_contexts={"x": "local-image://p-a"}), build=True)


def test_pull_and_push() -> None:
    project = desired(
        service("a", image="here"), built("b"), built("c", "named"), service("d", image="host:/")
    )
    builder = PlanBuilder("p")
    plan_pull(builder, project, THERE, TransferOptions())
    assert [action.name for action in builder.plan().actions] == ["here", "named"]
    builder = PlanBuilder("p")
    plan_push(builder, project, TransferOptions())
    assert [action.name for action in builder.plan().actions] == ["p-b", "named"]


def test_down_takes_images_along() -> None:
    project = desired(service("a", image="here"), built("built"))
    text = render_plan(plan_down(project, THERE, DownOptions(rmi="local")))
    assert "remove image p-built" in text and "here" not in text
    assert "remove image here" in render_plan(plan_down(project, THERE, DownOptions(rmi="all")))
