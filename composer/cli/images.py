"""`images`: which images the project's containers stand on."""

import json
from typing import Any

from composer.cli.context import Context
from composer.output.formats import check_format, format_list
from composer.output.inspect import moment
from composer.output.transfer import describe_size
from runtime import EngineError

_COLUMNS = ("ContainerName", "Repository", "Tag", "ID", "Platform", "Size")
_HEADINGS = {
    "ContainerName": "CONTAINER", "Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "Platform": "PLATFORM",
    "Size": "SIZE", "LastTagTime": "LAST TAG TIME",
}  # fmt: skip


def run(context: Context, *, services: tuple[str, ...], quiet: bool, format: str) -> int:
    """Carry out `images`; the exit code."""
    check_format(format)
    desired = context.desired(services)
    rows = []
    for container in context.engine.containers.list(desired.project):
        if not services or container.service in services:
            rows.append(_row(context, container.name, container.image, container.image_id))
    if quiet:
        for image_id in dict.fromkeys(row["ID"] for row in rows):
            context.out.line(image_id)
    elif format == "json":
        context.out.line(json.dumps(rows))
    else:
        shown = [
            {
                **row,
                "ID": row["ID"].removeprefix("sha256:")[:12],
                "Size": describe_size(row["Size"]),
            }
            for row in rows
        ]
        for line in format_list(format, shown, _HEADINGS, _COLUMNS):
            context.out.line(line)
    return 0


def _row(context: Context, name: str, image: str, image_id: str) -> dict[str, Any]:
    repository, tag = image, ""
    last = image.rpartition("/")[2]
    if ":" in last and not image.startswith(("host:", "rootfs:")):
        tag = last.rpartition(":")[2]
        repository = image.removesuffix(f":{tag}")
    row: dict[str, Any] = {
        "ID": image_id,
        "ContainerName": name,
        "Repository": repository,
        "Tag": tag or ("" if image.startswith(("host:", "rootfs:")) else "latest"),
        "Platform": "",
        "Size": 0,
        "LastTagTime": moment(0),
    }
    try:
        found = context.engine.images.inspect(image_id)
    except EngineError:
        # `host:/` and `rootfs:` are not in the store.
        return row
    return {
        **row,
        "Platform": f"{found['Os']}/{found['Architecture']}",
        "Size": found["Size"],
        "LastTagTime": moment(context.engine.images.pulled_ns(image)),
    }
