"""Whatever a file holds, loading it ends in a project or in a deliberate error. `atheris_load.py` goes on for hours."""

import copy
import json
import os
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import composer
from composer.load.command_line import split_command
from composer.load.dotenv import DotenvError, parse_dotenv, parse_raw
from composer.load.mounts import parse_mount
from composer.load.ports import parse_ports
from composer.load.quick_check import compile_check
from composer.load.schema import is_valid
from composer.load.template import TemplateError, substitute
from composer.values import parse_duration_ns, parse_size_bytes
from schemas import compose_schema
from tests.fuzz.target import load_files

SCHEMA = compose_schema()
TIMES = int(os.environ.get("PYCOMPOSE_FUZZ", "1"))  # how many times as many examples as in the suite
SOME = settings(max_examples=40 * TIMES, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=100 * TIMES, deadline=None, suppress_health_check=list(HealthCheck))

# Pieces that mean something somewhere in a Compose file.
WORDS = st.sampled_from(
    [
        "a",
        "b",
        "web",
        "i",
        "80",
        "80:80",
        "1-9:1-9/udp",
        "./x",
        "/x",
        "~/x",
        "x:/y",
        "x:/y:ro",
        "1g",
        "512m",
        "10s",
        "1h30m",
        "-1",
        "0",
        "0.5",
        "1e9",
        "true",
        "no",
        "null",
        "$SET",
        "${NOPE:-x}",
        "${NOPE:?}",
        "$$",
        "${",
        "service:a",
        "container:x",
        "host",
        "none",
        "A=b",
        "=b",
        "A=",
        "ALL",
        "unlimited",
        "2024-01-01",
        ".inf",
        ".nan",
        "0x1F",
        "0755",
        "a.b",
        "a:b:c",
        "CMD",
        "NONE",
        "bind",
        "volume",
        "tmpfs",
        "service_started",
        "service_healthy",
        "x-y",
        "<<",
        "*",
        "&",
        "!",
        "[",
        "{",
        "'",
        "|",
        "%",
    ]
)
TEXTS = st.one_of(WORDS, st.text(string.printable, max_size=8), st.text(max_size=4))
SCALARS = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.sampled_from([0, 1, -1, 2**63, 10**40]),
)
KEYS = sorted(
    {key for part in SCHEMA["$defs"].values() for key in part.get("properties", ())}
    | set(SCHEMA["$defs"]["service"]["properties"])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), TEXTS), inner, max_size=3),
    ),
    max_leaves=8,
)
SERVICES = st.dictionaries(
    st.sampled_from(sorted(SCHEMA["$defs"]["service"]["properties"])), VALUES, max_size=4
)
RESOURCES = st.dictionaries(st.sampled_from(["a", "b", "web"]), VALUES, max_size=2)
DOCUMENTS = st.fixed_dictionaries(
    {"services": st.dictionaries(st.sampled_from(["a", "b", "web"]), SERVICES, min_size=1, max_size=3)},
    optional={
        **dict.fromkeys(("networks", "volumes", "secrets", "configs", "models"), RESOURCES),
        "name": TEXTS,
        "include": VALUES,
        "x-own": VALUES,
    },
)


def _with_images(document: dict[str, Any]) -> bytes:
    for service in document["services"].values():
        service.setdefault("image", "i")
    return yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass")


@SOME
@given(st.binary(max_size=200))
def test_bytes(data: bytes) -> None:
    load_files({"compose.yaml": data})


@SOME
@given(st.lists(TEXTS, max_size=30).map(" ".join), TEXTS)
def test_text_that_looks_like_yaml(text: str, value: str) -> None:
    load_files(
        {"compose.yaml": f"services:\n a: {{image: i}}\n b: {value}\n{text}".encode("utf-8", "replace")}
    )


@MANY
@given(DOCUMENTS)
def test_documents(document: dict[str, Any]) -> None:
    load_files({"compose.yaml": _with_images(document)})


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _paths(item, (*path, key))


EVERYTHING = yaml.safe_load((Path(__file__).parent / "everything.yaml").read_text())
PATHS = sorted(_paths(EVERYTHING), key=repr)


def _changed(changes: list[tuple[tuple[Any, ...], Any]]) -> bytes:
    document = copy.deepcopy(EVERYTHING)
    for path, value in changes:
        part: Any = document
        try:
            for key in path[:-1]:
                part = part[key]
            part[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has taken it away
    return yaml.safe_dump(document).encode("utf-8", "surrogatepass")


def test_everything_is_accepted() -> None:
    project = composer.load(text=_changed([]).decode(), environ={}, profiles=["p"])
    schema = SCHEMA["$defs"]["service"]["properties"]
    given_ = {key for service in EVERYTHING["services"].values() for key in service}
    assert set(schema) - given_ <= {"pull_refresh_after"}, "an attribute is not in everything.yaml"
    assert composer.load(text=project.to_yaml(), environ={}, profiles=["p"]).services == project.services


@MANY
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_changes_of_everything(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    load_files({"compose.yaml": _changed(changes)})


@SOME
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_changes_laid_over_everything(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    load_files({"compose.yaml": _changed([]), "compose.override.yaml": _changed(changes)})


@SOME
@given(DOCUMENTS, DOCUMENTS)
def test_two_files(first: dict[str, Any], second: dict[str, Any]) -> None:
    over = yaml.safe_dump(second).encode("utf-8", "surrogatepass")
    load_files({"compose.yaml": _with_images(first), "compose.override.yaml": over})


@SOME
@given(st.lists(TEXTS, max_size=12).map(" ".join), st.text(max_size=40))
def test_env_files(env: str, own: str) -> None:
    text = b"services: {a: {image: i, env_file: [one, {path: two, format: raw}]}}"
    files = {"one": own, "two": env, ".env": env}
    load_files(
        {"compose.yaml": text, **{name: value.encode("utf-8", "replace") for name, value in files.items()}}
    )


@MANY
@given(DOCUMENTS)
def test_the_quick_check_agrees_with_the_library(document: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(document, default=str))
    if compile_check(SCHEMA)(plain):
        assert is_valid(plain, SCHEMA)


@MANY
@given(st.one_of(TEXTS, st.lists(WORDS, max_size=6).map("".join)))
def test_short_forms(text: str) -> None:
    for parse in (parse_ports, parse_mount, split_command, parse_duration_ns, parse_size_bytes):
        try:
            parse(text)
        except ValueError:
            pass


@MANY
@given(st.lists(WORDS, max_size=8).map("".join))
def test_variables(text: str) -> None:
    for read in (
        lambda: substitute(text, {"SET": "x"}.get, lambda name: None),
        lambda: parse_dotenv(f"A={text}", {"SET": "x"}.get),
        lambda: parse_raw(f"A={text}", {"SET": "x"}.get),
    ):
        try:
            read()
        except (TemplateError, DotenvError):
            pass
