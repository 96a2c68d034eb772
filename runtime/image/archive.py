"""Bringing the root file system of a tar archive into the store (`image import`)."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from runtime.errors import ImageError, InvalidError, NotFoundError
from runtime.image.changes import parse_changes
from runtime.image.intake import commit, config_document, take_layer, timestamp, workspace
from runtime.image.store import ImageStore, encode_json
from runtime.image.stream import chunks
from runtime.oci.reference import parse_reference


def import_tar(
    store: ImageStore, tar: str, reference: str, changes: Sequence[str] = (), message: str = ""
) -> str:
    """Imports an archive ("-" = standard input), plain or compressed; returns the image's id.

    Raises InvalidError, NotFoundError, ImageError, OSError. Nothing is left if it fails.
    """
    name = parse_reference(reference)
    if name.digest:
        raise InvalidError(f"{reference!r} has a digest; an import is given a tag")
    config = parse_changes(changes)
    with opened(tar) as source, workspace(store) as space:
        layer = take_layer(chunks(source), f"{space}/1")
        _refuse_saved_image(layer.directory)
        created = timestamp()
        comment = message or f"imported from {os.path.basename(tar)}"
        document = config_document(
            config, [layer.diff_id], [{"created": created, "comment": comment}], created
        )
        os.sync()  # thousands of files: one call for all
        return commit(store, [name], encode_json(document), [layer])


@contextmanager
def opened(tar: str) -> Iterator[IO[bytes]]:
    """An archive that the user named. Raises NotFoundError, ImageError, InvalidError."""
    if tar == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(tar, "rb")
    except FileNotFoundError as error:
        raise NotFoundError(f"archive {tar} is not there") from error
    except IsADirectoryError as error:
        raise InvalidError(f"{tar} is a directory", hint=f"use it as it is: image: rootfs:{tar}") from error
    except OSError as error:
        raise ImageError(f"archive {tar} can't be read: {error.strerror}") from error
    with file:
        yield file


def _refuse_saved_image(layer: str) -> None:
    names = set(os.listdir(layer))
    if not names:
        raise ImageError("the archive is empty")
    if names & {"oci-layout", "manifest.json"} and not names & {"bin", "usr", "etc", "sbin"}:
        raise ImageError(
            "the archive holds a saved image, not a root file system",
            hint="load it with `pycompose image load`",
        )
