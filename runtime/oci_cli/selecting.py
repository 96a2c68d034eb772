"""Which containers a verb is about: one by its id, or several by a regular expression."""

from __future__ import annotations

from runtime.container.state import list_ids
from runtime.errors import InvalidError


def select_ids(root: str, text: str, by_regex: bool) -> list[str]:
    """The id itself, or all ids the expression matches from their beginning. Raises InvalidError."""
    if not by_regex:
        return [text]
    import re

    try:
        expression = re.compile(text)
    except re.error as error:
        raise InvalidError(f"{text!r} is not a regular expression: {error}") from None
    return [container_id for container_id in list_ids(root) if expression.search(container_id)]
