"""What a stand-in lacks comes from the standard library's own module. (Imported as a top-level module.)"""

import sys

_HERE = __file__.rpartition("/")[0]


def lender(name):
    """A module's __getattr__ that looks in the standard library's module of that name."""

    def look_up(attribute):
        if attribute.startswith("__"):  # the import system asks every module whether it is a package
            raise AttributeError(attribute)
        return getattr(proper(name), attribute)

    return look_up


def proper(name):
    """The standard library's module; whoever imports it from now on gets it, not the stand-in."""
    module = sys.modules.get(name)
    if module is not None and not module.__file__.startswith(_HERE):
        return module
    path = sys.path
    sys.path = [folder for folder in path if folder != _HERE]
    for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
        del sys.modules[known]
    try:
        return __import__(name)
    finally:
        sys.path = path
