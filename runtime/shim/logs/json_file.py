"""Docker's json-file format: one JSON object per line, {"log":"text\\n","stream":"stdout","time":"…"}."""

import time
from collections.abc import Mapping
from json.encoder import encode_basestring

from runtime.shim.logs.files import LogFile
from runtime.shim.logs.messages import MessageSplitter
from runtime.shim.logs.record import STDERR, STDOUT

_ENDS = {True: "\n", False: ""}


class JsonFileWriter:
    """Writes what a container prints as Docker does, so that what reads Docker's logs reads these."""

    __slots__ = ("_attributes", "_file", "_splitters")

    def __init__(self, file: LogFile, attributes: Mapping[str, str]) -> None:
        """`attributes` go into every object as "attrs"."""
        self._file = file
        self._splitters = {STDOUT: MessageSplitter(), STDERR: MessageSplitter()}
        pairs = ",".join(f"{_quote(name)}:{_quote(text)}" for name, text in sorted(attributes.items()))
        self._attributes = f',"attrs":{{{pairs}}}' if pairs else ""

    def write(self, stream: int, data: bytes) -> None:
        self._put(stream, list(self._splitters[stream].feed(data)))

    def _put(self, stream: int, messages: list[tuple[bytes, bool]]) -> None:
        if not messages:
            return
        name = "stderr" if stream == STDERR else "stdout"
        end = f',"stream":"{name}"{self._attributes},"time":"{format_time(time.time_ns())}"}}\n'
        records = [
            f'{{"log":{_quote(text.decode(errors="replace") + _ENDS[complete])}{end}'.encode()
            for text, complete in messages
        ]
        whole = b"".join(records)
        room = self._file.room()
        if room is None or len(whole) <= room:
            self._file.append(whole)
        else:
            for record in records:
                self._file.append(record)

    def finish_run(self) -> None:
        """The program has ended: what it left of a line is a message of its own."""
        for stream, splitter in self._splitters.items():
            self._put(stream, list(splitter.flush()))

    def close(self) -> None:
        self.finish_run()
        self._file.close()


def _quote(text: str) -> str:
    """A JSON string with the characters escaped that Docker escapes."""
    quoted: str = encode_basestring(text)
    for character in "<>&\u2028\u2029":
        if character in quoted:
            quoted = quoted.replace(character, f"\\u{ord(character):04x}")
    return quoted


def format_time(time_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"
