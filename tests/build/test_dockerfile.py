"""The Dockerfile language: lines, variables, stages, configuration, ignore patterns. No effects."""

import pytest

from runtime.build.config import CHANGES, parse_duration_ns
from runtime.build.copying import apply_mode
from runtime.build.dockerfile import DockerfileError, parse_dockerfile
from runtime.build.expand import expand, expand_words
from runtime.build.graph import plan_build
from runtime.build.ignore import Matcher, parse_ignore_file


def test_lines_are_joined_and_comments_left_out() -> None:
    text = "# escape=\\\n# a comment\nFROM a\nRUN one && \\\n  # within\n\n  two \\\nthree\n"
    run = parse_dockerfile(text).instructions[1]
    assert (run.name, run.text, run.line) == ("RUN", "one &&   two three", 4)


def test_another_escape() -> None:
    parsed = parse_dockerfile("# escape=`\nFROM a\nRUN dir C:\\ `\n x\n")
    assert parsed.escape == "`" and parsed.instructions[1].text == "dir C:\\  x"


def test_directives_end_with_the_first_other_line() -> None:
    assert parse_dockerfile("# hello\n# escape=`\nFROM a\n").escape == "\\"
    assert parse_dockerfile("#syntax=docker/dockerfile:1\n#escape=`\nFROM a").escape == "`"


def test_heredocs() -> None:
    text = "FROM a\nRUN <<EOF\nx $y\nEOF\nCOPY <<-'A' <<B /to/\n\ttabs\n\tA\nlast\nB\nRUN echo $((1<<2)) <<\"\"\n"
    _, run, copy, other = parse_dockerfile(text).instructions
    assert run.heredocs[0].content == "x $y\n" and run.heredocs[0].expand
    assert [(d.name, d.content, d.expand) for d in copy.heredocs] == [
        ("A", "tabs\n", False),
        ("B", "last\n", True),
    ]
    assert other.heredocs == ()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "empty"),
        ("FROM a\nRUM x", 2, "unknown instruction RUM"),
        ("RUN x", 1, "before the first FROM"),
        ("FROM a\nRUN <<E\nx\n", 2, "has no end"),
        ("FROM a AS A/b", 1, "not a name for a stage"),
        ("FROM a AS x\nFROM b AS X", 2, "two stages"),
        ("FROM $NOTHING", 1, "image's name is empty"),
        ("FROM a b", 1, "FROM IMAGE"),
        ("FROM --what=x a", 1, "no --what"),
        ("# escape=x\nFROM a", 1, "can escape"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        plan_build(parse_dockerfile(text), given={}, automatic={})
    assert caught.value.line == line


VARIABLES = {"A": "foo.tar.gz", "E": "", "S": "a b", "P": "a/b/c"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$A", "foo.tar.gz"),
        ("${A}x", "foo.tar.gzx"),
        ("\\$A", "$A"),
        ("'$A'", "$A"),
        ('"$A b"', "foo.tar.gz b"),
        ("${E:-x}${E-x}", "x"),
        ("${Q:+y}${A:+y}${E+z}", "yz"),
        ("${Q:-${A}}", "foo.tar.gz"),
        ("${A%.*}", "foo.tar"),
        ("${A%%.*}", "foo"),
        ("${A#*.}", "tar.gz"),
        ("${A##*.}", "gz"),
        ("${A/./_}", "foo_tar.gz"),
        ("${A//./_}", "foo_tar_gz"),
        ("${P#*/}", "b/c"),
        ("$Q-$1", "-"),
        ("a\\ b", "a b"),
        ("$", "$"),
    ],
)
def test_variables(text: str, result: str) -> None:
    assert expand(text, VARIABLES) == result


def test_words() -> None:
    assert expand_words('a $S "$S" b\\ c ""', VARIABLES) == ["a", "a", "b", "a b", "b c", ""]


@pytest.mark.parametrize("text", ["${A", "'a", '"a', "${A!x}", "${Q:?needed}", "${}"])
def test_bad_variables(text: str) -> None:
    with pytest.raises(DockerfileError):
        expand(text, VARIABLES)


def test_only_needed_stages() -> None:
    text = """
    FROM base AS one
    FROM base AS unused
    FROM one AS two
    RUN --mount=from=one,target=/x true
    FROM base
    COPY --from=two /a /b
    COPY --from=0 /a /c
    """
    plan = plan_build(parse_dockerfile(text), given={}, automatic={})
    assert plan.order == (0, 2, 3) and plan.stages[3].needs == (2, 0)
    plan = plan_build(parse_dockerfile(text), given={}, automatic={}, target="unused")
    assert plan.order == (1,)
    with pytest.raises(DockerfileError, match="no stage nope"):
        plan_build(parse_dockerfile(text), given={}, automatic={}, target="nope")


