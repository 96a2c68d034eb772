"""secrets and configs: what a service is granted and where they come from."""

import pytest

from composer.model.parts import Grant

REST = """
secrets: {s: {file: ./s}, e: {environment: E}, x: {external: true}, d: {driver: v, driver_opts: {a: 1}, name: real}}
configs: {c: {file: ~/c}, e: {environment: E}, t: {content: 'hello ${NAME}'}, x: {external: true, name: real}}
"""


def test_secrets(given, tmp_path):
    loaded = given(
        "secrets: [s, {source: e, target: t, uid: '5', gid: '6', mode: 0400}, x, d]",
        REST,
        env={"NAME": "you"},
    )
    assert loaded.service.secrets[0] == Grant("s", "/run/secrets/s")
    assert loaded.service.secrets[1] == Grant("e", "t", "5", "6", 0o400)
    assert loaded.printed["secrets"][1]["mode"] == "0400"
    secrets = loaded.project.secrets
    assert (secrets["s"].file, secrets["s"].name) == (f"{tmp_path}/demo/s", "demo_s")
    assert (secrets["e"].environment, secrets["x"].external, secrets["x"].name) == ("E", True, "x")
    assert (secrets["d"].driver, secrets["d"].driver_opts, secrets["d"].name) == ("v", {"a": "1"}, "real")


def test_configs(given):
    loaded = given("configs: [c, {source: t, target: /t, mode: '0444'}, e, x]", REST, env={"NAME": "you"})
    assert loaded.service.configs[:2] == (Grant("c"), Grant("t", "/t", mode=0o444))
    configs = loaded.project.configs
    assert (configs["c"].file, configs["t"].content) == ("/home/me/c", "hello you")
    assert (configs["x"].external, configs["x"].name) == (True, "real")


@pytest.mark.parametrize("section", ["secrets", "configs"])
def test_grants_of_two_files_are_unique_by_target(given, section):
    loaded = given(
        f"{section}: [{{source: e, target: /t}}, x]", REST, over=f"{section}: [{{source: x, target: /t}}]"
    )
    assert [grant.source for grant in getattr(loaded.service, section)] == ["x", "x"]


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("secrets: {s: {}}", "secrets.s: 's' has no source"),
        ("secrets: {s: {file: x, environment: y}}", "has several sources: file, environment"),
        ("secrets: {s: {file: x, fil: y}}", "secrets.s.fil: unknown key 'fil'"),
        ("secrets: {t: {file: x}}", "services.a.secrets[0]: the secret 's' is not defined"),
    ],
)
def test_bad_secrets(refused, rest, message):
    assert message in refused("secrets: [s]", rest)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("configs: {s: {file: x, content: y}}", "has several sources: file, content"),
        ("configs: {t: {file: x}}", "services.a.configs[0]: the config 's' is not defined"),
    ],
)
def test_bad_configs(refused, rest, message):
    assert message in refused("configs: [s]", rest)
