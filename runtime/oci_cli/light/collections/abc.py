"""Stands in for collections.abc."""

from _collections_abc import *  # noqa: F403
