"""The options of logging drivers."""

from pathlib import Path

import pytest

from runtime.oci.logging import DRIVERS, OPTIONS

_DOCUMENTATION = Path(__file__).parents[2] / "docs/running.md"


@pytest.mark.parametrize("driver", [name for name in DRIVERS if name in OPTIONS])
def test_all_options_are_documented(driver: str) -> None:
    rows = [
        line
        for line in _DOCUMENTATION.read_text().splitlines()
        if line.startswith((f"| `{driver}`", "| all but `none`"))
    ]
    assert len(rows) == 2
    assert not [option for option in OPTIONS[driver] if not any(f"`{option}`" in row for row in rows)]
