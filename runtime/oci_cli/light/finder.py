"""Finds the modules of `runtime` by their compiled files alone, in a third of the import system's time.

That one asks four finders and tries five endings per module, which adds up to a tenth of a call's time. Whatever
is not as it should be (no compiled file, or of another source or interpreter) is left to it.
"""

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

_HEADER_BYTES = 16  # PEP 552: magic number, flags, the source's time of change and size
_CHECKED_BY_TIME = bytes(4)
_TAG = sys.implementation.cache_tag


class CompiledFinder:
    """A finder and loader (PEP 451) of one package: `parent` is the folder the package lies in."""

    def __init__(self, parent, package):
        self._parent = parent
        self._package = package

    def find_spec(self, name, _path=None, _target=None):
        """The spec with the module's code in `loader_state`, or None."""
        if not name.startswith(self._package):
            return None
        place = f"{self._parent}/{name.replace('.', '/')}"
        folder, _, last = place.rpartition("/")
        code = self._load(f"{folder}/__pycache__/{last}.{_TAG}.pyc", f"{place}.py")
        if code is not None:
            return ModuleSpec(name, self, origin=f"{place}.py", loader_state=code)
        code = self._load(f"{place}/__pycache__/__init__.{_TAG}.pyc", f"{place}/__init__.py")
        if code is None:
            return None
        spec = ModuleSpec(name, self, origin=f"{place}/__init__.py", loader_state=code, is_package=True)
        spec.submodule_search_locations.append(place)
        return spec

    @staticmethod
    def _load(compiled, source):
        try:
            fd = os.open(compiled, os.O_RDONLY | os.O_CLOEXEC)
            try:
                data = os.read(fd, os.fstat(fd).st_size)
            finally:
                os.close(fd)
            status = os.stat(source)
        except OSError:
            return None
        changed, size = int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF
        told = MAGIC_NUMBER + _CHECKED_BY_TIME + changed.to_bytes(4, "little") + size.to_bytes(4, "little")
        return marshal.loads(memoryview(data)[_HEADER_BYTES:]) if data[:_HEADER_BYTES] == told else None

    @staticmethod
    def create_module(_spec):
        """Nothing of its own: a module as any other."""

    @staticmethod
    def exec_module(module):
        """Run the module's code."""
        spec = module.__spec__
        code, spec.loader_state = spec.loader_state, None
        module.__file__ = spec.origin
        exec(code, module.__dict__)
