"""Images of an engine: what `image:` may name, and the store behind it."""

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.errors import ImageError, NotFoundError
from runtime.image.host import REFERENCE, prune_host
from runtime.image.resolve import resolve_image
from runtime.image.store import ImageStore, ImageSummary, ResolvedImage

if TYPE_CHECKING:
    from runtime.engine.engine import Engine


class ImageRow(NamedTuple):
    """One name of an image, as `image ls` shows it."""

    id: str
    repository: str
    tag: str
    created: str  # RFC 3339
    size_bytes: int


class Images:
    """The images of one engine."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._store = ImageStore(engine.paths)

    def resolve(self, reference: str) -> ResolvedImage:
        """What a reference means now. Raises NotFoundError, InvalidError, ImageError."""
        return resolve_image(self._store, reference)

    def find(self, reference: str) -> str:
        """An identity that changes with the image's content, "" where there is no such image.

        Raises InvalidError, ImageError.
        """
        try:
            return identity(self.resolve(reference))
        except NotFoundError:
            return ""

    def list(self) -> "list[ImageRow]":
        """One row per name, the newest image first."""
        return [row for summary in self._store.list_images() for row in _rows(summary)]

    def inspect(self, reference: str) -> dict[str, Any]:
        """All that is known of an image of the store. Raises NotFoundError."""
        return self._store.inspect(reference)

    def import_archive(self, archive: str, reference: str) -> str:
        """Make an image from a tar of a root filesystem ("-" = standard input); its id.

        Raises InvalidError for a name that cannot be, ImageError for a damaged archive.
        """
        from runtime.image.archive import import_tar

        try:
            return import_tar(self._store, archive, reference)
        except ImageError as error:
            name = "standard input" if archive == "-" else archive
            raise ImageError(f"{name}: {error}", hint=error.hint) from error

    def drop_unused(self) -> None:
        """Throw away what `host:/` was made of before the host changed, unless a container still stands on it."""
        if os.path.isdir(self._engine.paths.host):
            rows = self._engine.database.rows(
                "SELECT DISTINCT image FROM containers WHERE image_id = ?", REFERENCE
            )
            prune_host(self._engine.paths, {json.loads(row["image"])["id"] for row in rows})

    def remove(self, reference: str) -> tuple[str, ...]:
        """Take a name away, and the image with its last one; what was done. Raises NotFoundError, ConflictError."""
        rows = self._engine.database.rows("SELECT DISTINCT image_id FROM containers")
        return tuple(self._store.remove(reference, {row["image_id"] for row in rows}))


def identity(image: ResolvedImage) -> str:
    """What a container is compared by. `host:/` stays the same image whatever is installed on the host."""
    return image.reference if image.kind == "host" else image.id


def _rows(summary: ImageSummary) -> list[ImageRow]:
    names = summary.references or ("<none>:<none>",)
    found = []
    for name in names:
        repository, _, tag = name.rpartition(":")
        found.append(
            ImageRow(
                summary.id, repository or name, tag if repository else "", summary.created, summary.size_bytes
            )
        )
    return found
