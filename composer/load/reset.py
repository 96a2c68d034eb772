"""Takes away what a later file tags with !reset or !override, before that file is laid over. Pure."""

from collections.abc import Iterable

from composer.load.merge import as_keys, as_mapping
from composer.load.origins import Document, Marks, Path


def apply_resets(base: Document, paths: Iterable[Path]) -> Document:
    """`base` without the values at `paths`. A KEY in a `KEY=value` list is found as well."""
    value, marks = base.value, base.marks
    for path in paths:
        if path:
            value, marks = _without(value, marks, path)
    return Document(value, marks, base.resets)


def _without(value: object, marks: Marks, path: Path) -> tuple[object, Marks]:
    key = path[0]
    if isinstance(value, list) and isinstance(key, str):
        keyed = as_mapping((value, marks))
        if not isinstance(keyed[0], dict) or key not in keyed[0]:
            return value, marks
        bare = all("=" not in item for item in value)
        value, marks = as_keys((value, marks)) if bare else keyed
    if isinstance(value, dict) and key in value:
        rest = dict(value)
        children = dict(marks.children)
        if len(path) == 1:
            del rest[key]
            children.pop(key, None)
        else:
            rest[key], children[key] = _without(value[key], marks.child(key), path[1:])
        return rest, marks.holding(children)
    if isinstance(value, list) and isinstance(key, int) and key < len(value) and len(path) > 1:
        items = list(value)
        children = dict(marks.children)
        items[key], children[key] = _without(value[key], marks.child(key), path[1:])
        return items, marks.holding(children)
    return value, marks
