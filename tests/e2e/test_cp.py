"""`cp` and `export`: names, owners, links, stopped containers, volumes, tar streams, and a hostile container."""

import io
import os
import subprocess
import tarfile

from tests.project import Project

FILE = """
    services:
      a: {image: IMAGE, command: sleep 1000, init: true, network_mode: none, scale: 2, volumes: ["data:/data"]}
      ro: {image: IMAGE, command: sleep 1000, init: true, network_mode: none, read_only: true}
    volumes: {data: }
"""


def _piped(project: Project, *words: str, data: bytes = b"", code: int = 0) -> bytes:
    answer = subprocess.run(
        [*project.command, *words], cwd=project.folder, env=project.environ, input=data, capture_output=True
    )
    assert answer.returncode == code, answer.stderr.decode()
    return answer.stdout


def _members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


def _make_source(project: Project) -> None:
    source = project.folder / "src"
    (source / "sub").mkdir(parents=True)
    (source / "f").write_text("hi\n")
    (source / "l").symlink_to("f")
    os.link(source / "f", source / "sub/same")
    os.chown(source / "f", 123, 456)
    (project.folder / "file").write_text("x\n")


def test_cp(project: Project) -> None:
    project.write(FILE)
    _make_source(project)
    project.run("up", "-d")

    # Going in: to all replicas, into a directory that exists, owners kept.
    told = project.run("cp", "src", "a:/tmp").stderr
    assert "project-a-1 copy src to project-a-1:/tmp Copied" in told and "project-a-2 copy src" in told
    for number in ("1", "2"):
        listed = project.run("exec", "-T", "--index", number, "a", "ls", "-ln", "/tmp/src").stdout
        assert "2 123      456" in listed and "l -> f" in listed
    project.run("cp", "src/.", "a:/tmp/new")
    assert set(project.exec("a", "ls", "/tmp/new").split()) == {"f", "l", "sub"}
    project.run("cp", "--index", "2", "file", "a:tmp/only2")
    assert project.run("exec", "-T", "--index", "1", "a", "ls", "/tmp").stdout.split() == ["new", "src"]
    mode = project.exec("a", "stat", "-c", "%a", "/tmp")
    project.run("cp", "src/.", "a:/tmp")
    assert project.exec("a", "stat", "-c", "%a", "/tmp") == mode

    # Coming out: from the first replica, the caller's, links as links.
    project.run("cp", "a:/tmp/src", "out")
    out = project.folder / "out"
    assert (out / "f").stat().st_uid == 0 and os.readlink(out / "l") == "f"
    assert (out / "f").stat().st_ino == (out / "sub/same").stat().st_ino
    project.run("cp", "a:/tmp/src", "out")
    assert (out / "src/f").read_text() == "hi\n"
    project.run("cp", "a:/tmp/src/l", "link")
    project.run("cp", "-L", "a:/tmp/src/l", "content")
    project.run("cp", "-a", "a:/tmp/src/f", "owned")
    assert os.readlink(project.folder / "link") == "f"
    assert (project.folder / "content").read_text() == "hi\n"
    assert (project.folder / "owned").stat().st_uid == 123

    # As tar streams.
    assert set(_members(_piped(project, "cp", "a:/tmp/src", "-"))) == {
        "src", "src/f", "src/l", "src/sub", "src/sub/same",
    }  # fmt: skip
    data = _piped(project, "cp", "a:/tmp/src/.", "-")
    assert _members(data)["f"].uid == 123
    _piped(project, "cp", "--index", "1", "-", "a:/data", data=data)
    assert project.exec("a", "cat", "/data/f") == "hi\n"

    for words, complaint in (
        (("src", "a:/nope/deep/x"), "Could not find the file /nope/deep in container project-a-1"),
        (("file", "a:/tmp/dir/"), "no such directory"),
        (("file", "a:/bin/busybox/x"), "Could not find the file /bin/busybox"),
        (("src", "a:/etc/passwd"), "cannot copy directory"),
        (("file", "a:/tmp/new/sub"), ""),
        (("src/f", "a:/tmp/new/sub/none/x"), "Could not find the file /tmp/new/sub/none"),
        (("file", "ro:/x"), "Read-only file system"),
        (("nofile", "a:/tmp"), "Could not find the file"),
        (("file/", "a:/tmp"), "not a directory"),
        (("a:/nope", "x"), "Could not find the file /nope in container project-a-1"),
        (("a:/tmp/src/f", "nodir/x"), "Could not find the file"),
        (("a:/tmp/src", "file"), "cannot copy directory"),
        (("a:/tmp", "ro:/tmp"), "copying between services is not supported"),
        (("x", "y"), "unknown copy direction"),
        (("zz:/tmp", "x"), "no such service: zz"),
    ):
        assert complaint in project.run("cp", *words, code=0 if words[1].endswith("sub") else 1).stderr
    assert "must be a directory" in project.run("cp", "--index", "1", "-", "a:/etc/passwd", code=1).stderr
    assert "--index" in project.run("cp", "-", "a:/tmp", code=1).stderr
    assert "copy file to project-a-1:/" in project.run("cp", "--dry-run", "file", "a:/").stdout

    # Stopped: the volumes are there too.
    project.run("stop", "-t", "0")
    project.run("cp", "a:/data/f", "from-volume")
    assert (project.folder / "from-volume").read_text() == "hi\n"
    project.run("cp", "--index", "1", "file", "a:/data/late")
    project.run("cp", "--index", "1", "file", "a:/root/late")
    assert "read-only" in project.run("cp", "file", "ro:/x", code=1).stderr
    project.run("start", "a")
    assert project.exec("a", "cat", "/data/late", "/root/late") == "x\nx\n"
    project.run("down", "-v", "-t", "0")


