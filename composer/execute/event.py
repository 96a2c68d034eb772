"""What an executor tells while it carries out a plan. Light: progress is shown without one too."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from composer.plan.action import Action


class Phase(StrEnum):
    """Where an action is."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    NEWS = "news"
    SKIPPED = "skipped"


class Event(NamedTuple):
    """News for whoever shows progress. `error` with FAILED, and with SKIPPED where there was one.

    `news` is what a pull or a build tells of itself, with NEWS.
    """

    phase: Phase
    action: Action
    error: str = ""
    news: Mapping[str, Any] = {}
