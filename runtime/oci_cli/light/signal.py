"""Stands in for signal: the C module, whose numbers are plain ones."""

from _signal import *  # noqa: F403

from borrow import lender

__getattr__ = lender("signal")
