"""Templates of --format give what Go's text/template with Docker's functions gives for the same data."""

from typing import Any

import pytest

from composer.errors import ComposeError
from composer.output.formats import check_format, format_list, format_object, format_objects
from composer.output.template import TemplateError, parse_template, render

DATA: dict[str, Any] = {
    "s": "hello world",
    "n": 3.5,
    "t": True,
    "f": False,
    "l": ["a", "b", "c"],
    "e": [],
    "m": {"x": "1", "a.b": "2"},
    "em": {},
    "nest": {"k": {"ip": "1.2.3.4"}, "j": {"ip": "5"}},
    "q": 'a"b<c>&',
    "u": "äöü",
    "rows": [{"n": "a", "v": True}, {"n": "b", "v": False}],
    "empty": "",
}

# What Go prints: made with text/template of Go 1.19 and Docker's functions.
TEMPLATES = {
    "{{.n}} {{.t}} {{.l}} {{.e}} {{.m}} {{.em}}": "3.5 true [a b c] [] map[a.b:2 x:1] map[]",
    "{{.missing}} {{.missing.deeper}}": "<no value> <no value>",
    "{{json .q}} {{json .m}} {{.l | json}}": '"a\\"b<c>&" {"a.b":"2","x":"1"} ["a","b","c"]',
    "{{range $i, $e := .l}}{{if $i}},{{end}}{{$i}}={{$e}}{{end}}": "0=a,1=b,2=c",
    "{{range .e}}x{{else}}none{{end}}": "none",
    "{{range $k, $v := .nest}}{{$k}}:{{$v.ip}} {{end}}": "j:5 k:1.2.3.4 ",
    "{{range .rows}}{{if .v}}{{.n}}{{else}}not {{.n}}{{end}} {{end}}": "a not b ",
    "{{range .l}}{{if eq . `b`}}{{continue}}{{end}}{{.}}{{end}}": "ac",
    "{{range .l}}{{if eq . `b`}}{{break}}{{end}}{{.}}{{end}}": "a",
    "{{with .em}}a{{else}}b{{end}}{{with $x := .s}}{{$x}} {{$.n}}{{end}}": "bhello world 3.5",
    '{{if eq .s "x"}}1{{else if eq .s "hello world"}}2{{else}}3{{end}}': "2",
    '{{or .empty "dflt"}} {{or "" 0 "z"}} {{and 1 0 2}} {{and .s .l}}': "dflt z 0 [a b c]",
    '{{eq "a" "b" "a"}} {{ne "a" "b"}} {{lt 1 2}} {{le 2 2}} {{gt 3 2}} {{ge 2 3}} {{not .t}}': "true true true true true false false",
    "{{len .s}} {{len .u}} {{len .l}} {{len .m}}": "11 6 3 2",
    '{{index .l 1}} {{index .m "a.b"}} {{index .nest "k" "ip"}}|{{(index .rows 0).n}} {{(.nest).k.ip}}': "b 2 1.2.3.4|a 1.2.3.4",
    "{{slice .s 1 3}} {{slice .l 1}}": "el [b c]",
    '{{print "a" "b" 1 2 "c"}} {{print 1 2}} {{println "a" 1}}': "ab1 2c 1 2 a 1\n",
    '{{printf "%5d|%-5d|%05d|%+d|%x|%c|%U" 42 42 42 42 255 65 65}}': "   42|42   |00042|+42|ff|A|U+0041",
    '{{printf "%10s|%-10s|%.3s" "abcdef" "ab" "abcdef"}}': "    abcdef|ab        |abc",
    '{{printf "%f|%.2f|%e|%g" 3.14159 3.14159 3.14159 3.14159}}': "3.141590|3.14|3.141590e+00|3.14159",
    '{{printf "%d" 1.5}} {{printf "%s" 1}} {{printf "%d"}} {{printf "x" 1}} {{printf "%%"}}': "%!d(float64=1.5) %!s(int=1) %!d(MISSING) x%!(EXTRA int=1) %",
    '{{printf "%s %q %v" .l .l .m}} {{printf "%*d" 5 42}}': '[a b c] ["a" "b" "c"] map[a.b:2 x:1]    42',
    '{{.s | upper | printf "%.5s"}} {{"a" | printf "%s-%s" "b"}}': "HELLO b-a",
    '{{title .s}} {{lower "ABC"}} {{index (split "a,b" ",") 1}} {{pad .s 1 2}}| {{truncate .s 4}}': "Hello World abc b  hello world  | hell",
    "{{$x := 1}}{{$x}}{{$x = 2}}{{$x}}{{if .t}}{{$x = 3}}{{end}}{{$x}}": "123",
    "  {{- .s -}}  |{{/* c */}}x{{- /* c */ -}}  y": "hello world|xy",
    "a\n{{- range .l -}}\n{{.}} \n{{- end}}": "aabc",
    '{{"quoted \\"x\\" \\u00e9"}} {{`raw \\n`}} {{\'a\'}}': 'quoted "x" é raw \\n 97',
    "{{1}} {{-1}} {{0x1F}} {{017}} {{1_000}} {{1.5e3}} {{.5}} {{1e21}} {{1000000.0}}": "1 -1 31 15 1000 1500 0.5 1e+21 1e+06",
    '{{urlquery "a b&c/~é"}} {{"}}"}}': "a+b%26c%2F~%C3%A9 }}",
    "no action at all": "no action at all",
}