def test_arguments_before_from() -> None:
    text = "ARG V=1\nARG N=app:$V\nARG P\nFROM $N AS $P-x"
    plan = plan_build(parse_dockerfile(text), given={"V": "2", "P": "q"}, automatic={})
    assert (plan.stages[0].base, plan.stages[0].name) == ("app:2", "q-x")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ENV A=1 B='two words' C=$X", {"Env": ["PATH=/bin", "A=1", "B=two words", "C=x"]}),
        ("ENV A one two", {"Env": ["PATH=/bin", "A=one two"]}),
        ("LABEL a=b \"c d\"=e", {"Labels": {"a": "b", "c d": "e"}}),
        ("WORKDIR rel/../there", {"WorkingDir": "/start/there"}),
        ("EXPOSE 127.0.0.1:80:81/udp 1:2", {"ExposedPorts": {"2/tcp": {}, "81/udp": {}}}),
        ("EXPOSE 80 53/udp 8000-8001", {"ExposedPorts": {"53/udp": {}, "80/tcp": {}, "8000/tcp": {}, "8001/tcp": {}}}),
        ('VOLUME ["/a b", "/c"]', {"Volumes": {"/a b": {}, "/c": {}}}),
        ("VOLUME /a /$X", {"Volumes": {"/a": {}, "/x": {}}}),
        ("CMD echo $X", {"Cmd": ["/bin/sh", "-c", "echo $X"]}),
        ('CMD ["a", "$X"]', {"Cmd": ["a", "$X"]}),
        ('SHELL ["/bin/bash", "-c"]', {"Shell": ["/bin/bash", "-c"]}),
        ("HEALTHCHECK NONE", {"Healthcheck": {"Test": ["NONE"]}}),
        (
            "HEALTHCHECK --interval=1m30s --retries=2 CMD curl x",
            {"Healthcheck": {"Test": ["CMD-SHELL", "curl x"], "Interval": 90 * 10**9, "Retries": 2}},
        ),
        ("ONBUILD RUN x", {"OnBuild": ["RUN x"]}),
    ],
)  # fmt: skip
def test_configuration(line: str, expected: dict[str, object]) -> None:
    instruction = parse_dockerfile(f"FROM a\n{line}").instructions[1]
    config: dict[str, object] = {"Env": ["PATH=/bin"], "WorkingDir": "/start"}
    before = dict(config)
    CHANGES[instruction.name](config, instruction, {"X": "x"}, "\\")
    assert {key: value for key, value in config.items() if before.get(key) != value} == expected


def test_durations() -> None:
    assert parse_duration_ns("1h1m1.5s") == 3661_500_000_000
    with pytest.raises(DockerfileError):
        parse_duration_ns("5")


@pytest.mark.parametrize(
    ("patterns", "hidden", "seen"),
    [
        (["*.log"], ["a.log"], ["sub/a.log", "log"]),
        (["**/*.log"], ["a.log", "x/y/a.log"], ["a.txt"]),
        (["node_modules"], ["node_modules", "node_modules/x/y"], ["sub/node_modules"]),
        (["/abs/"], ["abs/x"], ["x/abs"]),
        (["*", "!keep"], ["a", "b/c"], ["keep", "keep/x"]),
        (["docs", "!docs/*.md", "docs/secret.md"], ["docs/a", "docs/secret.md"], ["docs/a.md"]),
        (["a?c", "[xy]z"], ["abc", "xz"], ["ac", "az"]),
        (["**"], ["a", "b/c"], []),
        (["a/**/b"], ["a/b", "a/x/y/b"], ["b"]),
        # As with Docker, a folder is taken back in only where it was left out itself.
        (["**/*.txt", "!dir"], ["dir/a.txt", "a.txt"], ["dir", "dir/b"]),
        (["*", "!dir", "dir/b"], ["a", "dir/b"], ["dir", "dir/a"]),
        (["w[[]1].txt", "x[&&~|]"], ["w[1].txt", "x&"], ["w1.txt"]),
    ],
)
def test_ignore(patterns: list[str], hidden: list[str], seen: list[str]) -> None:
    matcher = Matcher(parse_ignore_file("# comment\n\n" + "\n".join(patterns)))
    assert [path for path in hidden if not matcher.excludes(path)] == []
    assert [path for path in seen if matcher.excludes(path)] == []


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        ("755", 0o100600, 0o755),
        ("u=rwX,go=rX", 0o100600, 0o644),
        ("u=rwX,go=rX", 0o100700, 0o755),
        ("a+x", 0o100644, 0o755),
        ("go-w", 0o100666, 0o644),
        ("u+s", 0o100755, 0o4755),
    ],
)
def test_modes(change: str, before: int, after: int) -> None:
    assert apply_mode(change, before) == after
