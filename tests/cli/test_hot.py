"""The hot commands' parser is generated from the typer app and agrees with it."""

from pathlib import Path

import pytest
import typer.main

from composer.cli import hot_generate, hot_table
from composer.cli.app import app
from composer.cli.flags import spell_out
from composer.cli.hot import parse


def test_the_table_is_current() -> None:
    assert hot_generate.build_table() == (hot_table.GLOBAL, hot_table.COMMANDS)


def test_arguments_of_each_command_are_fields_of_its_module() -> None:
    import importlib

    for name, command in hot_table.COMMANDS.items():
        fields = set(importlib.import_module(f"composer.cli.{name}").Arguments._fields)
        parameters = {destination for destination, _ in command["options"].values()}
        parameters |= {argument for argument, _ in command["arguments"]}
        # The context knows of --dry-run.
        assert parameters - {"dry_run"} == fields, name


@pytest.mark.parametrize(
    ("words", "options", "parameters"),
    [
        (["up", "-d"], {}, {"detach": True, "services": ()}),
        (
            ["-f", "a", "--file=b", "-pX", "up", "web"],
            {"file": ("a", "b"), "project_name": "X"},
            {"services": ("web",)},
        ),
        (["up", "web", "-dt5"], {}, {"detach": True, "timeout": 5, "services": ("web",)}),
        (["logs", "-fn", "10", "--", "-x"], {}, {"follow": True, "tail": "10", "services": ("-x",)}),
        (
            ["exec", "-T", "-eA=1", "web", "ls", "-l"],
            {},
            {"no_tty": True, "env": ("A=1",), "service": "web", "command": ("ls", "-l")},
        ),
    ],
)
def test_what_is_parsed(words: list[str], options: dict[str, object], parameters: dict[str, object]) -> None:
    parsed = parse(words)
    assert parsed is not None
    assert (parsed.options, parsed.parameters) == (options, parameters)


@pytest.mark.parametrize(
    ("words", "spelt_out"),
    [
        ("--dry-run=true up --menu=false --build=0 web", "--dry-run up --no-menu web"),
        (
            "-p up container attach --sig-proxy=false --no-stdin=T x",
            "-p up container attach --no-sig-proxy --no-stdin x",
        ),
        ("exec -T=true web prog --on=true", "exec -T web prog --on=true"),
        ("exec -i=false -t web prog", "exec --no-interactive -t web prog"),
        (
            "--no-ansi --workdir=/x build --parallel --pull a",
            "--ansi never --project-directory /x build --pull a",
        ),
        (
            "up --scale web=true --watch=maybe -- --build=true",
            "up --scale web=true --watch=maybe -- --build=true",
        ),
    ],
)
def test_switches_with_values(words: str, spelt_out: str) -> None:
    assert spell_out(words.split(), typer.main.get_command(app)) == spelt_out.split()


def test_hot_switches_with_values() -> None:
    parsed = parse(["up", "-d", "--menu=false", "--build=true"])
    assert parsed is not None
    assert parsed.parameters == {"detach": True, "menu": False, "build": True, "services": ()}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["up", "--help"],
        ["up", "--nope"],
        ["up", "-t"],
        ["up", "-t", "x"],
        ["up", "--build=maybe"],
        ["image", "ls"],
        ["version", "x"],
    ],
)
def test_what_is_left_to_typer(words: list[str]) -> None:
    assert parse(words) is None


def test_the_version_is_the_one_of_the_package() -> None:
    import tomllib

    from composer.version import VERSION

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert tomllib.loads(text)["project"]["version"] == VERSION
