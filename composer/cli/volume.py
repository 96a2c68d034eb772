"""`volume`: list, make, remove and look at volumes, and move what is in them."""

import os
import sys
from collections.abc import Sequence

from composer.cli.context import Context
from composer.cli.files import write_archive
from composer.cli.words import parse_label
from composer.errors import ComposeError
from composer.output.errors import print_error
from composer.output.formats import check_format, format_list, format_objects
from composer.output.inspect import describe_volume
from runtime import EngineError, VolumeRow

_HEADINGS = {
    "Availability": "AVAILABILITY", "Driver": "DRIVER", "Group": "GROUP", "Labels": "LABELS", "Links": "LINKS",
    "Mountpoint": "MOUNTPOINT", "Name": "VOLUME NAME", "Scope": "SCOPE", "Size": "SIZE", "Status": "STATUS",
}  # fmt: skip


def find(context: Context, name: str) -> VolumeRow:
    """A volume. Raises ComposeError if there is none of that name."""
    for volume in context.engine.volumes.list():
        if volume.name == name:
            return volume
    raise ComposeError(f"no such volume: {name}", hint="`pycompose volume ls` lists them")


def list_volumes(context: Context, *, quiet: bool, format: str, filters: Sequence[str]) -> int:
    """`volume ls`."""
    check_format(format)
    found = [
        volume
        for volume in context.engine.volumes.list()
        if all(_fits(context, volume, text) for text in filters)
    ]
    lines = [volume.name for volume in found] if quiet else format_volumes(format, found)
    for line in lines:
        context.out.line(line)
    return 0


def _fits(context: Context, volume: VolumeRow, text: str) -> bool:
    key, separator, value = text.partition("=")
    if separator and key == "name":
        return value in volume.name
    if separator and key == "dangling" and value in ("true", "false"):
        return (not context.engine.volumes.users(volume.name)) == (value == "true")
    if separator and key == "label":
        name, equals, wanted = value.partition("=")
        return name in volume.labels and (not equals or volume.labels[name] == wanted)
    raise ComposeError(f"--filter {text!r} is not supported", hint="filter by name, label or dangling")


def format_volumes(format: str, volumes: Sequence[VolumeRow]) -> list[str]:
    """The lines of a list of volumes."""
    rows = [_row(volume) for volume in volumes]
    return format_list(format, rows, _HEADINGS, ("Driver", "Name"), [volume.labels for volume in volumes])


def _row(volume: VolumeRow) -> dict[str, str]:
    """A volume with the reference's fields."""
    return {
        "Availability": "N/A",
        "Driver": "local",
        "Group": "N/A",
        "Labels": ",".join(f"{key}={value}" for key, value in volume.labels.items()),
        "Links": "N/A",
        "Mountpoint": volume.folder,
        "Name": volume.name,
        "Scope": "local",
        "Size": "N/A",
        "Status": "N/A",
    }


def inspect(context: Context, *, names: Sequence[str], format: str) -> int:
    """`volume inspect`: a JSON list, or by `format`."""
    options = context.engine.volumes.options
    found = [describe_volume(find(context, name), options(name)) for name in names]
    for line in format_objects(format, found):
        context.out.line(line)
    return 0


def create(context: Context, *, name: str, labels: Sequence[str]) -> int:
    """`volume create`: prints the name; a volume that is there already is left as it is."""
    volumes = context.engine.volumes
    if context.only_tells(f"create volume {name or 'with a name of its own'}"):
        return 0
    if name:
        volumes.create(name, labels=dict(parse_label(word) for word in labels))
    else:
        name = volumes.create_anonymous(labels=dict(parse_label(word) for word in labels))
    context.out.line(name)
    return 0


def remove(context: Context, *, names: Sequence[str], force: bool) -> int:
    """`volume rm`: goes on after a failure; 1 if there was one."""
    code = 0
    for name in names:
        if force and not context.engine.volumes.exists(name):
            continue
        try:
            context.engine.volumes.check_removable(name)
            if context.only_tells(f"remove volume {name}"):
                continue
            context.engine.volumes.remove(name)
        except EngineError as error:
            print_error(context.err, error)
            code = 1
        else:
            context.out.line(name)
    return code


def prune(context: Context, *, all: bool, force: bool) -> int:
    """`volume prune`: remove anonymous volumes that no container uses, with `all` named ones too."""
    what = "all volumes" if all else "all anonymous volumes"
    if not force and not context.confirm(f"This removes {what} that no container uses. Go on? [y/N] "):
        return 0
    unused = unused_volumes(context, named=all)
    if unused and not context.options.dry_run:
        context.out.line("Deleted Volumes:")
    for volume in unused:
        if context.only_tells(f"remove volume {volume.name}"):
            continue
        context.engine.volumes.remove(volume.name)
        context.out.line(volume.name)
    return 0


def unused_volumes(context: Context, *, named: bool) -> list[VolumeRow]:
    """Volumes that no container uses: the anonymous ones, or all."""
    volumes = context.engine.volumes
    return [item for item in volumes.list() if (named or item.anonymous) and not volumes.users(item.name)]


def export(context: Context, *, name: str, output: str) -> int:
    """`volume export`: what is in a volume as a tar."""
    volume = find(context, name)
    if not output and sys.stdout.isatty():
        raise ComposeError("an archive is not for a terminal", hint="name a file with --output")
    if context.only_tells(f"export volume {name} to {output or 'standard output'}"):
        return 0
    root = os.open(context.engine.volumes.settled(volume.name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        write_archive(root, output)
    finally:
        os.close(root)
    return 0


def import_archive(context: Context, *, name: str, archive: str) -> int:
    """`volume import`: fill a volume, which is made if it is not there, from a tar."""
    source = "standard input" if archive == "-" else archive
    if context.only_tells(f"import {source} into volume {name}"):
        return 0
    if archive == "-":
        if sys.stdin.isatty():
            raise ComposeError("an archive is not typed", hint="pipe a tar in, or name a file")
        context.engine.volumes.fill_from(name, sys.stdin.buffer)
        return 0
    try:
        with open(archive, "rb") as file:
            context.engine.volumes.fill_from(name, file)
    except OSError as error:
        raise ComposeError(f"cannot read {archive}: {error.strerror or error}") from error
    return 0
