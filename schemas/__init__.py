"""JSON Schemas that come with the package."""

import json
import os
from typing import Any


def compose_schema() -> dict[str, Any]:
    """Our JSON Schema of the Compose Specification (draft 7)."""
    # The package is never a zip archive, and importlib.resources would cost more than reading the file.
    with open(os.path.join(os.path.dirname(__file__), "compose.json"), "rb") as stream:
        schema: dict[str, Any] = json.load(stream)
    return schema