WRONG = {
    "{{.s.x}}": (4, "a text has no field x"),
    '{{eq "1" 1}}': (2, "a text cannot be compared with a whole number"),
    "{{index .l 5}}": (2, "there is no element 5, only 3"),
    "{{$y}}": (2, "there is no variable $y"),
    "{{if .t}}{{$y := 1}}{{end}}{{$y}}": (29, "there is no variable $y"),
    "{{break}}": (2, "break outside of a range"),
    "{{end}}": (2, "{{end}} without a beginning"),
    "{{if .t}}": (2, "this if has no {{end}}"),
    "x {{if}}y{{end}}": (6, "a value is missing here"),
    "{{foo .s}}": (2, "there is no function foo"),
    "{{.s": (0, "this {{ has no }}"),
    "{{/* x }}": (2, "'/' has no meaning here"),
    "{{.s | 3}}": (7, "only a function can follow a |"),
    '{{.s "b"}}': (2, "only a function takes arguments"),
    "{{range .s}}{{end}}": (8, "range goes over a list or a map, this is a text"),
    "{{if .t}}a{{else}}b{{else}}c{{end}}": (21, "there is an else before"),
    "{{(.s}}": (2, "this ( has no )"),
    "{{upper .n}}": (2, "a number where a text is expected"),
    "{{truncate .s}}": (2, "truncate takes 2 arguments, not 1"),
    "{{define `x`}}": (2, "define is not supported"),
    "{{" + "(" * 200 + "}}": (102, "more than 100 nested"),
}


@pytest.mark.parametrize(("template", "text"), TEMPLATES.items())
def test_as_go(template: str, text: str) -> None:
    assert render(parse_template(template), DATA) == text


@pytest.mark.parametrize(("template", "problem"), WRONG.items())
def test_what_is_wrong_is_told_with_its_place(template: str, problem: tuple[int, str]) -> None:
    with pytest.raises(TemplateError) as caught:
        render(parse_template(template), DATA)
    assert (caught.value.offset, caught.value.message) == problem


def test_output_is_bounded() -> None:
    with pytest.raises(TemplateError, match="output has more than"):
        render(parse_template('{{range 10000}}{{printf "%9999s" ""}}{{end}}'), DATA)


def test_tables_lists_and_objects() -> None:
    rows = [{"Name": "web", "Ports": "80"}, {"Name": "a-long-name-indeed", "Ports": ""}]
    headings = {"Name": "NAME", "Ports": "PORTS"}
    labels: list[dict[str, str]] = [{"tier": "front"}, {}]

    def lines(format: str) -> list[str]:
        return format_list(format, rows, headings, ("Name", "Ports"), labels)

    assert lines("table")[0].splitlines()[1] == "web                  80"
    assert lines(r"table {{upper .Name}}\t{{.Ports}}") == [
        "NAME                 PORTS",
        "WEB                  80",
        "A-LONG-NAME-INDEED   ",
    ]
    assert lines('{{.Name}} {{.Label "tier"}}') == ["web front", "a-long-name-indeed "]
    assert lines("{{json .}}")[0] == '{"Name":"web","Ports":"80"}' and lines(r"{{.Ports}}\tx")[0] == "80\tx"
    with pytest.raises(ComposeError, match="character 3: there is no field name; there is Name"):
        lines("{{.name}}")
    document = {
        "State": {"Status": "running"},
        "Config": {"Labels": {"a": "1"}, "Cmd": None},
        "HostConfig": {"PidsLimit": None},
    }
    for template, text in (
        ("{{if .State.Health}}x{{else}}none{{end}}", "none"),
        ('{{.Config.Labels.no}}|{{index .Config.Labels "no"}}|{{.Config.Cmd}}', "<no value>||[]"),
        ("{{json .Config}} {{.HostConfig}}", '{"Labels":{"a":"1"},"Cmd":null} {<nil>}'),
    ):
        assert format_object(template, document) == text
    assert format_objects("json", [document])[0].startswith('[{"State":{')
    with pytest.raises(ComposeError, match="there is no field Nope"):
        format_object("{{.State.Nope}}", document)
    with pytest.raises(ComposeError, match="--format 'jsno' is not one of table, json"):
        check_format("jsno")
