"""depends_on, develop, models, provider, devices, blkio_config, credential_spec, extensions."""

import pytest

from composer.model.parts import (
    BlkioConfig,
    Dependency,
    Device,
    DeviceRate,
    DeviceWeight,
    Hook,
    ModelUse,
    WatchRule,
)

B = "  b: {image: i}"


def test_depends_on(given):
    started = Dependency("service_started")
    assert given("depends_on: [b]", B).service.depends_on == {"b": started}
    text = "depends_on: {b: {condition: service_healthy, required: false, restart: true}}"
    assert given(text, B).service.depends_on == {"b": Dependency("service_healthy", False, True)}
    assert given("depends_on: [b]", B, over=text).service.depends_on["b"].condition == "service_healthy"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depends_on: [c]", "services.a.depends_on.c: the service depends on 'c', which is not defined"),
        ("depends_on: [a]", "services depend on each other: a -> a"),
        ("depends_on: {b: {condition: x}}", "not one of service_started"),
        ("depends_on: {b: {}}", "the key 'condition' is missing"),
        ("depends_on: b", "a list or a mapping is expected"),
    ],
)
def test_bad_depends_on(refused, text, message):
    assert message in refused(text, B)


def test_a_dependency_in_another_profile(given, refused):
    inactive = "  b: {image: i, profiles: [p]}"
    assert "activate" not in refused("depends_on: [b]", inactive)
    assert given("user: x\ndepends_on: {b: {condition: service_started, required: false}}\nprofiles: []", B)


def test_develop(given, tmp_path):
    text = (
        "develop: {watch: [{path: ./src, action: sync+exec, target: /src, ignore: x, include: [y], initial_sync: true,"
        " exec: {command: make it, user: u}}, {path: p, action: rebuild}]}"
    )
    first, second = given(text).service.develop.watch
    path = f"{tmp_path}/demo/src"
    assert first == WatchRule(path, "sync+exec", "/src", ("x",), ("y",), True, Hook(("make", "it"), "u"))
    assert (second.action, second.exec) == ("rebuild", None)


def test_bad_develop(refused):
    assert "not one of rebuild" in refused("develop: {watch: [{path: p, action: x}]}")


def test_models(given, refused):
    rest = "models: {m: {model: ai/x, context_size: 5, runtime_flags: [a]}, n: {model: y, name: real}}"
    loaded = given("models: {m: {endpoint_var: E, model_var: M}, n: }", rest, json=False)
    assert loaded.service.models == {"m": ModelUse("E", "M"), "n": None}
    assert (loaded.project.models["m"].context_size, loaded.project.models["m"].runtime_flags) == (5, ("a",))
    assert "the model 'x' is not defined" in refused("models: [x]", rest)


def test_provider_needs_no_image(given):
    loaded = given("provider: {type: cloud, options: {a: 1, b: [x, true]}}")
    assert loaded.service.provider.options == {"a": ("1",), "b": ("x", "true")}
    assert "networks" not in loaded.printed


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/a", Device("/dev/a", "/dev/a", "rwm")),
        ("/dev/a:/dev/b", Device("/dev/a", "/dev/b", "rwm")),
        ("/dev/a:/dev/b:r", Device("/dev/a", "/dev/b", "r")),
        ("{source: /dev/a, target: /dev/b, permissions: w}", Device("/dev/a", "/dev/b", "w")),
    ],
)
def test_devices(given, text, device):
    assert given(f"devices: [{text}]" if text[0] == "{" else f"devices: ['{text}']").service.devices == (
        device,
    )


def test_blkio_config(given):
    text = (
        "blkio_config: {weight: 300, weight_device: [{path: /dev/a, weight: 400}],"
        " device_read_bps: [{path: /dev/a, rate: 1mb}], device_write_iops: [{path: /dev/a, rate: 5}]}"
    )
    assert given(text).service.blkio_config == BlkioConfig(
        300,
        (DeviceWeight("/dev/a", 400),),
        device_read_bps=(DeviceRate("/dev/a", 2**20),),
        device_write_iops=(DeviceRate("/dev/a", 5),),
    )


@pytest.mark.parametrize("kind", ["file", "registry"])
def test_credential_spec(given, kind):
    assert getattr(given(f"credential_spec: {{{kind}: x}}").service.credential_spec, kind) == "x"


def test_extensions_at_every_level(given):
    rest = "x-top: {a: [1, 2.5, yes, null]}\nnetworks: {n: {x-n: 1}}"
    loaded = given(
        "x-own: {b: c}\nnetworks: {n: {x-use: 1}}\nhealthcheck: {test: x, x-h: 1}\nbuild: {context: /x, x-b: 1}",
        rest,
    )
    assert loaded.tree["x-top"] == {"a": [1, 2.5, "yes", None]}
    assert loaded.printed["x-own"] == {"b": "c"}
    assert loaded.printed["networks"]["n"] == {"x-use": 1}
    assert loaded.service.extensions == {"x-own": {"b": "c"}}
    assert loaded.project.extensions == {"x-top": {"a": [1, 2.5, "yes", None]}}
