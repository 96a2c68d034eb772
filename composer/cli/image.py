"""`image`: looking at the local image store, and changing names in it. What moves images is image_transfer."""

import sys

from composer.cli.context import Context
from composer.output.formats import check_format, format_list, format_objects
from composer.output.tables import describe_duration
from composer.output.transfer import describe_size

_HEADINGS = {
    "Comment": "COMMENT", "Containers": "CONTAINERS", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY",
    "CreatedSince": "CREATED", "Digest": "DIGEST", "ID": "IMAGE ID", "Repository": "REPOSITORY",
    "SharedSize": "SHARED SIZE", "Size": "SIZE", "Tag": "TAG", "UniqueSize": "UNIQUE SIZE",
}  # fmt: skip


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
        lines = list(dict.fromkeys(image.id for image in images))
    else:
        now = time.time_ns()
        columns = ("Repository", "Tag", *(("Digest",) if digests else ()), "ID", "CreatedSince", "Size")
        rows = [
            {
                "Containers": "N/A",
                "CreatedAt": image.created,
                "CreatedSince": _describe_age(image.created, now),
                "Digest": image.digest or "<none>",
                "ID": image.id.removeprefix("sha256:")[:12],
                "Repository": image.repository,
                "SharedSize": "N/A",
                "Size": describe_size(image.size_bytes),
                "Tag": image.tag,
                "UniqueSize": "N/A",
            }
            for image in images
        ]
        lines = format_list(format, rows, _HEADINGS, columns)
    for line in lines:
        context.out.line(line)
    return 0


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


def inspect(context: Context, *, names: tuple[str, ...], format: str) -> int:
    """`image inspect`: a JSON list with one object per image, or by `format`."""
    for line in format_objects(format, [context.engine.images.inspect(name) for name in names]):
        context.out.line(line)
    return 0


def history(context: Context, *, name: str, format: str, no_trunc: bool, quiet: bool) -> int:
    """`image history`: the steps that made an image, the last first."""
    import time

    check_format(format)
    rows = context.engine.images.history(name)
    if quiet:
        context.out.line(context.engine.images.inspect(name)["Id"])
        return 0
    now = time.time_ns()
    width = None if no_trunc else 60
    shown = [
        {
            "Comment": row.comment,
            "CreatedAt": row.created,
            "CreatedBy": row.created_by[:width],
            "CreatedSince": _describe_age(row.created, now),
            "Size": "0B" if row.empty else describe_size(row.size_bytes),
        }
        for row in rows
    ]
    for line in format_list(format, shown, _HEADINGS, ("CreatedSince", "CreatedBy", "Size", "Comment")):
        context.out.line(line)
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
