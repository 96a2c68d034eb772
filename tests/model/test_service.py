"""The model knows every attribute of the schema, and the schema every attribute of the model."""

import dataclasses
import json
from importlib.resources import files

import pytest
from jsonschema import Draft7Validator

from composer.model.service import Service

SCHEMA = json.loads((files("schemas") / "compose.json").read_text())
CARRIED_OUT = {"env_file", "label_file", "extends"}  # gone once loaded


def test_schema_is_valid_and_described():
    Draft7Validator.check_schema(SCHEMA)
    attributes = SCHEMA["$defs"]["service"]["properties"]
    assert len(attributes) == 93
    described = [a for a in attributes.values() if a.get("description") or "$ref" in a]
    assert len(described) == 93


def test_service_has_every_attribute():
    fields = {field.name for field in dataclasses.fields(Service)} - {"name", "extensions"}
    assert fields == set(SCHEMA["$defs"]["service"]["properties"]) - CARRIED_OUT


def test_service_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Service(name="a").image = "b"  # type: ignore[misc]
