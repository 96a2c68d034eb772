"""What `--filter` of `network ls` and `network prune` means. Pure.

As with the reference, a network has to fit every key that is given, all labels, and of other keys one of the values.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from composer.errors import ComposeError
from runtime import NetworkRow

Filters = Mapping[str, Sequence[str]]

LISTED = ("dangling", "driver", "id", "label", "name", "scope", "type")
PRUNED = ("label", "label!", "until")
_WORDS = {"true": True, "1": True, "false": False, "0": False}
_TYPES = ("custom", "builtin")


def parse_filters(words: Sequence[str], known: Sequence[str]) -> Filters:
    """KEY=VALUE words as key -> values. Raises ComposeError for a key that is not `known` and an impossible value."""
    filters: dict[str, list[str]] = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or key not in known:
            raise ComposeError(f"--filter {word!r} is not supported", hint=f"filter by {', '.join(known)}")
        allowed = {"dangling": tuple(_WORDS), "type": _TYPES}.get(key)
        if allowed is not None and value not in allowed:
            raise ComposeError(f"--filter {word!r}: the value is none of {', '.join(allowed)}")
        filters.setdefault(key, []).append(value)
    if len(filters.get("until", ())) > 1:
        raise ComposeError("--filter until=… is given several times")
    return filters


def fits(network: NetworkRow, filters: Filters, *, used: bool) -> bool:
    """Whether a network is wanted; `used` says that it has containers. `until` is the caller's."""
    tests: dict[str, Callable[[str], bool]] = {
        "dangling": lambda value: _WORDS[value] is not used,
        "driver": lambda value: network.record.driver == value,
        "id": lambda value: _matches(value, network.id),
        "name": lambda value: _matches(value, network.name),
        "scope": lambda value: value == "local",
        "type": lambda value: value == "custom",
    }
    return (
        all(_has_label(network, value) for value in filters.get("label", ()))
        and not any(_has_label(network, value) for value in filters.get("label!", ()))
        and all(any(map(test, filters[key])) for key, test in tests.items() if key in filters)
    )


def _matches(pattern: str, text: str) -> bool:
    """Anywhere in the text, as a regular expression if it is one."""
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return pattern in text


def _has_label(network: NetworkRow, wanted: str) -> bool:
    key, separator, value = wanted.partition("=")
    labels = network.record.labels
    return key in labels and (not separator or labels[key] == value)
