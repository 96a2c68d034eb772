"""The table of attributes is whole, its page is fresh, and every honoured attribute names a test."""

import ast
from pathlib import Path

from composer.load.attributes import Status, attributes
from composer.output.compatibility import render
from schemas import compose_schema

REPOSITORY = Path(__file__).resolve().parents[2]
SCHEMA = compose_schema()


def _attributes_of(node: dict, path: str, seen: frozenset[str]) -> set[str]:
    """Every attribute below a node of the JSON Schema, in the table's spelling."""
    reference = node.get("$ref")
    if reference is not None:
        if reference in seen:
            return set()
        seen |= {reference}
        node = SCHEMA["$defs"][reference.rpartition("/")[2]]
    found: set[str] = set()
    for kind in ("oneOf", "anyOf", "allOf"):
        for part in node.get(kind, ()):
            found |= _attributes_of(part, path, seen)
    for key, below in node.get("properties", {}).items():
        name = f"{path}.{key}" if path else key
        found |= {name} | _attributes_of(below, name, seen)
    for pattern, below in node.get("patternProperties", {}).items():
        if pattern != "^x-":
            found |= _attributes_of(below, f"{path}.*", seen)
    for key, suffix in (("additionalProperties", ".*"), ("items", "[]")):
        if isinstance(node.get(key), dict):
            found |= _attributes_of(node[key], f"{path}{suffix}", seen)
    return found


def test_the_table_has_every_attribute_of_the_schema_and_no_other():
    assert _attributes_of(SCHEMA, "", frozenset()) == set(attributes())


def test_the_page_is_fresh():
    page = (REPOSITORY / "docs/compatibility.md").read_text()
    assert page == render(), "run python -m composer.output.compatibility"


def test_every_honoured_attribute_names_a_test():
    honoured = {path for path, row in attributes().items() if row.status is Status.HONOURED}
    covered = _covered()
    assert not covered - set(attributes()), "marked as covered, but not in the table"
    assert not honoured - covered, "no test is marked with pytest.mark.covers for these"


def _covered() -> set[str]:
    """The words of every `covers(…)` in the tests; `covers("services.*.build", "args target")` names two."""
    found: set[str] = set()
    for file in (REPOSITORY / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.covers":
                prefix, names = (ast.literal_eval(argument) for argument in node.args)
                found |= {f"{prefix}.{name}" if prefix else name for name in names.split()}
    return found
