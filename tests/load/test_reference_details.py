"""Details of what the reference prints that no attribute's own test has: raw merges, sizes, moments, round trips."""

import datetime
import json

import pytest

import composer
from composer.errors import LoadError
from composer.output.config_text import render_config

FIRST = """
name: t
services:
  a:
    image: b
    environment: {B: "1", A: "${X}", N: , T: true, F: 1.5}
    labels: ["x=1", "y"]
    build: {context: ., args: {Z: 1, U: }, labels: {l: 1}}
    sysctls: {net.a: 1}
networks: {n: {labels: {k: v}}}
volumes: {v: {labels: {z: 1}}}
"""
SECOND = """
services:
  a:
    environment: ["A=2", "C"]
    labels: {x: 2, z: null}
    build: {args: ["Z=2", "Y"]}
    sysctls: ["net.b=2"]
networks: {n: {labels: ["k=w", "m"]}}
volumes: {v: {labels: {z: 3}}}
"""
TIMES = """
d: 2001-12-14
t: 2001-12-14t21:59:43.10-05:00
w: 2001-12-14 2:59:43.5
u: 2001-12-14T21:59:43Z
zone-after-space: 2001-12-14 21:59:43.10 -5
no-zone-after-t: 2001-12-14T21:59:43
no-such-day: 2001-02-30
"""
PRINTED = {
    "d": "2001-12-14T00:00:00Z",
    "t": "2001-12-14T21:59:43.1-05:00",
    "w": "2001-12-14T02:59:43.5Z",
    "u": "2001-12-14T21:59:43Z",
    "zone-after-space": "2001-12-14 21:59:43.10 -5",
    "no-zone-after-t": "2001-12-14T21:59:43",
    "no-such-day": "2001-02-30",
}


def test_raw_merge_of_keyed_values_gives_lists(load):
    tree = load(FIRST, {}, {"2.yaml": SECOND}, ("compose.yaml", "2.yaml"), interpolate=False).tree
    service = tree["services"]["a"]
    assert service["environment"] == ["A=2", "B=1", "F=1.5", "N", "T=true", "C"]
    assert service["labels"] == ["x=2", "y", "z"]
    assert service["build"]["args"] == ["Z=2"]
    assert service["build"]["labels"] == {"l": 1}
    assert service["sysctls"] == ["net.a=1", "net.b=2"]
    assert tree["networks"]["n"]["labels"] == ["k=w", "m"]
    assert tree["volumes"]["v"]["labels"] == ["z=1", "z=3"]


@pytest.mark.parametrize("attribute", ["mem_limit", "memswap_limit", "shm_size"])
@pytest.mark.parametrize("value", ["1e3", "1500.0", "-1.5", "1e21"])
def test_size_with_fraction_or_exponent_counts_for_nothing(load, attribute, value):
    result = load(f"services: {{a: {{image: b, {attribute}: {value}}}}}")
    assert attribute not in result.tree["services"]["a"]
    assert any(f"{attribute} has no effect" in warning for warning in result.warnings)


@pytest.mark.parametrize("value", ["9223372036854775808", "99999999999999999999", "1e30"])
def test_size_of_a_tmpfs_beyond_all_numbers_is_refused(load, value):
    """The reference mounts it without a limit."""
    with pytest.raises(LoadError) as caught:
        load(
            f"services: {{a: {{image: b, volumes: [{{type: tmpfs, target: /x, tmpfs: {{size: {value}}}}}]}}}}"
        )
    (problem,) = caught.value.problems
    assert problem.path.endswith("tmpfs.size") and problem.origin.line == 1


@pytest.mark.parametrize("attribute", ["mem_limit", "mem_reservation", "memswap_limit", "shm_size"])
def test_no_limit_is_text_in_json(load, attribute):
    result = load(f"services: {{a: {{image: b, {attribute}: -1}}}}")
    assert json.loads(render_config(result.tree, format="json"))["services"]["a"][attribute] == "-1"


def test_moments_are_printed_whole(load):
    text = "services: {a: {image: b}}\nx-t:" + TIMES.replace("\n", "\n  ")
    result = load(text)
    assert json.loads(render_config(result.tree, format="json"))["x-t"] == PRINTED
    printed = render_config(result.tree, format="yaml")
    assert "  t: 2001-12-14T21:59:43.1-05:00\n" in printed
    assert load(printed).tree == result.tree
    moment = result.tree["x-t"]["u"]
    assert moment == datetime.datetime(2001, 12, 14, 21, 59, 43, tzinfo=datetime.UTC)


NESTED = """
name: t
services:
  a:
    image: b
    build: {context: /x, x-b: 1}
    healthcheck: {test: x, x-h: {y: [1]}}
    ulimits: {nofile: {soft: 1, hard: 1, x-u: 1}}
    ports: [{target: 80, x-p: 1}]
    volumes: [{type: bind, source: /a, target: /a, x-v: 1, bind: {x-o: 1}}]
    logging: {driver: d, x-l: 1}
    networks: {n: {x-use: 1}}
    depends_on: {c: {condition: service_started, x-d: 1}}
    deploy: {x-d: 1, resources: {x-r: 1, limits: {cpus: 1, x-l: 1}}, restart_policy: {x-p: 1}}
    post_start: [{command: a, x-k: 1}]
  c: {image: b}
networks: {n: {x-n: 1, ipam: {x-i: 1, config: [{subnet: 10.0.0.0/8, x-c: 1}]}}}
volumes: {v: {x-v: 1}}
secrets: {s: {file: /s, x-s: 1}}
"""


def test_nested_extensions_are_kept_and_come_back():
    project = composer.load(text=NESTED, environ={})
    service = project.services["a"]
    assert service.healthcheck.extensions == {"x-h": {"y": [1]}}
    assert service.networks["n"].extensions == {"x-use": 1}
    assert service.deploy.resources.limits.extensions == {"x-l": 1}
    assert project.networks["n"].ipam.config[0].extensions == {"x-c": 1}
    for text in (project.to_yaml(), project.to_json()):
        assert text.count("x-") == NESTED.count("x-")
        assert composer.load(text=text, environ={}) == project


def test_optional_dependency_on_an_inactive_service_comes_back():
    text = """
name: t
services:
  a: {image: b, depends_on: {x: {condition: service_started, required: false}}}
  x: {image: b, profiles: [q]}
"""
    project = composer.load(text=text, environ={})
    assert project.inactive == {"x": ("q",)}
    for written in (project.to_yaml(), project.to_json()):
        assert composer.load(text=written, environ={}) == project
