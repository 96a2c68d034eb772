"""docs/compatibility.md, made from the table that the loader itself uses.

`python -m composer.output.compatibility` writes it anew; a test compares.
"""

from pathlib import Path

from composer.load.attributes import Status, Support, attributes

_HEAD = """\
# What becomes of every attribute

Made from the table the loader uses (`composer/load/attributes.py`) by `python -m composer.output.compatibility`.

* **honoured**: it does what the Compose Specification and `docker compose` say; a test reads its effect.
* **warned**: it is valid, printed by `config`, and has no effect; a warning says so, with file, line and service.
* **refused**: `up` ends with an error that names file and line before anything is made.

What this kernel or machine cannot do (a limit without a file, a device without a driver) is a warning or an error
that names what is missing. `x-` extensions are kept and printed.
"""

_SECTIONS = (
    ("Services", "services.*."),
    ("Networks", "networks.*."),
    ("Volumes", "volumes.*."),
    ("Secrets", "secrets.*."),
    ("Configs", "configs.*."),
    ("Models", "models.*."),
)


def render() -> str:
    """The text of the page. Pure."""
    table = attributes()
    parts = [_HEAD, _counts(table)]
    top = {path: row for path, row in table.items() if not path.startswith(tuple(p for _, p in _SECTIONS))}
    parts.append(_table("The file", top))
    for title, prefix in _SECTIONS:
        rows = {path.removeprefix(prefix): row for path, row in table.items() if path.startswith(prefix)}
        parts.append(_table(title, rows))
    return "\n".join(parts)


def _counts(table: dict[str, Support]) -> str:
    counts = {status: sum(row.status is status for row in table.values()) for status in Status}
    return ", ".join(f"{count} {status.value}" for status, count in counts.items()) + ".\n"


def _table(title: str, rows: dict[str, Support]) -> str:
    lines = [f"## {title}", "", "| attribute | | remark |", "|---|---|---|"]
    for path, row in sorted(rows.items()):
        remarks = [row.note, f"**more than the reference:** {row.better}" if row.better else ""]
        remark = "; ".join(filter(None, remarks)).replace("|", "\\|")
        lines.append(f"| `{path}` | {row.status.value} | {remark} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).parents[2] / "docs/compatibility.md").write_text(render(), encoding="utf-8")
