"""A corpus of Dockerfiles, one per feature, built here and by buildah: files and configurations are equal.

What differs by design is in EXCEPTIONS and `plain_config`, each with its reason.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.build.conftest import Workshop

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("buildah") is None, reason="needs root and buildah"
)

FILES = {
    "a.txt": "a",
    "b.log": "b",
    "dir/one": "1",
    "dir/sub/two": "2",
    "dir/.hidden": "h",
    "script.sh": "#!/bin/sh\necho hi\n",
}
CORPUS = {
    "env": "FROM busybox\nENV A=1 B=\"two words\" C=$A\nENV OLD the rest of the line\nENV PATH=/more:$PATH\nRUN echo $A $B >/env\n",
    "label": "FROM busybox\nLABEL a=b \"quoted key\"=\"x y\" multi=\"one\\\ntwo\"\n",
    "arguments": "ARG BASE=busybox\nFROM $BASE\nARG X=default\nARG Y\nRUN echo $X-$Y >/args\nENV Z=${X:-none}${Q:+no}\n",
    "copy-file": "FROM busybox\nCOPY a.txt /to\nCOPY a.txt /in/\nCOPY a.txt b.log /both/\n",
    "copy-directory": "FROM busybox\nCOPY dir /to\nCOPY dir /into/\nCOPY dir/ /slash\n",
    "copy-glob": "FROM busybox\nCOPY *.txt dir/o?e /globbed/\n",
    "copy-json": 'FROM busybox\nCOPY ["a.txt", "/with space/"]\n',
    "copy-mode": "FROM busybox\nCOPY --chown=12:34 --chmod=640 a.txt /f\nCOPY --chown=worker:extra dir /d\n",
    "copy-relative": "FROM busybox\nWORKDIR /w\nCOPY a.txt .\nCOPY a.txt sub/\n",
    "copy-over-a-link": "FROM busybox\nRUN mkdir /real && ln -s /real /link\nCOPY a.txt /link/\n",
    "add-archive": "FROM busybox\nADD archive.tar.gz /out\nADD a.txt /out/\n",
    "workdir": "FROM busybox\nWORKDIR /one\nWORKDIR two\nWORKDIR ../three\nRUN pwd >/pwd\n",
    "user": "FROM busybox\nUSER worker\nWORKDIR /tmp\nRUN id -u >uid; id -g >>uid\n",
    "user-number": "FROM busybox\nRUN chmod 777 /var\nUSER 1234:5678\nRUN id -u >/var/uid; id -g >>/var/uid\n",
    "expose": "FROM busybox\nEXPOSE 80 53/udp\nEXPOSE 443/tcp\n",
    "volume": 'FROM busybox\nVOLUME /a /b\nVOLUME ["/c d"]\n',
    "command": 'FROM busybox\nCMD ["echo", "x"]\nENTRYPOINT ["/bin/sh", "-c"]\n',
    "command-reset": "FROM busybox\nENTRYPOINT run this\n",
    "command-shell": "FROM busybox\nCMD echo $HOME\n",
    "shell": 'FROM busybox\nSHELL ["/bin/busybox", "ash", "-c"]\nRUN echo $0 >/shell\n',
    "stopsignal": "FROM busybox\nSTOPSIGNAL SIGUSR1\n",
    "healthcheck": "FROM busybox\nHEALTHCHECK --interval=5s --timeout=3s --retries=2 CMD wget x\n",
    "healthcheck-none": "FROM busybox\nHEALTHCHECK NONE\n",
    "onbuild": "FROM busybox\nONBUILD RUN echo x >/onbuild\nONBUILD ENV A=b\n",
    "stages": "FROM busybox AS one\nRUN echo 1 >/one\nFROM busybox AS two\nRUN echo 2 >/two\nFROM scratch\nCOPY --from=one /one /\nCOPY --from=1 /two /\n",
    "stage-as-base": "FROM busybox AS one\nRUN echo 1 >/f\nENV A=1\nFROM one\nRUN echo $A >>/f\n",
    "remove": "FROM busybox\nRUN rm /bin/vi && rm -r /home\nRUN mkdir /home && echo new >/home/f\n",
    "replace-directory": "FROM busybox\nRUN mkdir -p /d/e && touch /d/f\nRUN rm -r /d && mkdir /d && touch /d/g\nRUN rm -r /d && echo file >/d\n",
    "links": "FROM busybox\nRUN echo x >/x && ln /x /y && ln -s x /z && mkfifo /p\n",
    "modes": "FROM busybox\nRUN touch /s && chmod 4755 /s && mkdir -m 1777 /t && touch /t/u && chown 5:6 /t/u\n",
    "exec-form": 'FROM busybox\nRUN ["/bin/sh", "-c", "echo \\"$HOME\\" >/exec"]\n',
    "escape": "# escape=`\nFROM busybox\nRUN echo one `\n && echo two >/two\n",
    "continuation": "FROM busybox\nRUN echo a \\\n# comment\n\n  b >/f\n",
    "ignored": "FROM busybox\nCOPY . /all\n",
    "maintainer": "FROM busybox\nMAINTAINER somebody\nRUN true\n",
    "mount-bind": "FROM busybox AS x\nRUN echo x >/x\nFROM busybox\nRUN --mount=type=bind,from=x,source=/x,target=/m cp /m /copied\n",
    "mount-tmpfs": "FROM busybox\nRUN --mount=type=tmpfs,target=/scratch touch /scratch/f && ls /scratch >/listed\n",
}  # fmt: skip
IGNORE = {"ignored": "*.log\ndir/sub\n!dir/sub/two\n.hidden\n"}
# buildah makes these for its steps, and folders for volumes, and leaves them; mount points are no part of an image of
# ours, as they are none of BuildKit's.
EXCEPTIONS = frozenset(
    ("dev", "proc", "sys", "run", "etc/hosts", "etc/hostname", "etc/resolv.conf", "run/.containerenv", "scratch", "m",
     "run/secrets", "c d", "dev/shm", "dev/pts", "dev/mqueue")
)  # fmt: skip


class Buildah:
    """buildah with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._base = ["buildah", "--root", f"{folder}/root", "--runroot", f"{folder}/runroot"]
        self._base += ["--storage-driver", "overlay"]
        self._has_base = False

    def run(self, *words: str) -> str:
        environ = {
            **os.environ,
            "BUILDAH_ISOLATION": "chroot",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
        }
        answer = subprocess.run(
            [*self._base, *words], capture_output=True, text=True, check=False, timeout=100, env=environ
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def ensure_base(self, workshop: Workshop, folder: Path) -> None:
        if not self._has_base:
            workshop.engine.images.save(["busybox"], str(folder / "busybox.tar"))
            image = self.run("pull", "-q", f"docker-archive:{folder}/busybox.tar").split()[-1]
            self.run("tag", image, "docker.io/library/busybox:latest")
            self._has_base = True


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    made = Buildah(tmp_path_factory.mktemp("buildah"))
    yield made
    # Its overlay driver leaves a mount on its own folder.
    subprocess.run(["umount", "-q", f"{made.folder}/root/overlay"], check=False)


def tree(archive: Path) -> dict[str, tuple[Any, ...]]:
    """path -> (kind, mode, owner, group, link, content) of a tar; times are not compared."""
    found: dict[str, tuple[Any, ...]] = {}
    contents: dict[str, str] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix("./").strip("/")
            source = tar.extractfile(member) if member.isfile() else None
            if source is not None:
                contents[name] = hashlib.sha256(source.read()).hexdigest()
            kind, link = member.type, member.linkname
            if member.islnk():
                kind, link = tarfile.REGTYPE, ""
                contents[name] = contents[member.linkname.removeprefix("./")]
            if name and name not in EXCEPTIONS:
                found[name] = (kind, member.mode, member.uid, member.gid, link, contents.get(name, ""))
    return found


def plain_config(config: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing of the image: empty values, the step's host name and label that buildah leaves."""
    kept = {key: value for key, value in config.items() if value not in (None, "", [], {}, False, "/")}
    labels = {k: v for k, v in (kept.get("Labels") or {}).items() if k != "io.buildah.version"}
    kept.pop("Labels", None)
    kept.pop("ArgsEscaped", None)
    kept.pop("Hostname", None)
    return {**kept, **({"Labels": labels} if labels else {})}


@pytest.mark.parametrize("name", CORPUS)
def test_the_same_as_buildah(
    workshop: Workshop, buildah: Buildah, busybox_tar: Path, tmp_path: Path, name: str
) -> None:
    for path, content in FILES.items():
        workshop.write(path, content, 0o755 if path.endswith(".sh") else 0o644)
    (workshop.folder / "link").symlink_to("a.txt")
    if name == "add-archive":
        subprocess.run(["tar", "czf", "archive.tar.gz", "dir"], cwd=workshop.folder, check=True)
    if name in IGNORE:
        workshop.write(".dockerignore", IGNORE[name])
    workshop.build(CORPUS[name])
    ours = tmp_path / "ours.tar"
    workshop.engine.images.export("made", str(ours))
    # buildah starts from our image: exchange in one direction.
    buildah.ensure_base(workshop, tmp_path)
    theirs = tmp_path / "theirs"
    target = f"docker-archive:{theirs}.tar:theirs:1"
    buildah.run("bud", "-q", "--format", "docker", "--layers=false", "-t", target, str(workshop.folder))
    # And we read what buildah made: exchange in the other.
    workshop.engine.images.load(f"{theirs}.tar")
    workshop.engine.images.export("theirs:1", str(tmp_path / "theirs-root.tar"))
    assert tree(ours) == tree(tmp_path / "theirs-root.tar")
    config, other = workshop.config(), workshop.config("theirs:1")
    assert json.loads(json.dumps(plain_config(config))) == plain_config(other)
