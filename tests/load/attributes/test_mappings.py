"""Attributes that map names to texts, as a mapping or as a list of NAME=VALUE."""

import pytest

KEYED = ["annotations", "environment", "labels", "sysctls"]


@pytest.mark.parametrize("name", KEYED)
def test_both_forms_give_the_same(given, name):
    first = given(f"{name}: {{A: x, B: 'y=z'}}")
    assert first.printed[name] == {"A": "x", "B": "y=z"}
    assert given(f"{name}: [A=x, B=y=z]").printed[name] == first.printed[name]
    assert getattr(first.service, name) == {"A": "x", "B": "y=z"}


@pytest.mark.parametrize("name", KEYED)
def test_later_files_win_key_by_key(given, name):
    assert given(f"{name}: {{A: x, B: x}}", over=f"{name}: [B=y, C=z]").printed[name] == {
        "A": "x",
        "B": "y",
        "C": "z",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.10", "1.1"), ("3.0", "3"), ("1e3", "1000"), ("0755", "493"), ("0x1F", "31"), ("1_000", "1000"),
        ("true", "true"), ("yes", "yes"), ("12:30", "12:30"), ("'007'", "007"), ("0.000001", "1e-06"), ("''", ""),
        ("12345678901234567890123", "1.2345678901234568e+22"),
    ],
)  # fmt: skip
def test_values_become_text(given, text, value):
    assert given(f"environment: {{A: {text}}}").printed["environment"] == {"A": value}


def test_a_variable_without_a_value_comes_from_the_shell(given):
    loaded = given("environment: [A, B]\nlabels: {L: }", env={"A": "shell"})
    assert loaded.printed["environment"] == {"A": "shell", "B": None}
    assert loaded.printed["labels"] == {"L": ""}


def test_dollars_survive(given):
    loaded = given("environment: {A: '$$x', $K: y}")
    assert loaded.service.environment == {"A": "$x", "$K": "y"}
    assert loaded.printed["environment"] == {"A": "$$x", "$K": "y"}


def test_a_date_is_refused(refused):
    assert "services.a.environment.A: " in refused("environment: {A: 2024-01-31}")


def test_env_files_lie_below_the_environment(given):
    files = {"one": "A=1\nB=1\nC=1", "two": "B=2"}
    loaded = given(
        "env_file: [one, {path: two}, {path: three, required: false}]\nenvironment: {C: own}", files=files
    )
    assert loaded.service.environment == {"A": "1", "B": "2", "C": "own"}
    assert "env_file" not in loaded.printed


def test_raw_env_files_are_taken_as_they_are(given):
    loaded = given("env_file: [{path: one, format: raw}]", files={"one": "A='$B' # x"})
    assert loaded.service.environment == {"A": "'$B' # x"}


def test_label_files_lie_below_the_labels(given):
    loaded = given("label_file: one\nlabels: {B: own}", files={"one": "A=1\nB=1"})
    assert loaded.service.labels == {"A": "1", "B": "own"}


def test_extra_hosts(given, refused):
    expected = ["a=1.1.1.1", "a=2.2.2.2", "b=::1"]
    assert given("extra_hosts: ['b:[::1]', 'a=1.1.1.1', 'a:2.2.2.2']").printed["extra_hosts"] == expected
    assert given("extra_hosts: {b: '::1', a: [1.1.1.1, 2.2.2.2]}").printed["extra_hosts"] == expected
    assert "has no name" in refused("extra_hosts: [':1.1.1.1']")
    assert "has no address" in refused("extra_hosts: [a]")


def test_storage_opt_and_logging(given):
    loaded = given("storage_opt: {size: 1G}\nlogging: {driver: json-file, options: {max-file: 3}}")
    assert loaded.service.storage_opt == {"size": "1G"}
    assert loaded.printed["logging"] == {"driver": "json-file", "options": {"max-file": "3"}}


def test_logging_of_another_driver_replaces(given):
    first = "logging: {driver: json-file, options: {max-file: '3'}}"
    assert given(first, over="logging: {options: {a: b}}").service.logging.options == {
        "max-file": "3",
        "a": "b",
    }
    assert given(first, over="logging: {driver: syslog}").service.logging.options == {}


def test_ulimits(given, refused):
    loaded = given("ulimits: {core: 0, nofile: {soft: 1, hard: 2}, nproc: -1}", json=False)
    assert loaded.printed["ulimits"] == {"core": 0, "nofile": {"soft": 1, "hard": 2}, "nproc": -1}
    assert loaded.service.ulimits["nproc"].hard == -1
    assert "services.a.ulimits.core" in refused("ulimits: {core: {soft: 1}}")
