"""Levels and cycles of dependencies."""

import pytest

from composer.graph import cycles, levels


def test_levels():
    assert levels({"a": ("b", "c"), "b": ("c",), "c": (), "d": ()}) == {"c": 0, "d": 0, "b": 1, "a": 2}
    assert list(levels({"a": ("b",), "b": ()})) == ["b", "a"]


def test_unknown_dependencies_are_left_out():
    assert levels({"a": ("x",)}) == {"a": 0}


def test_cycles():
    assert cycles({"a": ("a",)}) == [("a",)]
    assert cycles({"b": ("c",), "c": ("a",), "a": ("b",), "d": ("a",)}) == [("a", "b", "c")]
    with pytest.raises(ValueError, match="cycle"):
        levels({"a": ("b",), "b": ("a",)})
