"""Validation of a merged tree against the JSON Schema, and sentences about what it finds. Pure: the schema is given.

Messages are ours: the deepest error that matters inside oneOf, the expected kind in words, and a close match for a
misspelt key.
"""

import datetime
import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema import validators
from jsonschema.exceptions import ValidationError

from composer.load.origins import Document, Marks, Path, Report

_MAX_ERRORS = 200  # of one document; nobody reads more
_KINDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}


def validate(document: Document, schema: Mapping[str, Any], report: Report) -> None:
    """Adds one problem per mistake, each at its line. `schema` is draft 7 and not itself checked."""
    errors = list(islice(_Validator(schema).iter_errors(document.value), _MAX_ERRORS))
    for error in sorted(errors, key=lambda e: _order(e, document.marks)):
        _explain(error, schema, document.marks, report)


def is_valid(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value has no mistake at all."""
    return bool(_Validator(schema).is_valid(value))


def _unique_items(validator: Any, wanted: bool, value: Any, schema: Any) -> Iterator[ValidationError]:
    """The library's own compares every pair of items."""
    if wanted and isinstance(value, list) and len({repr(item) for item in value}) < len(value):
        yield ValidationError("the list names an item twice")


_Validator = validators.extend(validators.Draft7Validator, {"uniqueItems": _unique_items})  # type: ignore[no-untyped-call]


def _order(error: ValidationError, marks: Marks) -> tuple[str, int, int]:
    origin = marks.at(tuple(error.absolute_path))
    return (origin.file, origin.line, origin.column) if origin else ("", 0, 0)


def _explain(error: ValidationError, schema: Mapping[str, Any], marks: Marks, report: Report) -> None:
    rule: Any = error.validator_value
    if error.validator in ("oneOf", "anyOf"):
        chosen = _best_branch(error)
        if chosen:
            for inner in chosen:
                _explain(inner, schema, marks, report)
            return
        kinds = [kind for branch in rule for kind in _branch_kinds(branch, schema)]
        report.add(_wrong_kind(error.instance, kinds), tuple(error.absolute_path), marks)
        return
    path: Path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        _explain_unknown(error, path, marks, report)
    else:
        report.add(_sentence(error), path, marks)


def _best_branch(error: ValidationError) -> list[ValidationError]:
    """Errors of the branch whose kind fits the value; none if the value's kind fits nowhere."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    fitting = [
        errors
        for errors in branches.values()
        if not any(e.validator == "type" and not e.relative_path for e in errors)
    ]
    return max(fitting, key=lambda errors: max(len(e.relative_path) for e in errors), default=[])


def _branch_kinds(branch: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    if "$ref" in branch:
        branch = schema["$defs"][branch["$ref"].rsplit("/", 1)[1]]
    kinds = branch.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _wrong_kind(value: Any, kinds: list[str]) -> str:
    names = list(dict.fromkeys(_KINDS[kind] for kind in kinds))
    expected = " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"{expected} is expected, not {_shown(value)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, datetime.datetime):
        return f"the date {value.date()} (put it in quotes)"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"the text {value!r}" if isinstance(value, str) else f"the number {value}"


def _explain_unknown(error: ValidationError, path: Path, marks: Marks, report: Report) -> None:
    part: Any = error.schema
    instance: Any = error.instance
    known = list(part.get("properties", ()))
    allowed = list(part.get("patternProperties", ()))
    patterns = [p for p in allowed if p != "^x-"]
    for key in instance:
        if key in known or any(_matches(p, key) for p in allowed):
            continue
        if patterns and not known:
            report.add(
                f"{key!r} is not a valid name here",
                (*path, key),
                marks,
                "use letters, digits, '.', '_' and '-'",
            )
            continue
        close = difflib.get_close_matches(str(key), known, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]!r}?" if close else "allowed here: " + ", ".join(sorted(known)[:12])
        if len(known) > 12 and not close:
            hint = "keys that start with x- may hold anything"
        report.add(f"unknown key {key!r}", (*path, key), marks, hint)


def _matches(pattern: str, key: str) -> bool:
    return re.search(pattern, key) is not None


def _sentence(error: ValidationError) -> str:
    value: Any = error.instance
    rule: Any = error.validator_value
    if error.validator == "type":
        return _wrong_kind(value, [rule] if isinstance(rule, str) else list(rule))
    if error.validator == "enum":
        return f"{_shown(value)} is not one of {', '.join(map(str, rule))}"
    if error.validator == "required":
        missing = [key for key in rule if key not in value]
        return "the key " + ", ".join(map(repr, missing)) + " is missing"
    if error.validator == "uniqueItems":
        counts = Counter(map(str, value))
        return f"the list names {counts.most_common(1)[0][0]!r} twice"
    if error.validator in ("minimum", "maximum"):
        return f"{value} is {'less' if error.validator == 'minimum' else 'more'} than {rule}"
    if error.validator == "pattern":
        return f"{value!r} has characters or a form that are not allowed (it must match {rule})"
    return str(error.message)
