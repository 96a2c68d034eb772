"""Tells in a fraction of the time of a JSON Schema library whether a tree is valid. Pure: the schema is given.

The schema's rules become nested functions, once. A yes means that jsonschema says yes too (a test compares the two);
after a no, `schema` finds and explains the mistakes. Only the keywords that our schema uses are known; any other
keyword is refused when the schema is compiled.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

_IGNORED = frozenset(("$schema", "$defs", "title", "description", "format"))
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def compile_check(schema: Mapping[str, Any]) -> Check:
    """A function that is true for valid values. Raises ValueError for a keyword that it does not know."""
    return _Compiler(schema).compile(schema)


class _Compiler:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._definitions = schema.get("$defs", {})
        self._done: dict[str, Check] = {}

    def compile(self, part: Mapping[str, Any] | bool) -> Check:
        if isinstance(part, bool):
            return lambda value: part
        if "$ref" in part:  # draft 7: what stands beside $ref does not count
            return self._reference(part["$ref"])
        checks: list[Check] = []
        for keyword, rule in part.items():
            if keyword in ("properties", "patternProperties", "additionalProperties"):
                continue
            if keyword not in _IGNORED:
                checks.append(self._keyword(keyword, rule))
        if not part.keys().isdisjoint(("properties", "patternProperties", "additionalProperties")):
            checks.append(self._mapping(part))
        return checks[0] if len(checks) == 1 else lambda value: all(check(value) for check in checks)

    def _reference(self, reference: str) -> Check:
        name = reference.rsplit("/", 1)[1]
        if name not in self._done:
            self._done[name] = lambda value: self._done[name](value)  # for a definition that contains itself
            self._done[name] = self.compile(self._definitions[name])
        return self._done[name]

    def _keyword(self, keyword: str, rule: Any) -> Check:
        if keyword == "type":
            return _type([rule] if isinstance(rule, str) else rule)
        if keyword == "oneOf":
            branches = [self.compile(branch) for branch in rule]
            return lambda value: sum(branch(value) for branch in branches) == 1
        if keyword == "items":
            item = self.compile(rule)
            return lambda value: not isinstance(value, list) or all(map(item, value))
        if keyword == "enum":
            return lambda value: isinstance(value, str) and value in rule
        if keyword == "required":
            return lambda value: not isinstance(value, dict) or all(key in value for key in rule)
        if keyword == "uniqueItems":
            return _is_unique
        if keyword == "minimum":
            return lambda value: not _is_number(value) or value >= rule
        if keyword == "maximum":
            return lambda value: not _is_number(value) or value <= rule
        if keyword == "pattern":
            search = re.compile(rule).search
            return lambda value: not isinstance(value, str) or search(value) is not None
        raise ValueError(f"the schema uses {keyword!r}, which the quick check does not know")

    def _mapping(self, part: Mapping[str, Any]) -> Check:
        known = {key: self.compile(rule) for key, rule in part.get("properties", {}).items()}
        patterns = [
            (re.compile(pattern).search, self.compile(rule))
            for pattern, rule in part.get("patternProperties", {}).items()
        ]
        other = self.compile(part.get("additionalProperties", True))

        def check(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            for key, item in value.items():
                own = known.get(key)
                if own is not None and not own(item):
                    return False
                matching = [rule for search, rule in patterns if search(key)]
                if not all(rule(item) for rule in matching):
                    return False
                if own is None and not matching and not other(item):
                    return False
            return True

        return check


def _type(names: list[str]) -> Check:
    kinds = tuple(kind for name in names for kind in _KINDS[name])
    if "boolean" in names or not {"integer", "number"} & set(names):
        return lambda value: isinstance(value, kinds)
    return lambda value: isinstance(value, kinds) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_unique(value: Any) -> bool:
    if not isinstance(value, list):
        return True
    if all(isinstance(item, str) for item in value):
        return len(set(value)) == len(value)
    return len({repr(item) for item in value}) == len(value)
