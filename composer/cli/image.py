"""`image`: the local image store."""

import json

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.tables import describe_duration, render_table


def import_archive(context: Context, *, archive: str, name: str) -> int:
    """`image import`: make an image from a tar of a root filesystem."""
    context.out.line(context.engine.images.import_archive(archive, name))
    return 0


def list_images(context: Context, *, quiet: bool, format: str) -> int:
    """`image ls`: the images of the store."""
    import time

    if format not in ("table", "json"):
        raise ComposeError(f"--format {format!r} is not one of table, json")
    images = context.engine.images.list()
    if quiet:
        for image in images:
            context.out.line(image.id)
    elif format == "json":
        for image in images:
            context.out.line(json.dumps(image._asdict()))
    else:
        now = time.time_ns()
        rows = [
            (
                image.repository,
                image.tag,
                image.id.removeprefix("sha256:")[:12],
                _describe_age(image.created, now),
                describe_size(image.size_bytes),
            )
            for image in images
        ]
        context.out.line(render_table(("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"), rows))
    return 0


def _describe_age(created: str, now_ns: int) -> str:
    from datetime import datetime

    if not created:
        return "N/A"
    return f"{describe_duration(now_ns - int(datetime.fromisoformat(created).timestamp() * 1e9))} ago"


def describe_size(size_bytes: int) -> str:
    """A size in decimal units with three digits, as the reference prints it: "12.4MB"."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.3g}{unit}" if size < 1000 else f"{size:.0f}{unit}"


def remove(context: Context, *, names: tuple[str, ...]) -> int:
    """`image rm`: remove images; goes on after a failure."""
    from runtime import EngineError

    failed: EngineError | None = None
    for name in names:
        try:
            for line in context.engine.images.remove(name):
                context.out.line(line)
        except EngineError as error:
            if failed is not None:
                context.err.line(f"error: {failed}")
            failed = error
    if failed is not None:
        raise failed
    return 0


def inspect(context: Context, *, names: tuple[str, ...]) -> int:
    """`image inspect`: a JSON list with one object per image."""
    context.out.line(json.dumps([context.engine.images.inspect(name) for name in names], indent=4))
    return 0
