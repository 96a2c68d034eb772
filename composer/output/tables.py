"""Tables and the words in them, as the reference prints them. Pure."""

from collections.abc import Sequence

_SECOND_NS = 1_000_000_000
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def render_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, left-aligned, three spaces apart."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    )


def describe_duration(duration_ns: int) -> str:
    """How long, in the largest unit that fits: "Less than a second", "3 minutes", "About an hour"."""
    seconds = max(0, duration_ns) // _SECOND_NS
    if seconds < 1:
        return "Less than a second"
    minutes, hours = seconds // 60, seconds // 3600
    days = hours // 24
    steps = (
        (seconds < 2, "1 second"),
        (seconds < 60, f"{seconds} seconds"),
        (minutes < 2, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours < 2, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (days < 14, f"{days} days"),
        (days < 60, f"{days // 7} weeks"),
        (days < 730, f"{days // 30} months"),
    )
    return next((text for fits, text in steps if fits), f"{days // 365} years")


def quote_command(words: Sequence[str], *, truncate: bool = True) -> str:
    """A command line in quotes, at most 20 characters unless it is wanted whole; as Docker's engine and client do."""
    text = " ".join(f"'{word}'" if number and " " in word else word for number, word in enumerate(words))
    if truncate and len(text) > 20:
        text = f"{text[:19]}…"
    return '"' + "".join(_ESCAPES.get(char, char) for char in text) + '"'


def describe_binary(size_bytes: int) -> str:
    """A size in units of 1024 with four digits, as the reference prints memory: "12.34MiB"."""
    size, unit = float(size_bytes), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, bigger
    return f"{size:.4g}{unit}"
