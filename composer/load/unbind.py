"""`Project` to the canonical tree it could have been bound from: the inverse of `bind`. Pure."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from composer.load.emit import emit
from composer.load.rules import RuleTable, words
from composer.model.parts import Ulimit
from composer.model.project import Project
from composer.model.service import Service

# Attributes whose empty value is not the same as none.
_EMPTY_COUNTS: RuleTable[bool] = RuleTable(
    dict.fromkeys(
        words("build.context command entrypoint pre_start.*.command post_start.*.command pre_stop.*.command"),
        True,
    )
)
_SECTIONS = ("networks", "volumes", "secrets", "configs", "models")


def unbind_project(project: Project) -> dict[str, Any]:
    """The canonical tree: durations in ns, sizes in bytes, long forms."""
    tree: dict[str, Any] = {"name": project.name}
    tree["services"] = _services(project)
    for section in _SECTIONS:
        items = getattr(project, section)
        if items:
            tree[section] = {key: _plain(item, ()) for key, item in items.items()}
    return {**tree, **_plain_value(project.extensions, ())}


def project_tree(project: Project) -> dict[str, Any]:
    """The tree that is written as YAML or JSON, and loads to the same project again."""
    tree = unbind_project(project)
    return emit(tree, tree["services"], double_dollars=True, all_resources=True)


def _services(project: Project) -> dict[str, Any]:
    """The active ones, and as much of the others as keeps an optional dependency on them valid."""
    needed = {other for service in project.services.values() for other in service.depends_on}
    others = {name: profiles for name, profiles in project.inactive.items() if name in needed}
    return {
        **{name: _service(service) for name, service in project.services.items()},
        **{name: {"profiles": list(profiles)} for name, profiles in others.items()},
    }


def _service(service: Service) -> dict[str, Any]:
    tree: dict[str, Any] = _plain(service, ())
    del tree["name"]
    return tree


def _plain(record: Any, path: tuple[str, ...]) -> Any:
    if isinstance(record, Ulimit):
        if record.soft == record.hard and not record.extensions:
            return record.soft
        return {"soft": record.soft, "hard": record.hard, **_plain_value(record.extensions, path)}
    out: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if field.name == "extensions":
            out.update(_plain_value(value, path))
        elif value != _default(field) or (value in ((), "") and _EMPTY_COUNTS.find((*path, field.name))):
            out[field.name] = _plain_value(value, (*path, field.name))
    return out


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default_factory() if callable(field.default_factory) else field.default


def _plain_value(value: Any, path: tuple[str, ...]) -> Any:
    if dataclasses.is_dataclass(value):
        return _plain(value, path)
    if isinstance(value, Mapping):
        return {key: _plain_value(item, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain_value(item, (*path, "*")) for item in value]
    return value