def test_cp_with_a_stopped_container_means_its_mounts(project: Project) -> None:
    """Options of a volume, a part of one and another image lie where the program has them."""
    bound, part = project.folder / "bound", project.folder / "part/deep"
    for folder in (bound, part):
        folder.mkdir(parents=True)
        (folder / "there").write_text("there\n")
    (project.folder / "file").write_text("x\n")
    project.write(f"""
        services:
          a:
            image: IMAGE
            command: sleep 1000
            init: true
            network_mode: none
            volumes:
              - bound:/bound
              - {{type: volume, source: part, target: /part, volume: {{subpath: deep}}}}
              - {{type: image, source: IMAGE, target: /other, image: {{subpath: etc}}}}
        volumes:
          bound: {{driver_opts: {{type: none, o: bind, device: {bound}}}}}
          part: {{driver_opts: {{type: none, o: bind, device: {part.parent}}}}}
    """)
    project.run("create")
    for folder, lower in ((bound, "/bound"), (part, "/part")):
        project.run("cp", "file", f"a:{lower}/late")
        assert (folder / "late").read_text() == "x\n"
        project.run("cp", f"a:{lower}/there", "out")
        assert (project.folder / "out").read_text() == "there\n"
    project.run("cp", "a:/other/passwd", "out")
    assert "root" in (project.folder / "out").read_text()
    assert "ead-only" in project.run("cp", "file", "a:/other/x", code=1).stderr
    project.run("down", "-v", "-t", "0")


def test_cp_is_safe_against_the_container(project: Project) -> None:
    """Links in the container mean files of the container, in both directions, also through its /proc."""
    project.write(
        "services: {a: {image: IMAGE, command: sleep 1000, init: true, network_mode: none, privileged: true}}"
    )
    (project.folder / "file").write_text("x\n")
    precious = project.folder / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious\n")
    project.run("up", "-d")
    project.exec("a", "ln", "-s", str(precious), "/way")
    project.exec("a", "ln", "-s", f"../../../../..{precious}/file", "/back")
    project.exec("a", "ln", "-s", f"/proc/1/root{precious}/file", "/magic")
    project.run("cp", "file", "a:/way", code=1)
    assert "Could not find" in project.run("cp", "-L", "a:/back", "stolen", code=1).stderr
    project.run("cp", "-L", "a:/magic", "stolen", code=1)
    assert not (project.folder / "stolen").exists()
    assert (precious / "file").read_text() == "precious\n"

    # A tree whose links lead out, unpacked on this side: nothing is written through them.
    project.exec("a", "mkdir", "-p", "/tree/d")
    project.exec("a", "ln", "-s", str(precious), "/tree/d/precious")
    project.run("cp", "a:/tree", "out")
    project.exec("a", "rm", "/tree/d/precious")
    project.exec("a", "mkdir", "/tree/d/precious")
    project.exec("a", "touch", "/tree/d/precious/file")
    assert "cannot overwrite" in project.run("cp", "a:/tree/.", "out", code=1).stderr
    assert (precious / "file").read_text() == "precious\n"
    project.run("down", "-t", "0")


def test_export(project: Project) -> None:
    project.write(FILE)
    project.run("up", "-d")
    project.exec("a", "sh", "-c", "echo made > /root/made; echo data > /data/hidden")
    assert "Exported" in project.run("export", "-o", "running.tar", "a").stderr
    project.run("stop", "-t", "0")
    stopped = _members(_piped(project, "export", "a"))
    running = _members((project.folder / "running.tar").read_bytes())
    assert set(running) == set(stopped)
    assert {"root/made", "bin/busybox", "data"} <= set(stopped)
    assert "data/hidden" not in stopped
    assert "no container #7" in project.run("export", "--index", "7", "a", code=1).stderr
    assert "export project-a-1 to x.tar" in project.run("export", "--dry-run", "-o", "x.tar", "a").stdout
    assert not (project.folder / "x.tar").exists()
    project.run("down", "-v", "-t", "0")
