"""Input that is made to be endless: each ends in one readable error within seconds."""

import time

import pytest

from composer.errors import LoadError

WEB = "services: {w: {image: a, %s}}"
CASES = {
    "a list of millions": ("x-a: [" + "a," * 1_000_000 + "]", "more than 400000 values"),
    "merge keys that double": (
        "x-a: &a {k: x}\n"
        + "".join(
            f"x-{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}' if i else '*a'] * 9)}]}}\n" for i in range(12)
        ),
        "more than 400000 values",
    ),
    "nested references": (WEB % f"user: '{'${a:-' * 10_000}{'}' * 10_000}'", "nested more than 50 deep"),
    "open references": (WEB % f"user: '{'${a:-' * 100_000}'", "closing brace is missing"),
    "a command without end": (WEB % f"command: '{'x y' * 1_000_000}'", "more than 2097152 characters"),
    "ranges of ports": (
        "services:\n" + "".join(f"  s{i}: {{image: a, ports: ['1-65535']}}\n" for i in range(5)),
        "more than 196608 ports",
    ),
    "a chain of services": (
        "services:\n"
        + "".join(f"  s{i}: {{extends: s{i + 1}}}\n" for i in range(1000))
        + "  s1000: {image: a}",
        "more than 150 services extend each other",
    ),
    "a number without end": (WEB % f"user: {'9' * 100_000}", "text is expected"),
    "an exponent": (WEB % "mem_limit: '1e999999999'", "too large"),
    "a duration without end": (WEB % f"stop_grace_period: '{'9' * 100_000}s'", "more than 100 characters"),
    "a list of everything twice": (WEB % f"cap_add: [{'{a: 1}, ' * 20_000} b]", "text is expected"),
    "zero bytes": ("services: {w: {image: a}}\0", "YAML syntax error"),
}


@pytest.mark.parametrize("name", CASES)
def test_compose_files(load, name):
    text, message = CASES[name]
    started = time.monotonic()
    with pytest.raises(LoadError) as caught:
        load(text)
    assert message in caught.value.problems[0].message
    assert len(caught.value.problems) <= 200
    assert time.monotonic() - started < 20


def test_a_file_of_100_megabytes(load, tmp_path):
    (tmp_path / "demo").mkdir()
    with (tmp_path / "demo/compose.yaml").open("wb") as stream:
        stream.truncate(100 * 2**20)
    with pytest.raises(LoadError, match="has more than 16 MB"):
        load(None)


@pytest.mark.parametrize(
    "data", [b"services: {a: {image: \xff}}", "services: {}".encode("utf-16"), bytes(range(256))]
)
def test_what_is_no_text(load, tmp_path, data):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/compose.yaml").write_bytes(data)
    with pytest.raises(LoadError, match="not UTF-8"):
        load(None)


def test_files_that_include_two_others_each(load):
    files = {f"f{i}.yaml": f"include: [f{i + 1}.yaml, f{i + 1}.yaml]\nservices: {{}}" for i in range(25)}
    with pytest.raises(LoadError, match="included"):
        load("include: [f0.yaml]", files={**files, "f25.yaml": "services: {a: {image: b}}"})


def test_a_file_that_many_services_extend_is_read_once(load):
    base = "services:\n" + "".join(f"  b{i}: {{image: a}}\n" for i in range(300))
    text = "services:\n" + "".join(
        f"  s{i}: {{extends: {{file: b.yaml, service: b{i}}}}}\n" for i in range(300)
    )
    started = time.monotonic()
    assert len(load(text, files={"b.yaml": base}).tree["services"]) == 300
    assert time.monotonic() - started < 10


def test_variables_that_double(load):
    with pytest.raises(LoadError, match="more than 4194304 characters"):
        load(WEB % "tty: true", files={".env": "A=xxxxxxxxxx\n" + "A=$A$A\n" * 60})


def test_variables_that_grow(load):
    lines = "".join(f"A{i}=${{A{i - 1}}}{'x' * 50}\n" for i in range(20_000))
    with pytest.raises(LoadError, match="the values have more than"):
        load(WEB % "tty: true", files={".env": lines})


def test_a_device_without_end(load):
    with pytest.raises(LoadError, match="more than 16 MB"):
        load(WEB % "env_file: /dev/zero")
