"""Output as messages: lines, those longer than 16 KiB in parts, as Docker's drivers get them. Pure."""

from collections.abc import Iterator

LONGEST_BYTES = 16384


class MessageSplitter:
    """Turns chunks of one stream into (text, complete): `complete` where the line ends here. No line feed is kept."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """The messages that are complete now."""
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            while len(line) > LONGEST_BYTES:
                yield line[:LONGEST_BYTES], False
                line = line[LONGEST_BYTES:]
            yield line, True
        while len(rest) >= LONGEST_BYTES:
            yield rest[:LONGEST_BYTES], False
            rest = rest[LONGEST_BYTES:]
        self._rest = rest

    def flush(self) -> Iterator[tuple[bytes, bool]]:
        """What is left of a line that was never ended."""
        if self._rest:
            yield self._rest, False
            self._rest = b""
