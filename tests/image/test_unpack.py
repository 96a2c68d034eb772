"""Unpacking archives, friendly and hostile."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import ImageError
from runtime.image.unpack import unpack_layer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking sets owners and needs root")


class Tar:
    """Builds an archive member by member."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **fields: object) -> "Tar":
        info = tarfile.TarInfo(name)
        info.type = kind
        info.size = len(data)
        info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        info.mtime = 1_000_000
        for key, value in fields.items():
            setattr(info, key, value)
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def folder(self, name: str, **fields: object) -> "Tar":
        return self.add(name, tarfile.DIRTYPE, **fields)

    def link(self, name: str, target: str) -> "Tar":
        return self.add(name, tarfile.SYMTYPE, linkname=target)

    def bytes(self) -> bytes:
        self.tar.close()
        return self.buffer.getvalue()

    def unpack(self, directory: Path) -> Path:
        target = directory / "layer"
        target.mkdir()
        with tarfile.open(fileobj=io.BytesIO(self.bytes()), mode="r|") as archive:
            unpack_layer(archive, str(target))
        return target


def test_all_kinds(tmp_path: Path) -> None:
    tar = Tar().folder("./", mode=0o711).folder("usr/").folder("usr/bin", mode=0o750, uid=5, gid=6)
    tar.add("usr/bin/sh", data=b"#!", mode=0o4755, uid=7, gid=8)
    tar.add("usr/bin/bash", tarfile.LNKTYPE, linkname="usr/bin/sh")
    tar.link("bin", "usr/bin").add("pipe", tarfile.FIFOTYPE).add(
        "null", tarfile.CHRTYPE, devmajor=1, devminor=3
    )
    tar.add("deep/er/file", data=b"x" * 100_000)
    tar.add(
        "capable",
        pax_headers={"SCHILY.xattr.user.test": "value", "SCHILY.xattr.trusted.overlay.redirect": "/"},
    )
    root = tar.unpack(tmp_path)
    assert stat.S_IMODE(root.stat().st_mode) == 0o711
    shell = (root / "usr/bin/sh").stat()
    assert (stat.S_IMODE(shell.st_mode), shell.st_uid, shell.st_gid, shell.st_nlink) == (0o4755, 7, 8, 2)
    assert shell.st_mtime == 1_000_000
    folder = (root / "usr/bin").stat()
    assert (stat.S_IMODE(folder.st_mode), folder.st_uid, folder.st_mtime) == (0o750, 5, 1_000_000)
    assert os.readlink(root / "bin") == "usr/bin"
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert (root / "deep/er/file").stat().st_size == 100_000
    assert os.getxattr(root / "capable", "user.test") == b"value"
    assert "trusted.overlay.redirect" not in os.listxattr(root / "capable")


def test_whiteouts(tmp_path: Path) -> None:
    tar = Tar().folder("etc").add("etc/.wh.gone").add("etc/.wh.here").folder("etc/here")
    tar.add("etc/stays").add("etc/.wh.stays").folder("var").add("var/.wh..wh..opq").add(".wh..wh.plnk")
    root = tar.unpack(tmp_path)
    gone = (root / "etc/gone").lstat()
    assert stat.S_ISCHR(gone.st_mode) and gone.st_rdev == 0
    assert os.getxattr(root / "etc/here", "trusted.overlay.opaque") == b"y"
    assert stat.S_ISREG((root / "etc/stays").lstat().st_mode)
    assert os.getxattr(root / "var", "trusted.overlay.opaque") == b"y"
    assert sorted(os.listdir(root)) == ["etc", "var"]


def test_later_members_win(tmp_path: Path) -> None:
    tar = Tar().add("a", data=b"1").add("a", data=b"22").folder("b").add("b/c").link("b", "a")
    tar.link("d", "a").folder("d").add("e").folder("e/").add("e/f")
    root = tar.unpack(tmp_path)
    assert (root / "a").read_bytes() == b"22"
    assert os.readlink(root / "b") == "a"
    assert not (root / "d").is_symlink() and (root / "d").is_dir()
    assert (root / "e/f").is_file()


@pytest.mark.parametrize("target", ["/OUT", "../../OUT", "OUT/../../../OUT"])
def test_links_do_not_lead_out(tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = target.replace("OUT", str(outside).strip("/") if target.startswith("/") else "outside")
    tar = Tar().link("door", link).add("door/planted", data=b"x").folder("door/more")
    try:
        tar.unpack(tmp_path)
    except ImageError:
        pass
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "tar",
    [
        Tar().add("../planted"),
        Tar().add("a/../../planted"),
        Tar().add("hard", tarfile.LNKTYPE, linkname="../../outside"),
        Tar().add("hard", tarfile.LNKTYPE, linkname="/etc/passwd"),
        Tar().add("file").add("file/below"),
        Tar().add(".wh.."),
        Tar().link("loop", "loop").add("loop/x"),
        Tar().add("odd", b"Z"),
    ],
)
def test_hostile_members(tmp_path: Path, tar: Tar) -> None:
    (tmp_path / "outside").write_text("secret")
    with pytest.raises(ImageError):
        tar.unpack(tmp_path)
    assert (tmp_path / "outside").read_text() == "secret"
    assert not (tmp_path / "planted").exists()


def test_a_hard_link_through_a_link_stays_inside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    tar = Tar().link("up", str(tmp_path)).add("stolen", tarfile.LNKTYPE, linkname="up/secret")
    with pytest.raises(ImageError):
        tar.unpack(tmp_path)


def test_a_cut_archive(tmp_path: Path) -> None:
    data = Tar().add("file", data=b"x" * 100_000).bytes()[:60_000]
    (tmp_path / "layer").mkdir()
    with pytest.raises(ImageError), tarfile.open(fileobj=io.BytesIO(data), mode="r|") as archive:
        unpack_layer(archive, str(tmp_path / "layer"))


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", ".wh.a", "out"]), min_size=1, max_size=4).map(
    "/".join
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(NAMES, st.sampled_from([b"0", b"1", b"2", b"5"]), NAMES), max_size=8))
def test_nothing_is_ever_written_outside(tmp_path: Path, members: list[tuple[str, bytes, str]]) -> None:
    base = tmp_path / os.urandom(8).hex()
    base.mkdir()
    (base / "out").mkdir()
    tar = Tar()
    for name, kind, target in members:
        tar.add(name, kind, linkname=target)
    try:
        tar.unpack(base)
    except (ImageError, OSError):
        pass
    assert sorted(os.listdir(base)) == ["layer", "out"]
    assert os.listdir(base / "out") == []
