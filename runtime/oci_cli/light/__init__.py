"""Small stand-ins for modules of the standard library, found before it by `pycompose-oci` and by nothing else.

Engines start that command about eight times per container, and half of a call's time went into importing typing,
json, socket, signal and what those import (re, enum, functools, collections). Here is the little that a call uses of
them. Any other name is looked up in the module proper, which then takes the stand-in's place (`borrow.py`): a
stand-in can be slow, never wrong. bin/pycompose-oci puts this folder on sys.path.
"""
