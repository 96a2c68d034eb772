"""Images of an engine: what `image:` may name, and the store behind it."""

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.errors import ImageError, NotFoundError
from runtime.image.host import REFERENCE, prune_host
from runtime.image.resolve import resolve_image
from runtime.image.store import PULLED, ImageStore, ResolvedImage

if TYPE_CHECKING:
    from runtime.engine.engine import Engine
    from runtime.engine.job import Job, Report
    from runtime.image.artifact import Artifact
    from runtime.image.listing import HistoryRow, ImageSummary


_OLD_CACHE_S = 30 * 86_400.0


class ImageRow(NamedTuple):
    """One name of an image, as `image ls` shows it."""

    id: str
    repository: str
    tag: str
    created: str  # RFC 3339
    size_bytes: int
    digest: str = ""


class Images:
    """The images of one engine. What takes long comes as a `Job`, in a process of its own."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._store = ImageStore(engine.paths)

    # ---- looking

    def resolve(self, reference: str) -> ResolvedImage:
        """What a reference means now. Raises NotFoundError, InvalidError, ImageError."""
        return resolve_image(self._store, reference)

    def find(self, reference: str, platform: str = "") -> str:
        """An identity that changes with the image's content, "" where there is no such image.

        With `platform`, an image for another one does not count. Raises InvalidError, ImageError.
        """
        try:
            image = self.resolve(reference)
        except NotFoundError:
            return ""
        if platform and image.kind == "layers" and not self._fits(image, platform):
            return ""
        return identity(image)

    def _fits(self, image: ResolvedImage, platform: str) -> bool:
        from runtime.image.platform import host_platform, parse_platform, platform_of

        _, document = self._store.config(self._store.manifest(self._store.find_entry(image.id)["digest"]))
        host = host_platform(os.uname().machine)
        return platform_of(document)[:2] == parse_platform(platform, host)[:2]

    def pulled_ns(self, reference: str) -> int:
        """When a name was last pulled, ns since the epoch; 0 if never. Raises InvalidError."""
        try:
            entry = self._store.find_entry(reference)
        except NotFoundError:
            return 0
        return int(entry.get("annotations", {}).get(PULLED, "0")) * 1_000_000_000

    def list(self) -> "list[ImageRow]":
        """One row per name, the newest image first."""
        from runtime.image.listing import list_images

        return [row for summary in list_images(self._store) for row in _rows(summary)]

    def inspect(self, reference: str) -> dict[str, Any]:
        """All that is known of an image of the store. Raises NotFoundError."""
        from runtime.image.listing import inspect_image

        return inspect_image(self._store, reference)

    def history(self, reference: str) -> "Sequence[HistoryRow]":
        """The steps that made an image, the last first. Raises NotFoundError."""
        from runtime.image.listing import history_of

        return history_of(self._store, reference)

    # ---- registries

    def begin_pull(self, reference: str, platform: str = "") -> "Job":
        """Bring an image from its registry; the outcome is its id. Raises InvalidError for a name that cannot be."""
        from runtime.engine.job import Job

        def work(report: "Report") -> str:
            if reference.startswith(("oci:", "oci-archive:", "docker-archive:")):
                from runtime.image.load import load_transport

                return self._store.resolve(load_transport(self._store, reference)).id
            from runtime.image.pull import pull_image

            return pull_image(self._store, reference, platform, report)

        return Job(f"pull {reference}", work)

    def begin_push(self, reference: str) -> "Job":
        """Send an image to its registry; the outcome is the digest it has there."""
        from runtime.engine.job import Job

        def work(report: "Report") -> str:
            from runtime.image.push import push_image

            return push_image(self._store, reference, report)

        return Job(f"push {reference}", work)

    def begin_publish(
        self, name: str, artifact: "Artifact", *, images: Sequence[str] = (), old_format: bool = False
    ) -> "Job":
        """Send an artifact, and images of the store with it, to a registry; the outcome is its digest."""
        from runtime.engine.job import Job

        def work(report: "Report") -> str:
            from runtime.image.artifact import push_artifact

            return push_artifact(
                self._store, name, artifact, images=images, old_format=old_format, report=report
            )

        return Job(f"publish {name}", work)

    def fetch_artifact(
        self, name: str, kind: str, config_type: str
    ) -> "Sequence[tuple[str, dict[str, str], str]]":
        """The documents of an artifact in a registry: media type, annotations, text.

        Raises NotFoundError, ImageError if it is another kind of thing, EngineError.
        """
        from runtime.engine.job import Job

        def work(_: "Report") -> "Sequence[tuple[str, dict[str, str], str]]":
            from runtime.image.artifact import pull_artifact

            return [
                (item.media_type, dict(item.annotations), item.data.decode("utf-8", "replace"))
                for item in pull_artifact(name, kind, config_type)
            ]

        return [tuple(item) for item in Job(f"fetch {name}", work).finish()]

    def clone(self, url: str, folder: str) -> str:
        """A git repository, URL#REF:SUBFOLDER, in a folder that is empty; its commit. Raises EngineError."""
        from runtime.engine.job import Job

        def work(_: "Report") -> str:
            from runtime.build.remote import clone

            return clone(url, folder)

        return str(Job(f"clone {url}", work).finish())

    def commit_of(self, url: str) -> str:
        """The commit that a git URL means now, "" if only a clone can tell. Raises EngineError."""
        from runtime.engine.job import Job

        def work(_: "Report") -> str:
            from runtime.build.remote import commit_of

            return commit_of(url)

        return str(Job(f"ask {url}", work).finish())

    def login(self, registry: str, username: str, password: str) -> str:
        """Check a user and a password with a registry and keep them; where. Raises EngineError if they are wrong."""
        from runtime.engine.job import Job

        def work(_: "Report") -> str:
            from runtime.image.registry.login import log_in

            return log_in(registry, username, password)

        return str(Job(f"login {registry}", work).finish())

    def logout(self, registry: str) -> None:
        """Forget a registry's password. Raises NotFoundError where none is known."""
        from runtime.image.registry.credentials import forget_credentials

        forget_credentials(registry)

    # ---- archives

    def import_archive(
        self, archive: str, reference: str, changes: Sequence[str] = (), message: str = ""
    ) -> str:
        """Make an image from a tar of a root filesystem ("-" = standard input); its id.

        Raises InvalidError for a name that cannot be, ImageError for a damaged archive.
        """
        from runtime.image.archive import import_tar

        try:
            return import_tar(self._store, archive, reference, changes, message)
        except ImageError as error:
            name = "standard input" if archive == "-" else archive
            raise ImageError(f"{name}: {error}", hint=error.hint) from error

    def begin_bootstrap(self, name: str, packages: Sequence[str] = ()) -> "Job":
        """Make a base image such as debian:bookworm-slim from the machine's package sources; the outcome is its id."""
        from runtime.engine.job import Job

        def work(report: "Report") -> str:
            from runtime.image.bootstrap import bootstrap_image

            return bootstrap_image(self._store, name, packages, report)

        return Job(f"bootstrap {name}", work)

    def load(self, archive: str) -> "Sequence[str]":
        """Bring in all images of a saved archive or OCI layout ("-" = standard input); their names."""
        from runtime.image.load import load_archive

        return load_archive(self._store, archive)

    def save(self, names: Sequence[str], output: str, format: str = "docker-archive") -> None:
        """Write images to a file ("-" = standard output). Raises NotFoundError, InvalidError."""
        from runtime.image.save import save_images

        save_images(self._store, names, output, format)

    def export(self, reference: str, output: str) -> None:
        """Write an image's root file system as one plain tar. Raises NotFoundError."""
        from runtime.engine.job import Job

        def work(_: "Report") -> str:
            from runtime.image.save import export_image

            export_image(self._store, reference, output)
            return output

        Job(f"export {reference}", work).finish()

    def commit(
        self,
        container_id: str,
        name: str,
        *,
        changes: Sequence[str] = (),
        author: str = "",
        message: str = "",
        pause: bool = True,
    ) -> str:
        """Make an image of what a container has written upon its image; the id. It is frozen meanwhile."""
        from runtime.cgroups.manager import open_cgroup
        from runtime.engine.job import Job
        from runtime.image.record import image_from_json

        row = self._engine.database.row("SELECT image FROM containers WHERE id = ?", container_id)
        if row is None:
            raise NotFoundError(f"no such container: {container_id[:12]}")
        image = image_from_json(json.loads(row["image"]))
        paths = self._engine.paths

        def work(_: "Report") -> str:
            from runtime.image.committing import commit_container

            upper = f"{paths.container(container_id)}/layer/root/upper"
            os.makedirs(upper, exist_ok=True)
            return commit_container(
                self._store, image, upper, name, changes=changes, author=author, message=message
            )

        container = self._engine.containers.get(container_id)
        cgroup = open_cgroup(self._engine.containers.cgroup_path(container))
        frozen = pause and container.is_live
        if frozen:
            cgroup.freeze(True)
        try:
            return str(Job(f"commit {container_id[:12]}", work).finish())
        finally:
            if frozen:
                cgroup.freeze(False)

    # ---- changing

    def tag(self, reference: str, name: str) -> None:
        """Give an image one more name. Raises NotFoundError, InvalidError."""
        from runtime.image.naming import parse_target

        self._store.tag(reference, parse_target(name))

    def remove(self, reference: str, *, force: bool = False, dry_run: bool = False) -> tuple[str, ...]:
        """Take a name away, and the image with its last one; what was done, or with `dry_run` would be.

        Raises NotFoundError, ConflictError.
        """
        return tuple(self._store.remove(reference, self._used(), force=force, dry_run=dry_run))

    def prune(
        self, *, all: bool = False, build_cache: bool = False, dry_run: bool = False
    ) -> "Sequence[str]":
        """Remove images without a name, with `all` every one that no container uses; their ids.

        Broken downloads go too, and of the build cache what is old, with `build_cache` all. With `dry_run` nothing
        goes.
        """
        if dry_run:
            return self._store.prune(self._used(), all=all, dry_run=True)
        from runtime.build.cache import drop_mounts, prune_records
        from runtime.image.cleanup import drop_downloads

        drop_downloads(self._engine.paths)
        prune_records(self._engine.paths, older_than_s=0.0 if build_cache else _OLD_CACHE_S)
        if build_cache:
            drop_mounts(self._engine.paths)
        return self._store.prune(self._used(), all=all)

    def _used(self) -> set[str]:
        rows = self._engine.database.rows("SELECT DISTINCT image_id FROM containers")
        return {row["image_id"] for row in rows}

    def drop_unused(self) -> None:
        """Throw away what `host:/` was made of before the host changed, unless a container still stands on it."""
        if os.path.isdir(self._engine.paths.host):
            rows = self._engine.database.rows(
                "SELECT DISTINCT image FROM containers WHERE image_id = ?", REFERENCE
            )
            prune_host(self._engine.paths, {json.loads(row["image"])["id"] for row in rows})


def identity(image: ResolvedImage) -> str:
    """What a container is compared by. `host:/` stays the same image whatever is installed on the host."""
    return image.reference if image.kind == "host" else image.id


def _rows(summary: "ImageSummary") -> list[ImageRow]:
    names = summary.references or ("<none>:<none>",)
    digest = summary.digests[0].rpartition("@")[2] if summary.digests else ""
    found = []
    for name in names:
        plain, _, by_digest = name.partition("@")
        last = plain.rpartition("/")[2]
        tag = last.partition(":")[2]
        repository = plain.removesuffix(f":{tag}") if tag else plain
        found.append(
            ImageRow(
                summary.id,
                repository,
                tag or "<none>",
                summary.created,
                summary.size_bytes,
                by_digest or digest,
            )
        )
    return found
