import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runtime.shim.logs.reader import LogReader
from runtime.shim.logs.record import STDERR, STDOUT, Chunk, LineSplitter, pack_header, parse_chunks
from runtime.shim.logs.writer import LogWriter


@given(st.lists(st.binary(max_size=50)), st.integers(0, 30))
def test_chunks_survive_and_a_torn_end_is_ignored(parts: list[bytes], torn: int) -> None:
    data = b"".join(pack_header(7, STDOUT, len(part)) + part for part in parts)
    chunks, used = parse_chunks(data + pack_header(8, STDOUT, 31) + b"x" * torn)
    assert [chunk.data for chunk in chunks] == parts
    assert used == len(data)


def test_lines_of_two_streams_do_not_mix() -> None:
    splitter = LineSplitter()
    lines = []
    for chunk in (Chunk(1, STDOUT, b"he"), Chunk(2, STDERR, b"oops\n"), Chunk(3, STDOUT, b"llo\nend")):
        lines += splitter.feed(chunk)
    assert [(line.time_ns, line.text) for line in lines] == [(2, b"oops"), (1, b"hello")]
    assert [(line.text, line.partial) for line in splitter.flush()] == [(b"end", True)]


def test_reader_goes_on_where_it_was_and_takes_large_chunks(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    writer, reader = LogWriter(path), LogReader(path)
    writer.write(STDOUT, b"one\n")
    assert [line.text for line in reader.read()] == [b"one"]
    writer.write(STDOUT, b"x" * (3 << 20) + b"\nthree\n")
    assert [len(line.text) for line in reader.read()] == [3 << 20, 5]
    assert list(reader.read()) == []
    os.truncate(path, os.path.getsize(path))
    assert [line.text for line in LogReader(path).skip_to_tail(1)] == [b"three"]
    writer.close()
    reader.close()
