import pytest

from composer.cli.logs import parse_time
from composer.errors import ComposeError
from composer.output.tables import describe_binary, describe_duration, quote_command, render_table

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
        (3 * 86400, "3 days"),
        (21 * 86400, "3 weeks"),
        (90 * 86400, "3 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_durations_read_as_the_reference_says_them(seconds: int, text: str) -> None:
    assert describe_duration(seconds * SECOND) == text


def test_a_command_is_shortened() -> None:
    assert quote_command(("sh", "-c", "echo hi; sleep 100")) == '"sh -c \'echo hi; sle…"'
    assert quote_command(("sh", "-c", 'trap "exit 3" TERM')) == '"sh -c \'trap \\"exit 3…"'
    assert quote_command(("a b", "x"), truncate=False) == '"a b x"'


def test_sizes_of_memory() -> None:
    assert [describe_binary(size) for size in (0, 1023, 1536, 12_939_000, 25_000_000_000)] == [
        "0B", "1023B", "1.5KiB", "12.34MiB", "23.28GiB",
    ]  # fmt: skip


def test_a_table_has_columns() -> None:
    assert render_table(("A", "BB"), [("xxx", "y")]) == "A     BB\nxxx   y"


def test_times() -> None:
    assert parse_time("") == 0
    assert parse_time("1700000000") == 1700000000 * SECOND
    assert parse_time("2023-11-14T22:13:20Z") == 1700000000 * SECOND
    assert parse_time("1h30m") < parse_time("10s")
    with pytest.raises(ComposeError):
        parse_time("yesterday")
