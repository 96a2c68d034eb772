"""`config --no-interpolate`: lists stay lists, one entry per key, and what the reference does not mix is refused."""

import json

import pytest

from composer.errors import LoadError
from composer.output.config_text import render_config

TWICE = ["A=1", "B=$X", "A=2", "C"]
ONCE = ["A=2", "B=$X", "C"]
UNIQUE = ["environment", "labels", "annotations", "sysctls", "build.args", "build.labels", "deploy.labels"]


def written(attribute, value) -> str:
    for key in reversed(attribute.split(".")):
        value = {key: value, **({"context": "."} if key in ("args", "ssh") else {})}
    return json.dumps({"services": {"w": {"image": "a", **value}}})


def service(load, *texts) -> dict:
    files = {f"{index}.yaml": text for index, text in enumerate(texts)}
    return load(None, files=files, named=tuple(files), interpolate=False).tree["services"]["w"]


@pytest.mark.parametrize("attribute", UNIQUE)
def test_the_later_of_equal_keys_wins_within_a_list(load, attribute):
    value = service(load, written(attribute, TWICE))
    for key in attribute.split("."):
        value = value[key]
    assert value == (ONCE[:2] if attribute == "build.args" else ONCE)


def resource(section, labels) -> str:
    item = {"labels": labels, **({} if section == "volumes" else {"file": "./f"})}
    return json.dumps({"services": {"w": {"image": "a"}}, section: {"r": item}})


@pytest.mark.parametrize(
    ("section", "lists", "mappings"),
    [
        ("secrets", ["A=1", "A=2"], {"A": "3", "B": 4}),
        ("configs", ["A=1", "A=2"], {"A": "3", "B": 4}),
        ("volumes", ["A=1", "A=2"], ["A=1", "A=3", "B=4"]),
    ],
)
def test_labels_of_resources(load, section, lists, mappings):
    def merged(*labels):
        files = {f"{index}.yaml": resource(section, own) for index, own in enumerate(labels)}
        return load(None, files=files, named=tuple(files), interpolate=False).tree[section]["r"]["labels"]

    assert merged(["A=1"], ["A=2"]) == lists
    assert merged({"A": "1"}, {"A": "3", "B": 4}) == mappings
    for mixed in ((["A=1"], {"A": "2"}), ({"A": "2"}, ["A=1"])):
        with pytest.raises(LoadError, match="is expected, because"):
            merged(*mixed)


def test_hosts_of_mappings_are_sorted(load):
    texts = [written("extra_hosts", {"Z": "$Y", "A": "1"}), written("extra_hosts", {"B": "2"})]
    assert service(load, *texts)["extra_hosts"] == ["A=1", "Z=$Y", "B=2"]


def test_a_name_may_be_a_variable(load):
    assert service(load, written("container_name", "${NAME:-x}"))["container_name"] == "${NAME:-x}"


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("build.ssh", ["default", "C"], "'C' has no path"),
        ("build.additional_contexts", ["a=./a", "b"], "'b' says not where"),
        ("container_name", "a b!c", "is not|cannot be|form that"),
    ],
)
def test_what_lacks_a_part_is_refused(load, attribute, value, message):
    with pytest.raises(LoadError, match=message):
        load(written(attribute, value))


def test_json_has_the_empty_parts_of_deploy(load):
    tree = load(written("deploy", {"replicas": 2})).tree
    shown = json.loads(render_config(tree, format="json"))
    assert shown["services"]["w"]["deploy"] == {"replicas": 2, "resources": {}, "placement": {}}
