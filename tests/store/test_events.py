from pathlib import Path

import pytest

from runtime.store import events
from runtime.store.events import EventReader, append_event
from runtime.store.paths import Paths


def note(paths: Paths, name: str) -> None:
    append_event(paths, events.START, "c" * 64, project="p", service="web", attributes={"name": name})


@pytest.fixture
def noted(paths: Paths) -> Paths:
    Path(paths.data).mkdir()
    return paths


def test_events_are_read_once(noted: Paths) -> None:
    reader = EventReader(noted)
    assert list(reader.read()) == []
    note(noted, "one")
    note(noted, "two")
    (one, two) = reader.read()
    assert (one.action, one.project, one.service) == ("start", "p", "web")
    assert (one.attributes, two.attributes) == ({"name": "one"}, {"name": "two"})
    assert list(reader.read()) == []
    note(noted, "three")
    assert [event.attributes["name"] for event in reader.read()] == ["three"]


def test_a_torn_line_and_one_of_a_later_release_are_passed_over(noted: Paths) -> None:
    Path(noted.events).write_bytes(b'[1,2,"start"\n[99,"something else"]\nnonsense\n')
    note(noted, "one")
    assert [event.attributes["name"] for event in EventReader(noted).read()] == ["one"]


def test_nothing_is_lost_or_read_twice_when_the_file_is_replaced(
    noted: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_LIMIT_BYTES", 500)
    reader = EventReader(noted)
    seen = []
    for number in range(30):
        note(noted, str(number))
        if number % 3 == 0:
            seen += [event.attributes["name"] for event in reader.read()]
    seen += [event.attributes["name"] for event in reader.read()]
    assert seen == [str(number) for number in range(30)]
    assert Path(noted.old_events).stat().st_size < 1000


def test_what_cannot_be_written_is_let_go(paths: Paths) -> None:
    note(paths, "nowhere")
