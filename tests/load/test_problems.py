"""Bad input: one readable problem per mistake, at its line, all of a file at once."""

import pytest

from composer.errors import LoadError

CASES = [
    ("services:\n  web:\n    imagee: a\n", 3, 5, "unknown key 'imagee'", "did you mean 'image'?"),
    ("services:\n  web: {image: a, ports: [x]}\n", 2, 27, "'x' in the port 'x' is not a container port", ""),
    (
        "services:\n  web: {image: a, ports: [{target: 1, published: x}]}\n",
        2,
        39,
        "'x' is neither a port nor a range",
        "",
    ),
    ("services:\n  web: {image: a, secrets: [{target: x}]}\n", 2, 29, "lacks the key 'source'", ""),
    ('include: ["a\\0b"]\n', 1, 11, "no file can have this name", ""),
    ("services:\n  web: {image: a, tty: maybe}\n", 2, 19, "'maybe' is not true or false", ""),
    ("services:\n  web: {image: a, mem_limit: 1gi}\n", 2, 19, "'gi' is not a unit of size", ""),
    ("services:\n  web: {image: a, stop_grace_period: '5'}\n", 2, 19, "lacks a unit", ""),
    ("services:\n  web: {image: [a]}\n", 2, 9, "text is expected, not a list", ""),
    ("services:\n  web:\n    image: a\n    image: b\n", 4, 5, "already defined at line 3", ""),
    ("services:\n\tweb: 1\n", 2, 1, "YAML syntax error", "indent with spaces"),
    ("services:\n  web: *x\n", 2, 8, "refers to no anchor", ""),
    ("services:\n  web: &x {image: a, x-y: *x}\n", 2, 8, "contains it", ""),
    ("services:\n  web: {command: a}\n", 2, 3, "neither an image nor a build", ""),
    ("services:\n  web: {image: a, networks: [n]}\n", 2, 30, "the network 'n' is not defined", "declare 'n'"),
    ("services:\n  web: {image: a, volumes: ['vv:/v']}\n", 2, 29, "the volume 'vv' is not defined", "./vv"),
    ("services:\n  web: {image: a, secrets: [s]}\n", 2, 29, "the secret 's' is not defined", ""),
    ("services:\n  web: {image: a, depends_on: [db]}\n", 2, 32, "depends on 'db', which is not defined", ""),
    ("services:\n  web: {image: a, links: [db]}\n", 2, 19, "depends on 'db', which is not defined", ""),
    ("services:\n  web: {image: a, depends_on: [web]}\n", 2, 19, "web -> web", ""),
    ("services:\n  web: {image: '${X:?say x}'}\n", 2, 9, "variable X has no value: say x", "set X"),
    ("services:\n  web: {image: '${X'}\n", 2, 9, "closing brace is missing", ""),
    ("services:\n  web: {image: a, extends: b}\n", 2, 19, "'b' to extend is not defined", ""),
    ("services: []\n", 1, 1, "services must be a mapping", ""),
    ("services:\n  1: {image: a}\n", 2, 3, "key that is not text", "quotes"),
    (
        "services:\n  web: {image: a, network_mode: host, networks: [n]}\nnetworks: {n: {}}\n",
        2,
        19,
        "exclude",
        "",
    ),
    ("services:\n  web: {image: a, container_name: cc, scale: 2}\n", 2, 19, "2 containers cannot all", ""),
    ("services:\n  web: {image: a, environment: {A: 2024-01-31}}\n", 2, 33, "the date 2024-01-31", ""),
]


@pytest.mark.parametrize(("text", "line", "column", "message", "hint"), CASES)
def test_problem_is_told_at_its_place(load, tmp_path, text, line, column, message, hint):
    with pytest.raises(LoadError) as caught:
        load(text)
    problem = caught.value.problems[0]
    assert message in problem.message
    assert hint in problem.hint
    assert problem.origin == (f"{tmp_path}/demo/compose.yaml", line, column)
    source, caret = problem.snippet.split("\n")
    assert source == text.split("\n")[line - 1]
    assert caret.index("^") == column - 1


def test_all_problems_of_a_file_at_once(load):
    text = "services:\n  a: {image: 1, portz: []}\n  b: {image: x, tty: maybe, command: {}}\n"
    with pytest.raises(LoadError) as caught:
        load(text)
    assert sorted(problem.path for problem in caught.value.problems) == [
        "services.a.image",
        "services.a.portz",
        "services.b.command",
        "services.b.tty",
    ]


def test_alias_bomb_is_refused(load):
    lines = ["x-a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"x-{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    with pytest.raises(LoadError, match="more than 400000 values"):
        load("\n".join([*lines, "services: {w: {image: a}}"]))


@pytest.mark.parametrize("text", ["[" * 100_000, "services: " + "{a: " * 5000])
def test_deep_nesting_is_refused(load, text):
    # Newer releases of libyaml refuse it themselves, in words of their own.
    with pytest.raises(LoadError, match=r"levels of nesting|maximum nesting depth"):
        load(text)


@pytest.mark.parametrize(("name", "text"), [("f.yaml", ""), ("f.yaml", "# only a comment\n")])
def test_empty_file(load, name, text):
    with pytest.raises(LoadError, match="is empty"):
        load(None, files={name: text}, named=(name,))


def test_files_that_include_or_extend_each_other(load):
    with pytest.raises(LoadError, match="include each other"):
        load("include: [b.yaml]", files={"b.yaml": "include: [compose.yaml]"})
    with pytest.raises(LoadError, match="extend each other"):
        load("services: {a: {extends: b}, b: {extends: a}}")


def test_conflict_with_an_included_file(load):
    files = {"b.yaml": "services: {web: {image: other}}"}
    with pytest.raises(LoadError, match="defined differently"):
        load("include: [b.yaml]\nservices: {web: {image: a}}", files=files)


def test_bad_dotenv_names_file_and_line(load, tmp_path):
    with pytest.raises(LoadError) as caught:
        load("services: {w: {image: a}}", files={".env": "A=1\nB C=2\n"})
    assert caught.value.problems[0].origin == (f"{tmp_path}/demo/.env", 2, 1)
