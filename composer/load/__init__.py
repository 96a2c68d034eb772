"""From Compose files to a Project; `composer.load(...)` is this package, called.

The package has the name of its one public function: a module whose class has `__call__` serves as both (Python
reference, "Customizing module attribute access"). For type checkers `composer/__init__.py` declares the function.
"""

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from composer.model.project import Project


class _CallablePackage(types.ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> "Project":
        from composer.load.api import load

        return load(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
