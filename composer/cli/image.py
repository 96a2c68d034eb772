"""`image`: looking at the local image store, and changing names in it. What moves images is image_transfer."""

import json
import sys

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.tables import describe_duration, render_table
from composer.output.transfer import describe_size


def list_images(
    context: Context, *, quiet: bool, format: str, all: bool = False, digests: bool = False, name: str = ""
) -> int:
    """`image ls`: the images of the store."""
    import time

    check_format(format)
    images = [image for image in context.engine.images.list() if all or image.tag != "<none>" or image.digest
              or image.repository == "<none>"]  # fmt: skip
    if name:
        wanted, _, tag = name.partition(":")
        images = [image for image in images if image.repository == wanted and tag in ("", image.tag)]
    if quiet:
        for image_id in dict.fromkeys(image.id for image in images):
            context.out.line(image_id)
    elif format == "json":
        for image in images:
            context.out.line(json.dumps(image._asdict()))
    else:
        now = time.time_ns()
        rows = [
            (
                image.repository,
                image.tag,
                *((image.digest or "<none>",) if digests else ()),
                image.id.removeprefix("sha256:")[:12],
                _describe_age(image.created, now),
                describe_size(image.size_bytes),
            )
            for image in images
        ]
        middle = ("DIGEST",) if digests else ()
        context.out.line(render_table(("REPOSITORY", "TAG", *middle, "IMAGE ID", "CREATED", "SIZE"), rows))
    return 0


def check_format(format: str) -> None:
    """Raises ComposeError."""
    if format not in ("table", "json"):
        raise ComposeError(f"--format {format!r} is not one of table, json")


def _describe_age(created: str, now_ns: int) -> str:
    from datetime import datetime

    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return "N/A"
    return f"{describe_duration(now_ns - int(then.timestamp() * 1e9))} ago"


def remove(context: Context, *, names: tuple[str, ...], force: bool = False) -> int:
    """`image rm`: remove images; goes on after a failure."""
    from runtime import EngineError, NotFoundError

    failed: EngineError | None = None
    for name in names:
        try:
            dry_run = context.options.dry_run
            for line in context.engine.images.remove(name, force=force, dry_run=dry_run):
                context.out.line(line)
        except EngineError as error:
            if force and isinstance(error, NotFoundError):
                continue
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


def history(context: Context, *, name: str, format: str, no_trunc: bool, quiet: bool) -> int:
    """`image history`: the steps that made an image, the last first."""
    import time

    check_format(format)
    rows = context.engine.images.history(name)
    if quiet:
        context.out.line(context.engine.images.inspect(name)["Id"])
    elif format == "json":
        for row in rows:
            context.out.line(json.dumps(row._asdict()))
    else:
        now = time.time_ns()
        width = None if no_trunc else 60
        table = [
            (
                _describe_age(row.created, now),
                row.created_by[:width],
                "0B" if row.empty else describe_size(row.size_bytes),
                row.comment,
            )
            for row in rows
        ]
        context.out.line(render_table(("CREATED", "CREATED BY", "SIZE", "COMMENT"), table))
    return 0


def tag(context: Context, *, source: str, target: str) -> int:
    """`image tag`: give an image one more name."""
    if context.only_tells(f"tag image {context.engine.images.resolve(source).id} as {target}"):
        return 0
    context.engine.images.tag(source, target)
    return 0


def prune(context: Context, *, all: bool, force: bool, build_cache: bool = False) -> int:
    """`image prune`: remove what has no name, or is used by no container."""
    what = "every image that no container uses" if all else "all images without a name"
    if not force and sys.stdin.isatty() and not context.confirm(f"This removes {what}. Go on? [y/N] "):
        return 1
    if context.options.dry_run:
        context.out.line(f"remove {'the whole' if build_cache else 'old'} build cache and broken downloads")
    for image_id in context.engine.images.prune(
        all=all, build_cache=build_cache, dry_run=context.options.dry_run
    ):
        context.out.line(f"deleted: {image_id}")
    return 0
