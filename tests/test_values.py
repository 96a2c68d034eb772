"""Durations, sizes and floats as text."""

import pytest

from composer.values import (
    format_duration_ns,
    format_float,
    parse_duration_ns,
    parse_nano_cpus,
    parse_size_bytes,
)

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("90s", 90 * SECOND, "1m30s"), ("1h", 3600 * SECOND, "1h0m0s"), ("1d", 86400 * SECOND, "24h0m0s"),
        ("100us", 100_000, "100µs"), ("1.5s", 1_500_000_000, "1.5s"), ("0s", 0, "0s"), ("0", 0, "0s"),
        ("1m1ms", 60_001_000_000, "1m0.001s"), ("1.5ms", 1_500_000, "1.5ms"), ("7ns", 7, "7ns"),
        ("-5s", -5 * SECOND, "-5s"),
    ],
)  # fmt: skip
def test_durations(text, value, shown):
    assert parse_duration_ns(text) == value
    assert format_duration_ns(value) == shown
    assert parse_duration_ns(shown) == value


@pytest.mark.parametrize("text", ["", "10", "1H", "1m 30s", "forever", "s", "1000000w", "1.2.3s"])
def test_bad_durations(text):
    with pytest.raises(ValueError):
        parse_duration_ns(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1k", 1024),
        ("1.5g", 1610612736),
        ("10 MB", 10485760),
        ("1GiB", 1 << 30),
        ("5b", 5),
        ("1T", 1 << 40),
    ],
)
def test_sizes(text, value):
    assert parse_size_bytes(text) == value


@pytest.mark.parametrize("text", ["", "lots", "1gi", "-5m", "1xb", "1 2", "1gbb", ".", "1e"])
def test_bad_sizes(text):
    with pytest.raises(ValueError):
        parse_size_bytes(text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.1, "1.1"), (3.0, "3"), (1e3, "1000"), (1e6, "1e+06"), (1e-06, "1e-06"), (0.0001, "0.0001"),
        (123456789.123, "1.23456789123e+08"), (0.0, "0"), (-2.5, "-2.5"), (float("inf"), "+Inf"),
    ],
)  # fmt: skip
def test_floats(value, shown):
    assert format_float(value) == shown


def test_nano_cpus():
    assert parse_nano_cpus("0.1") == 100_000_000
