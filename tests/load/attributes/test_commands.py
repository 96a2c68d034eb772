"""command, entrypoint, healthcheck, hooks."""

import pytest

from composer.model.parts import Healthcheck, Hook


@pytest.mark.parametrize("name", ["command", "entrypoint"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sh -c 'a b'", ("sh", "-c", "a b")),
        ('["a", "b c"]', ("a", "b c")),
        ("[]", ()),
        ("''", ()),
        ("null", None),
        ('"multi\\nline"', ("multi", "line")),
    ],
)
def test_command(given, name, text, words):
    assert getattr(given(f"{name}: {text}").service, name) == words


@pytest.mark.parametrize("name", ["command", "entrypoint"])
def test_a_later_command_replaces(given, name):
    assert given(f"{name}: [a, b]", over=f"{name}: c").printed[name] == ["c"]


@pytest.mark.parametrize("text", ['"a \'b"', '"a (b)"', "{a: b}", "5"])
def test_bad_command(refused, text):
    assert "services.a.command: " in refused(f"command: {text}")


def test_healthcheck(given):
    text = "healthcheck: {test: curl x, interval: 90s, timeout: 10s, retries: '3', start_period: 1m, start_interval: 5s}"
    loaded = given(text)
    second = 10**9
    assert loaded.service.healthcheck == Healthcheck(
        ("CMD-SHELL", "curl x"), 90 * second, 10 * second, 3, 60 * second, 5 * second
    )
    assert loaded.printed["healthcheck"]["interval"] == "1m30s"


def test_healthcheck_of_two_files(given):
    loaded = given("healthcheck: {test: [CMD, a], retries: 3}", over="healthcheck: {test: [CMD, b]}")
    assert loaded.printed["healthcheck"] == {"test": ["CMD", "b"], "retries": 3}
    assert given("healthcheck: {test: x}", over="healthcheck: {disable: true}").service.healthcheck.disable


@pytest.mark.parametrize("text", ["{test: [a]}", "{retries: x}", "{interval: 5}", "{intervall: 5s}", "[]"])
def test_bad_healthcheck(refused, text):
    assert "services.a.healthcheck" in refused(f"healthcheck: {text}")


def test_steps_before_the_start(given, refused):
    loaded = given("pre_start: [{image: init, command: a b, per_replica: 'no'}, {command: [c]}]")
    assert loaded.service.pre_start == (Hook(("a", "b"), image="init"), Hook(("c",)))
    assert "unknown key 'img'" in refused("pre_start: [{img: x}]")


@pytest.mark.parametrize("name", ["post_start", "pre_stop"])
def test_hooks(given, refused, name):
    loaded = given(
        f"{name}: [{{command: a b, user: root, privileged: true, working_dir: /w, environment: [A=1]}}]"
    )
    assert getattr(loaded.service, name) == (Hook(("a", "b"), "root", True, "/w", {"A": "1"}),)
    assert "the key 'command' is missing" in refused(f"{name}: [{{user: root}}]")
