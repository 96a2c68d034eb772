import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.shim.logs.files import LogFile
from runtime.shim.logs.json_file import JsonFileWriter
from runtime.shim.logs.messages import LONGEST_BYTES, MessageSplitter
from runtime.shim.logs.reader import LogReader
from runtime.shim.logs.record import (
    STDERR,
    STDOUT,
    WINDOW_BYTES,
    Chunk,
    LineSplitter,
    begins_record,
    pack_header,
    parse_chunks,
    plan_record,
)
from runtime.shim.logs.writer import LogWriter, Writer
from runtime.shim.loop import Loop


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
    writer, reader = LogWriter(LogFile(path, Loop())), LogReader(path)
    writer.write(STDOUT, b"one\n")
    assert [line.text for line in reader.read()] == [b"one"]
    writer.write(STDOUT, b"x" * (3 << 20) + b"\nthree\n")
    assert [len(line.text) for line in reader.read()] == [3 << 20, 5]
    assert list(reader.read()) == []
    os.truncate(path, os.path.getsize(path))
    assert [line.text for line in LogReader(path).skip_to_tail(1)] == [b"three"]
    writer.close()
    reader.close()


def _open(path: str, *, max_files: int, compress: bool) -> Writer:
    file = LogFile(path, Loop(), max_bytes=1000, max_files=max_files, compress=compress)
    return JsonFileWriter(file, {}) if path.endswith("-json.log") else LogWriter(file)


@pytest.mark.parametrize("name", ["log", "x-json.log"])
@pytest.mark.parametrize("compress", [False, True])
def test_a_rotated_log_is_read_across_its_files(tmp_path: Path, name: str, compress: bool) -> None:
    path = str(tmp_path / name)
    writer = _open(path, max_files=4, compress=compress)
    follower, followed = LogReader(path), []
    for number in range(200):
        writer.write(STDOUT, f"line {number} \u00e9<&>\n".encode())
        if number % 3 == 0:
            followed += [line.text.split()[1] for line in follower.read()]
    followed += [line.text.split()[1] for line in follower.read()]
    writer.close()
    assert followed == [str(number).encode() for number in range(200)]
    files = sorted(file.name for file in tmp_path.iterdir())
    suffix = ".gz" if compress else ""
    assert files == sorted([name, *(f"{name}.{number}{suffix}" for number in (1, 2, 3))])
    reader = LogReader(path)
    kept = [line.text.decode() for line in reader.read()]
    assert kept[-1] == "line 199 \u00e9<&>" and 20 < len(kept) < 200
    assert kept == [f"line {number} \u00e9<&>" for number in range(200 - len(kept), 200)]
    reader.close()
    follower.close()


def test_long_lines_come_in_parts() -> None:
    splitter = MessageSplitter()
    parts = [*splitter.feed(b"a\n" + b"x" * 40000), *splitter.feed(b"\nrest"), *splitter.flush()]
    assert [(len(text), complete) for text, complete in parts] == [
        (1, True), (LONGEST_BYTES, False), (LONGEST_BYTES, False), (40000 - 2 * LONGEST_BYTES, True), (4, False)
    ]  # fmt: skip


def test_the_json_format_is_dockers(tmp_path: Path) -> None:
    path = str(tmp_path / "x-json.log")
    writer = JsonFileWriter(LogFile(path, Loop()), {"tag": "t"})
    writer.write(STDOUT, b'q "<\xff>" \\\x01\npart')
    writer.write(STDERR, b"err\n")
    writer.finish_run()
    writer.close()
    first, second, third = (json.loads(line) for line in Path(path).read_text().splitlines())
    assert first == {
        "log": 'q "<\ufffd>" \\\x01\n',
        "stream": "stdout",
        "attrs": {"tag": "t"},
        "time": first["time"],
    }
    assert first["time"].endswith("Z") and len(first["time"]) == len("2026-01-02T03:04:05.123456789Z")
    assert (second["log"], second["stream"]) == ("err\n", "stderr")
    assert third["log"] == "part"
    assert "\\u003c" in Path(path).read_text()


@given(st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.integers(0, 3 * WINDOW_BYTES)), max_size=12))
def test_a_record_begins_at_each_window(parts: list[tuple[int, int]]) -> None:
    data, written = b"", {STDOUT: b"", STDERR: b""}
    for number, (stream, length) in enumerate(parts):
        text = bytes([number]) * length
        written[stream] += text
        while text:
            taken, padding = plan_record(len(data), len(text))
            data += pack_header(7, stream, taken, padding) + text[:taken] + bytes(padding)
            text = text[taken:]
    chunks, used = parse_chunks(data)
    assert used == len(data)
    for stream, text in written.items():
        assert b"".join(chunk.data for chunk in chunks if chunk.stream == stream) == text
    for offset in range(0, len(data) - WINDOW_BYTES + 1, WINDOW_BYTES):
        assert begins_record(data[offset : offset + WINDOW_BYTES])


@pytest.mark.parametrize("name", ["log", "x-json.log"])
@pytest.mark.parametrize(("max_bytes", "compress"), [(0, False), (1_000_000, False), (1_000_000, True)])
def test_the_tail_is_found_from_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, max_bytes: int, compress: bool
) -> None:
    path = str(tmp_path / name)
    file = LogFile(path, Loop(), max_bytes=max_bytes, max_files=5, compress=compress)
    writer = JsonFileWriter(file, {}) if name.endswith("-json.log") else LogWriter(file)
    for number in range(1000):
        lines = (f"line {number * 20 + more} {'x' * (number % 200)}\n" for more in range(20))
        writer.write(STDERR if number % 100 == 0 else STDOUT, "".join(lines).encode())
    writer.write(STDOUT, b"unfinished")
    writer.close()
    whole = LogReader(path)
    texts = [line.text for line in whole.read()]
    whole.close()
    read: list[int] = []
    pread = os.pread

    def counting(descriptor: int, length: int, offset: int) -> bytes:
        data = pread(descriptor, length, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counting)
    for wanted in (0, 10, 5000, len(texts), 10**6):
        reader = LogReader(path)
        read.clear()
        assert [line.text for line in reader.skip_to_tail(wanted)] == texts[
            len(texts) - wanted if wanted < len(texts) else 0 :
        ]
        if wanted <= 10:
            assert sum(read) < 2_000_000
        assert not list(reader.read()) and [line.text for line in reader.rest()] == [b"unfinished"]
        reader.close()


def test_the_tail_of_a_log_without_windows(tmp_path: Path) -> None:
    """One that a release before wrote."""
    path = tmp_path / "log"
    lines = [f"line {number} {'x' * (number % 100)}".encode() for number in range(30_000)]
    path.write_bytes(b"".join(pack_header(7, STDOUT, len(line) + 1) + line + b"\n" for line in lines))
    writer = LogWriter(LogFile(str(path), Loop()))
    writer.write(STDOUT, b"from a newer one\n" * 50_000)
    writer.close()
    reader = LogReader(str(path))
    wanted = [*lines, *[b"from a newer one"] * 50_000]
    for number in (5, 60_000):
        assert [line.text for line in LogReader(str(path)).skip_to_tail(number)] == wanted[-number:]
    reader.close()
