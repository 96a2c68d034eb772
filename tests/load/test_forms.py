"""Short forms, scalars, variables and dotenv text, one function each."""

import pytest

from composer.load.command_line import left_out, split_command
from composer.load.dotenv import DotenvError, parse_dotenv, parse_raw
from composer.load.mounts import parse_mount
from composer.load.ports import parse_ports
from composer.load.scalars import parse_plain
from composer.load.template import TemplateError, substitute


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [("", None, 80, "tcp")]),
        ("8080:80", [("", "8080", 80, "tcp")]),
        ("127.0.0.1::80/udp", [("127.0.0.1", None, 80, "udp")]),
        ("[::1]:1:2", [("::1", "1", 2, "tcp")]),
        ("1-2:3-4", [("", "1", 3, "tcp"), ("", "2", 4, "tcp")]),
        ("1-9:3", [("", "1-9", 3, "tcp")]),
        ("3-4", [("", None, 3, "tcp"), ("", None, 4, "tcp")]),
    ],
)
def test_ports(text, expected):
    got = [(p.get("host_ip", ""), p.get("published"), p["target"], p["protocol"]) for p in parse_ports(text)]
    assert got == expected


@pytest.mark.parametrize(
    "text", ["", "x", "1:", "70000", "1:70000", "1-3:1-2", "3-1", "80/foo", "1:2:3:4", "h:1:2"]
)
def test_bad_ports(text):
    with pytest.raises(ValueError, match="port"):
        parse_ports(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/x", {"type": "volume", "target": "/x"}),
        ("/var/x/", {"type": "volume", "target": "/var/x"}),
        ("vv:/x:ro", {"type": "volume", "source": "vv", "target": "/x", "read_only": True}),
        ("./a:/x", {"type": "bind", "source": "./a", "target": "/x"}),
        ("~/a:/x:rw", {"type": "bind", "source": "~/a", "target": "/x"}),
        ("C:\\a:/x", {"type": "bind", "source": "C:\\a", "target": "/x"}),
    ],
)
def test_mounts(text, expected):
    mount = parse_mount(text)
    assert {key: value for key, value in mount.items() if key not in ("bind", "volume")} == expected


@pytest.mark.parametrize("text", ["", "aa::/b", ":/data", "/a:/b:ro:x"])
def test_bad_mounts(text):
    with pytest.raises(ValueError, match="volume"):
        parse_mount(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("true", True), ("yes", "yes"), ("on", "on"), ("12:30", "12:30"), ("1_000", 1000),
        ("0755", 493), ("0o755", 493), ("0x1F", 31), ("0b11", 3), ("1e3", 1000.0), (".5", 0.5), ("1.2.3", "1.2.3"),
        ("-1", -1), ("08", 8.0), ("+", "+"), ("-", "-"), (".", "."), ("18446744073709551616", 2.0**64),
    ],
)  # fmt: skip
def test_plain_scalars(text, value):
    got = parse_plain(text)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A ${A} $$A", "a a $A"), ("${B:-x}", "x"), ("${E:-x}|${E-x}", "x|"), ("${A:+y}${B:+n}", "y"),
        ("${B:-${A}-${C:-d}}", "a-d"), ("$1 $", "$1 $"), ("${U:-a:b?c}", "a:b?c"), ("${U:-$$x}", "$x"),
    ],
)  # fmt: skip
def test_substitute(text, value):
    assert substitute(text, {"A": "a", "E": ""}.get, lambda name: None) == value


@pytest.mark.parametrize("text", ["${A", "${}", "${1A}", "${A B}", "${A:=b}", "${B:?}", "${A:-${B:?needed}}"])
def test_bad_references(text):
    with pytest.raises(TemplateError):
        substitute(text, {"A": "a"}.get, lambda name: None)


def test_dotenv():
    text = """# comment
export A=1
B = spaced # comment
C="two
lines \\"$A\\" \\$A"
D='$A raw'
E=${A}-${OUT}
F: colon
G=a#b
INHERITED
UNSET
"""
    assert parse_dotenv(text, {"OUT": "o", "INHERITED": "i"}.get).values == {
        "A": "1",
        "B": "spaced",
        "C": 'two\nlines "1" $A',
        "D": "$A raw",
        "E": "1-o",
        "F": "colon",
        "G": "a#b",
        "INHERITED": "i",
    }


@pytest.mark.parametrize(("text", "line"), [("A B=1", 1), ("A=1\n\nB%=2", 3), ("A='open\n", 1), ("A=${B", 1)])
def test_bad_dotenv(text, line):
    with pytest.raises(DotenvError) as caught:
        parse_dotenv(text, lambda name: None)
    assert caught.value.line == line


def test_raw_env_file():
    pairs = parse_raw("A='$B' # x\nC\n#d\nD\n", {"D": "d"}.get)
    assert pairs == ({"A": "'$B' # x", "D": "d"}, {"A": 1, "D": 4})


@pytest.mark.parametrize(
    ("line", "words", "rest"),
    [
        ('a \'b c\' "d\\" e" f\\ g', ["a", "b c", 'd" e', "f g"], ""),
        ("", [], ""),
        ("a '' b", ["a", "", "b"], ""),
        ("sh -c 'a && b'", ["sh", "-c", "a && b"], ""),
        ("a && b", ["a"], "&& b"),
        ("echo $(a b) `c d`", ["echo", "$(a b)", "`c d`"], ""),
    ],
)
def test_command_lines(line, words, rest):
    assert split_command(line) == words
    assert left_out(line) == rest


@pytest.mark.parametrize("line", ["a 'b", 'a "b', "a \\", "a (b)", "a `b"])
def test_bad_command_lines(line):
    with pytest.raises(ValueError, match="command line"):
        split_command(line)
