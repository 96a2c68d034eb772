"""Builds for real: steps, cache, mounts, contexts, failures."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from runtime import EngineError
from runtime.build.request import BuildSecret
from tests.build.conftest import Workshop, serve_files

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="builds need root")


def test_a_change_is_built_and_nothing_else(workshop: Workshop) -> None:
    workshop.write("a.txt", "1")
    workshop.write("b.txt", "1")
    dockerfile = "FROM busybox\nCOPY a.txt /\nRUN cp /a.txt /copy\nCOPY b.txt /\nRUN true\n"
    first = workshop.build(dockerfile)
    assert workshop.cached == ["done"] * 4
    assert workshop.build(dockerfile) == first and workshop.cached == ["cached"] * 4
    workshop.write("b.txt", "2")
    assert workshop.build(dockerfile) != first
    assert workshop.cached == ["cached", "cached", "done", "done"]
    # The content counts, not the time.
    os.utime(workshop.folder / "a.txt", (1, 1))
    workshop.build(dockerfile)
    assert workshop.cached == ["cached"] * 4
    (workshop.folder / "a.txt").chmod(0o600)
    workshop.build(dockerfile)
    assert workshop.cached == ["done"] * 4


def test_what_counts_for_the_cache_of_run(workshop: Workshop) -> None:
    dockerfile = "FROM busybox\nARG A=1\nLABEL l=x\nARG UNUSED\nRUN echo $A >/a\n"
    workshop.build(dockerfile)
    workshop.build(dockerfile.replace("l=x", "l=y"))
    assert workshop.cached == ["cached"]  # a label is no input of RUN
    workshop.build(dockerfile, args={"A": "2"})
    assert workshop.cached == ["done"] and workshop.text("a") == "2\n"
    workshop.build(dockerfile, args={"A": "2", "HTTP_PROXY": "http://x"})
    assert workshop.cached == ["cached"]  # nor is a proxy
    workshop.build("FROM busybox\nARG A=2\nENV B=1\nARG UNUSED\nRUN echo $A >/a\n")
    assert workshop.cached == ["done"]
    workshop.build(dockerfile, no_cache=True)
    assert workshop.cached == ["done"]


def test_stages(workshop: Workshop) -> None:
    workshop.build(
        """
        FROM busybox AS tools
        RUN mkdir /out && echo tool >/out/tool && chown 5:6 /out/tool && ln -s tool /out/link
        FROM busybox AS never
        RUN false
        FROM scratch
        COPY --from=tools /out/ /bin/
        COPY --from=tools --chown=7:8 --chmod=751 /out/tool /other
        ENTRYPOINT ["/bin/tool"]
        """
    )
    files = workshop.files()
    assert sorted(files) == ["bin", "bin/link", "bin/tool", "other"]
    assert (files["bin/tool"].uid, files["bin/tool"].gid) == (5, 6)
    assert (files["other"].uid, files["other"].gid, files["other"].mode) == (7, 8, 0o751)
    assert files["bin/link"].linkname == "tool"
    assert workshop.config()["Entrypoint"] == ["/bin/tool"]


def test_copy(workshop: Workshop) -> None:
    workshop.write("dir/sub/x.txt", "x")
    workshop.write("dir/y.log", "y")
    workshop.write("dir/z.txt", "z", 0o755)
    workshop.write(".dockerignore", "*.md\nsecret\n!README.md\n")
    for name in ("README.md", "other.md", "secret/key"):
        workshop.write(name, name)
    (workshop.folder / "dir/link").symlink_to("z.txt")
    workshop.build(
        """
        FROM busybox
        WORKDIR /w
        COPY dir one
        COPY dir/*.txt dir/y.log two/
        COPY --exclude=*.log dir three
        COPY --parents dir/sub/x.txt /four/
        COPY --parents ./dir/./s*/x.txt dir/./z.txt /seven/
        COPY . /all
        COPY dir/link /five
        COPY --chown=nobody:7 --chmod=u=rw,go=r <<one.txt <<'two.txt' /six/
        home: $HOME${NOTHING:-!}
        one.txt
        raw: $HOME
        two.txt
        """.replace("nobody", "worker")
    )
    files = workshop.files()
    names = {name for name in files if name.startswith(("w/", "four", "all", "five", "six", "seven"))}
    assert names == {
        "w/one", "w/one/sub", "w/one/sub/x.txt", "w/one/y.log", "w/one/z.txt", "w/one/link",
        "w/two", "w/two/z.txt", "w/two/y.log",
        "w/three", "w/three/sub", "w/three/sub/x.txt", "w/three/z.txt", "w/three/link",
        "seven", "seven/sub", "seven/sub/x.txt", "seven/z.txt", "four", "four/dir", "four/dir/sub", "four/dir/sub/x.txt",
        "all", "all/Dockerfile", "all/.dockerignore", "all/README.md", "all/dir", "all/dir/sub", "all/dir/sub/x.txt",
        "all/dir/y.log", "all/dir/z.txt", "all/dir/link", "five", "six", "six/one.txt", "six/two.txt",
    }  # fmt: skip
    assert files["w/one/z.txt"].mode == 0o755 and files["w/one/link"].issym()
    assert files["five"].isfile() and workshop.text("five") == "z"
    assert (files["six/one.txt"].uid, files["six/one.txt"].gid, files["six/one.txt"].mode) == (1000, 7, 0o644)
    assert workshop.text("six/one.txt") == "home: !\n" and workshop.text("six/two.txt") == "raw: $HOME\n"


def test_add_unpacks_archives_and_fetches(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/file").write_text("inside")
    subprocess.run(
        ["tar", "czf", str(workshop.folder / "a.tar.gz"), "-C", str(tmp_path), "inner"], check=True
    )
    workshop.write("plain.gz", "no archive")
    server, url = serve_files(workshop.folder)
    try:
        workshop.build(
            f"FROM busybox\nADD a.tar.gz plain.gz /x/\nCOPY a.tar.gz /y/\nADD {url}/plain.gz /z/\nADD {url}/a.tar.gz /z/\n"
        )
        files = workshop.files()
        assert workshop.text("x/inner/file") == "inside" and files["x/plain.gz"].isfile()
        assert "y/a.tar.gz" in files and "z/a.tar.gz" in files and files["z/plain.gz"].mode == 0o600
        with pytest.raises(EngineError, match="has the checksum sha256:"):
            workshop.build(f"FROM busybox\nADD --checksum=sha256:{'0' * 64} {url}/plain.gz /z/\n")
    finally:
        server()


def test_run_is_a_container(workshop: Workshop) -> None:
    workshop.build(
        """
        FROM busybox
        ENV A=b
        USER worker
        WORKDIR /tmp
        RUN id -u; pwd; echo $A $HOME; grep Seccomp: /proc/self/status; grep CapEff /proc/self/status; ip -o -4 addr show eth0 | wc -l
        RUN --network=none ip link | grep -c eth0 || true
        USER root
        RUN ["/bin/sh", "-c", "echo exec form; cat /etc/hosts | grep -c localhost; touch /made; rm /bin/vi"]
        RUN <<EOF
        set -e
        echo from a document
        EOF
        RUN <<EOF
        #!/bin/busybox ash
        echo from a script $0
        EOF
        """
    )
    lines = workshop.output.split("\n")
    assert lines[:4] == ["1000", "/tmp", "b /home/worker", "Seccomp:\t2"]
    assert lines[4].endswith("0000000000000000") and lines[5] == "1" and lines[6] == "0"
    assert lines[7] == "exec form" and "from a document" in lines
    assert "from a script /dev/pipes/EOF" in lines
    files = workshop.files()
    assert "made" in files and "bin/vi" not in files
    # Mount points of the step are no part of the image.
    assert "etc/resolv.conf" not in files and "dev/null" not in files


def test_mounts(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    workshop.write("src/file", "from the context")
    workshop.write("hidden", "x")
    workshop.write(".dockerignore", "hidden\n")
    monkeypatch.setenv("TOKEN", "from a variable")
    (tmp_path / "key").write_text("from a file")
    agent = socket.socket(socket.AF_UNIX)
    agent.bind(str(tmp_path / "agent"))
    dockerfile = """
    FROM busybox AS other
    RUN echo other >/o
    FROM busybox
    RUN --mount=target=/ctx cat /ctx/src/file; ls /ctx; touch /ctx/x || echo read-only
    RUN --mount=target=/ctx,rw touch /ctx/x && ls /ctx/x
    RUN --mount=from=other,source=/o,target=/o cat /o
    RUN --mount=type=cache,target=/cache,id=c echo n >>/cache/n; wc -l </cache/n
    RUN --mount=type=tmpfs,target=/scratch mount | grep -c "/scratch type tmpfs"
    RUN --mount=type=secret,id=key --mount=type=secret,id=token,env=TOKEN cat /run/secrets/key; echo; echo $TOKEN; stat -c %a /run/secrets/key
    RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo agent
    """
    options = {
        "secrets": (BuildSecret("key", str(tmp_path / "key")), BuildSecret("token", "", "TOKEN")),
        "ssh": {"default": str(tmp_path / "agent")},
    }
    workshop.build(dockerfile, **options)
    assert workshop.output.split("\n") == [
        "from the contextDockerfile", "src", "touch: /ctx/x: Read-only file system", "read-only",
        "/ctx/x", "other", "1", "1", "from a file", "from a variable", "400", "agent",
    ]  # fmt: skip
    assert not (workshop.folder / "x").exists()
    assert not {"ctx", "o", "cache", "scratch", "run"} & set(workshop.files())
    workshop.build(dockerfile.replace("id=c", "id=c,sharing=locked"), **options)
    assert "2" in workshop.output.split("\n")  # the cache is still there
    agent.close()


def test_a_failed_step_says_all(workshop: Workshop) -> None:
    workshop.write("keep", "1")
    with pytest.raises(EngineError) as caught:
        workshop.build("FROM busybox\nCOPY keep /\nRUN echo before; \\\n  echo why >&2; exit 3\n")
    text = str(caught.value)
    assert "line 3: RUN echo before;" in text and "exit code 3" in text and "  why" in text
    # What was done before is not done again.
    with pytest.raises(EngineError):
        workshop.build("FROM busybox\nCOPY keep /\nRUN echo before; \\\n  echo why >&2; exit 3\n")
    assert workshop.cached[0] == "cached"
    with pytest.raises(EngineError, match="Dockerfile:2: nothing is not there to be copied"):
        workshop.build("FROM busybox\nCOPY nothing /\n")
    with pytest.raises(EngineError, match="exit code 127"):
        workshop.build('FROM busybox\nRUN ["/no/such"]\n')
    assert "made" not in [row.repository for row in workshop.engine.images.list()]


def test_onbuild_and_arguments(workshop: Workshop) -> None:
    workshop.write("app", "app")
    workshop.build("FROM busybox\nONBUILD COPY app /app\nONBUILD RUN cat /app\n", names=("parent",))
    workshop.build('FROM parent\nARG TARGETARCH\nENV ARCH=$TARGETARCH\nCMD ["x"]\nENTRYPOINT ["y"]\n')
    assert workshop.output == "app" and workshop.text("app") == "app"
    config = workshop.config()
    assert "OnBuild" not in config and config["Cmd"] == ["x"] and "ARCH=amd64" in config["Env"]
    workshop.build("FROM busybox\nENTRYPOINT y\n")
    assert "Cmd" not in workshop.config()


def test_triggers_take_files_from_stages(workshop: Workshop) -> None:
    trigger = (
        "ONBUILD COPY --from=made /file /got\nONBUILD RUN --mount=from=more,target=/m cp /m/file /more\n"
    )
    stages = "FROM busybox AS made\nRUN echo made >/file\nFROM busybox AS more\nRUN echo more >/file\n"
    workshop.build(f"FROM busybox\n{trigger}", names=("parent",))
    # Of an image, and of another stage.
    for text in (f"{stages}FROM parent\n", f"{stages}FROM busybox AS parent\n{trigger}FROM parent\n"):
        workshop.build(text)
        assert (workshop.text("got"), workshop.text("more")) == ("made\n", "more\n")


def test_arguments_of_the_builder(workshop: Workshop) -> None:
    dockerfile = "FROM busybox\nRUN --mount=type=cache,target=/c,id=x hostname; cat /c/f || echo new >/c/f\n"
    workshop.build(dockerfile)
    assert workshop.output.startswith("buildkitsandbox\n")
    # Another name and another cache; the name counts for the cache of steps, as in BuildKit.
    workshop.build(args={"BUILDKIT_SANDBOX_HOSTNAME": "other", "BUILDKIT_CACHE_MOUNT_NS": "own"})
    assert workshop.output.startswith("other\n") and "new" not in workshop.output
    workshop.build(args={"BUILDKIT_SANDBOX_HOSTNAME": "third"})
    assert workshop.output == "third\nnew"
    assert not [news for news in workshop.news if "build argument" in str(news.get("status"))]


def test_a_build_tells_what_is_advised_against(workshop: Workshop) -> None:
    text = "# syntax=example/language:1\nFROM busybox\nCMD echo $X\nENV A=$B\n"
    for _ in range(2):
        workshop.build(text)
        told = [news["status"] for news in workshop.news if str(news.get("status")).startswith("warning")]
        assert told == [
            "warning: JSONArgsRecommended: JSON arguments recommended for CMD: signals do not reach a program "
            "behind a shell (line 3)",
            "warning: UndefinedVar: nothing defines the variable $B (line 4)",
            "warning: syntax=example/language:1: other languages than the Dockerfile's are not known",
        ]
    with pytest.raises(EngineError, match=r"check=error=true.*UndefinedVar: .* \(line 3\)"):
        workshop.build("# check=error=true\nFROM busybox\nENV A=$B\n")
    workshop.build(args={"BUILDKIT_DOCKERFILE_CHECK": "skip=UndefinedVar;error=true"})
    workshop.build("# syntax=docker/dockerfile:1\n# check=skip=all\nFROM busybox\nENV A=$B\n")
    assert not [news for news in workshop.news if str(news.get("status")).startswith("warning")]


def test_additional_contexts_and_targets(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/file").write_text("more")
    contexts = {"extra": str(tmp_path / "more"), "base": "docker-image://busybox"}
    workshop.build(
        "FROM base AS a\nCOPY --from=extra file /f\nFROM a AS b\nRUN false\n",
        additional_contexts=contexts,
        target="a",
    )
    assert workshop.text("f") == "more"


def test_contexts_of_other_kinds(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write("file", "content")
    workshop.write("sub/Dockerfile", "FROM busybox\nCOPY file /f\n")
    archive = tmp_path / "context.tar.gz"
    subprocess.run(["tar", "czf", str(archive), "-C", str(workshop.folder), "."], check=True)
    workshop.build(context=str(archive), dockerfile="sub/Dockerfile")
    assert workshop.text("f") == "content"
    workshop.build(context=str(workshop.folder), dockerfile_inline="FROM busybox\nCOPY file /inline\n")
    assert workshop.text("inline") == "content"


def test_the_same_bytes_with_a_source_date(workshop: Workshop) -> None:
    dockerfile = "FROM scratch\nCOPY a /\nCOPY <<x /\nhello\nx\n"
    workshop.write("a", "1")
    args = {"SOURCE_DATE_EPOCH": "1000000000"}
    first = workshop.build(dockerfile, args=args)
    os.utime(workshop.folder / "a", None)
    assert workshop.build(dockerfile, args=args, no_cache=True) == first
    assert workshop.engine.images.inspect("made")["Created"] == "2001-09-09T01:46:40Z"


def test_links_in_the_image_lead_nowhere_outside(workshop: Workshop, tmp_path: Path) -> None:
    target = tmp_path / "outside"
    target.mkdir()
    workshop.write("a", "evil")
    workshop.build(
        f"FROM busybox\nRUN mkdir -p {target} && ln -s {target} /link && ln -s /etc/passwd /passwd\nCOPY a /link/a\nCOPY a /passwd\n"
    )
    assert list(target.iterdir()) == [] and workshop.text("passwd") == "evil"
    assert Path("/etc/passwd").read_text() != "evil"
    workshop.build(
        f"FROM busybox AS x\nRUN ln -s {tmp_path} /out\nFROM busybox\nRUN mkdir -p {tmp_path}\nCOPY --from=x /out/* /got/\n"
    )
    assert not [name for name in workshop.files() if name.startswith("got/")]


def test_a_built_image_of_another_platform_is_refused(workshop: Workshop) -> None:
    with pytest.raises(EngineError, match="linux/s390x can't be built on"):
        workshop.build("FROM busybox\n", platforms=("linux/s390x",))


def test_many_layers(workshop: Workshop) -> None:
    lines = "".join(f"COPY a /f{number}\n" for number in range(125))
    workshop.write("a", "x")
    workshop.build(f"FROM busybox\n{lines}RUN ls /f124 >/last\n")
    assert workshop.text("last") == "/f124\n"
