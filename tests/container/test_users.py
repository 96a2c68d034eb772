"""Users and groups by the files of a root filesystem."""

import os
from pathlib import Path

import pytest

from runtime.container.kill import parse_signal
from runtime.container.users import resolve_user
from runtime.errors import InvalidError, NotFoundError
from runtime.oci.user import ResolvedUser


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\n+nis\nweb:x:33:33::/srv:/bin/sh\n1000:x:5:6::/odd:\nbroken:x:y:z::\n"
    )
    (tmp_path / "etc/group").write_text(
        "root:x:0:\nweb:x:33:\nssl:x:99:web,other\nwheel:x:10:root\nshort:x:7\n"
    )
    return str(tmp_path)


@pytest.mark.parametrize(
    ("user", "group_add", "expected"),
    [
        ("", (), ResolvedUser(0, 0, (0, 10), "/root", "root")),
        ("web", (), ResolvedUser(33, 33, (33, 99), "/srv", "web")),
        ("33", (), ResolvedUser(33, 33, (33, 99), "/srv", "web")),
        ("web:ssl", (), ResolvedUser(33, 99, (99,), "/srv", "web")),
        ("web:4242", ("ssl", "5"), ResolvedUser(33, 4242, (4242, 99, 5), "/srv", "web")),
        ("4711", (), ResolvedUser(4711, 0, (0,), "/", "")),
        ("1000", (), ResolvedUser(5, 6, (6,), "/odd", "1000")),
    ],
)
def test_docker_rules(root: str, user: str, group_add: tuple[str, ...], expected: ResolvedUser) -> None:
    assert resolve_user(root, user, group_add) == expected


def test_no_files_at_all(tmp_path: Path) -> None:
    assert resolve_user(str(tmp_path), "") == ResolvedUser(0, 0, (0,), "/root", "root")
    assert resolve_user(str(tmp_path), "7:8") == ResolvedUser(7, 8, (8,), "/", "")


@pytest.mark.parametrize("user", ["nobodyatall", "web:nogroup"])
def test_unknown_names(root: str, user: str) -> None:
    with pytest.raises(NotFoundError, match=r"no (user|group)"):
        resolve_user(root, user)


def test_impossible_number(root: str) -> None:
    with pytest.raises(InvalidError, match="out of range"):
        resolve_user(root, str(1 << 33))


def test_files_outside_the_root_are_never_read(root: str, tmp_path: Path) -> None:
    os.unlink(f"{root}/etc/passwd")
    os.symlink("/etc/passwd", f"{root}/etc/passwd")  # inside the root that is itself: a loop
    with pytest.raises(OSError, match="symbolic links"):
        resolve_user(root, "root")
    os.unlink(f"{root}/etc/passwd")
    os.mkfifo(f"{root}/etc/passwd")
    with pytest.raises(OSError, match="not a regular file"):
        resolve_user(root, "root")


@pytest.mark.parametrize(
    ("text", "number"), [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37), ("rtmax-1", 63)]
)
def test_signals(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "SIGNOPE", "TERM+1", "RTMIN+99"])
def test_bad_signals(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_signal(text)
