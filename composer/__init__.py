"""Docker Compose as a library: `composer.load("compose.yaml")` gives a typed `Project`."""

from typing import TYPE_CHECKING, Any

import composer.load  # noqa: F401  (the package is the function)

if TYPE_CHECKING:
    from composer.errors import ComposeError, LoadError, Origin, Problem, SelectionError
    from composer.load.api import load as load
    from composer.model.project import Project
    from composer.model.service import Service

_HOMES = {
    "ComposeError": "composer.errors",
    "LoadError": "composer.errors",
    "Origin": "composer.errors",
    "Problem": "composer.errors",
    "Project": "composer.model.project",
    "SelectionError": "composer.errors",
    "Service": "composer.model.service",
}

__all__ = [
    "ComposeError",
    "LoadError",
    "Origin",
    "Problem",
    "Project",
    "SelectionError",
    "Service",
    "load",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'composer' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
