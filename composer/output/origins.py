"""Where the values of a loaded project were written: `config --explain` and `config --origins`."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from composer.errors import Origin, SelectionError
from composer.load.origins import Marks, Path, dotted
from composer.load.result import LoadResult


def explain(result: LoadResult, path: str) -> str:
    """Every place that had a part in the value at a path such as services.web.environment.DEBUG, the winner last.

    Raises SelectionError for a path that the project does not have.
    """
    keys, value = _find(result.tree, path)
    node = result.marks.find(keys)
    lines = [f"{dotted(keys)}: {_shown(value)}"]
    places = node.places if node is not None else ()
    if not places:
        nearest = result.marks.at(keys)
        made = "made up while loading" if nearest is None else f"implied by {nearest}"
        return "\n".join([*lines, f"  {made}"]) + "\n"
    for place in places:
        mark = "  (wins)" if place is places[-1] and len(places) > 1 else ""
        lines.append(f"  {place}{mark}")
        text = _line(result.sources.texts, place)
        if text:
            lines.append(f"      {text}")
    return "\n".join(lines) + "\n"


def _find(tree: Any, path: str) -> tuple[Path, Any]:
    """The keys that a dotted path stands for: keys may contain dots, indexes are written [0] or .0."""
    found = list(_matches(tree, path.replace("[", ".").replace("]", ""), ()))
    if found:
        return found[0]
    known, value = _deepest(tree, path)
    where = f"{dotted(known)} has" if known else "the project has"
    keys = [str(key) for key in value] if isinstance(value, dict) else []
    rest = path.replace("[", ".").replace("]", "")[len(".".join(map(str, known))) :].lstrip(".").split(".")[0]
    close = difflib.get_close_matches(rest, keys, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(keys[:20])}" if keys else ""
    raise SelectionError(f"{where} no {rest!r}", hint=hint)


def _matches(value: Any, path: str, keys: Path) -> Iterator[tuple[Path, Any]]:
    if not path:
        yield keys, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if path == key or path.startswith(f"{key}."):
                yield from _matches(item, path[len(key) + 1 :], (*keys, key))
    elif isinstance(value, list):
        head, _, rest = path.partition(".")
        if head.isdigit() and int(head) < len(value):
            yield from _matches(value[int(head)], rest, (*keys, int(head)))


def _deepest(tree: Any, path: str) -> tuple[Path, Any]:
    keys: Path = ()
    value = tree
    for part in path.replace("[", ".").replace("]", "").split("."):
        if isinstance(value, dict) and part in value:
            keys, value = (*keys, part), value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            keys, value = (*keys, int(part)), value[int(part)]
        else:
            break
    return keys, value


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        text: str = yaml.safe_dump(value, default_flow_style=True, width=100, allow_unicode=True).strip()
        return text.split("\n")[0] + (" …" if "\n" in text else "")
    return "null" if value is None else str(value)


def _line(texts: Mapping[str, str], place: Origin) -> str:
    lines = texts.get(place.file, "").split("\n")
    text = lines[place.line - 1].strip() if 0 < place.line <= len(lines) else ""
    return text if len(text) <= 100 else f"{text[:100]} …"


def annotate(text: str, marks: Marks) -> str:
    """The YAML text with a comment on every line that says where its value was written."""
    comments: dict[int, Origin] = {}
    root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if root is not None:
        _annotate(root, marks, (), comments)
    lines = text.split("\n")
    width = max((len(lines[number]) for number in comments if len(lines[number]) <= 60), default=0)
    for number, origin in comments.items():
        lines[number] = f"{lines[number]:{width}}  # {origin}"
    return "\n".join(lines)


def _annotate(node: Any, marks: Marks, path: Path, comments: dict[int, Origin]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _note(key, value, marks, (*path, key.value), comments)
            _annotate(value, marks, (*path, key.value), comments)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note(item, item, marks, (*path, index), comments)
            _annotate(item, marks, (*path, index), comments)


def _origin(marks: Marks, path: Path) -> Origin | None:
    """Where a value or the short form it is a part of was written; None for what is implied."""
    node = marks
    for key in path:
        if key not in node.children:
            return None if node.children else node.origin
        node = node.children[key]
    return node.origin


def _note(first: Any, value: Any, marks: Marks, path: Path, comments: dict[int, Origin]) -> None:
    """A comment after the value; a block of text has it after its key, where the text cannot swallow it."""
    origin = _origin(marks, path)
    if origin is None:
        return
    line = first.start_mark.line
    if isinstance(value, yaml.ScalarNode) and value.style not in ("|", ">"):
        line = max(line, value.end_mark.line)
    comments[line] = origin
