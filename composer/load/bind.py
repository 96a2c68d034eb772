"""Canonical tree to `Project`: every record is built from its fields' types. Pure; the tree has been validated."""

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from composer.model.parts import Ulimit
from composer.model.project import Config, Model, Network, Project, Secret, Volume
from composer.model.service import Service

_HINTS: dict[type, dict[str, Any]] = {}


def bind_project(
    tree: Mapping[str, Any], active: Iterable[str], working_dir: str, config_files: tuple[str, ...]
) -> Project:
    """The typed project of a normalised tree. Services that are not `active` only leave their names."""
    chosen = tuple(active)
    services = tree.get("services") or {}
    return Project(
        name=tree["name"],
        working_dir=working_dir,
        config_files=config_files,
        services=types.MappingProxyType({name: _record(Service, services[name], name) for name in chosen}),
        networks=_section(tree, "networks", Network),
        volumes=_section(tree, "volumes", Volume),
        secrets=_section(tree, "secrets", Secret),
        configs=_section(tree, "configs", Config),
        models=_section(tree, "models", Model),
        inactive=types.MappingProxyType(
            {
                name: tuple(service.get("profiles") or ())
                for name, service in services.items()
                if name not in chosen
            }
        ),
        extensions=_extensions(tree),
    )


def _section(tree: Mapping[str, Any], section: str, kind: type) -> Mapping[str, Any]:
    items = tree.get(section) or {}
    return types.MappingProxyType({key: _record(kind, item or {}, key) for key, item in items.items()})


def _extensions(value: Mapping[str, Any]) -> Mapping[str, object]:
    return types.MappingProxyType({key: item for key, item in value.items() if key.startswith("x-")})


def _record(kind: type, value: Mapping[str, Any], name: str = "") -> Any:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    hints = _HINTS[kind]
    arguments = {
        key: _value(hints[key], item)
        for key, item in value.items()
        if key in hints and key != "extensions" and item is not None
    }
    if "extensions" in hints:
        arguments["extensions"] = _extensions(value)
    if "name" in hints and not arguments.get("name") and name:
        arguments["name"] = name
    return kind(**arguments)


def _value(hint: Any, value: Any) -> Any:
    """`value` as the type that `hint` asks for: tuples for lists, read-only mappings, records."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _value(next(part for part in typing.get_args(hint) if part is not type(None)), value)
    if origin is tuple:
        item_hint = typing.get_args(hint)[0]
        return tuple(_value(item_hint, item) for item in value)
    if origin is Mapping:
        item_hint = typing.get_args(hint)[1]
        return types.MappingProxyType({key: _value(item_hint, item) for key, item in value.items()})
    if hint is Ulimit and not isinstance(value, Mapping):
        return Ulimit(int(value), int(value))
    if dataclasses.is_dataclass(hint):
        return _record(typing.cast("type", hint), value)
    if hint is int and isinstance(value, str | float):
        return int(value)
    if hint is float and isinstance(value, str | int):
        return float(value)
    if hint is str and not isinstance(value, str):
        return str(value)
    return value
