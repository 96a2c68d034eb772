"""Docker's json-file format, read. Pure."""

import json
from calendar import timegm

from runtime.shim.logs.record import STDERR, STDOUT, Chunk


def parse_json_chunks(buffer: bytes) -> tuple[list[Chunk], int]:
    """All complete messages at the start of `buffer`, and how many bytes they take. A torn one is passed over."""
    used = buffer.rfind(b"\n") + 1
    chunks = []
    for line in buffer[:used].splitlines():
        try:
            message = json.loads(line)
            stream = STDERR if message.get("stream") == "stderr" else STDOUT
            chunks.append(Chunk(parse_time_ns(message["time"]), stream, message["log"].encode()))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return chunks, used


def parse_time_ns(text: str) -> int:
    """Ns since the epoch of "2026-01-02T13:23:37.5Z". Raises ValueError."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    date, _, clock = whole.partition("T")
    year, month, day = map(int, date.split("-"))
    hour, minute, second = map(int, clock.split(":"))
    seconds = timegm((year, month, day, hour, minute, second))
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)
