"""Images that a build starts from or takes files from: of the store, else from their registry."""

from collections.abc import Callable, Mapping
from typing import Any

from runtime.build.cache import Layer, make_key
from runtime.build.request import LOCAL_IMAGE
from runtime.build.stage import StageResult
from runtime.build.witness import Witness
from runtime.errors import NotFoundError
from runtime.image.platform import Platform
from runtime.image.store import ImageStore

_DOCKER_IMAGE, _OCI_LAYOUT = "docker-image://", "oci-layout://"

Report = Callable[[Mapping[str, Any]], None]


def describe_base(store: ImageStore, name: str, platform: Platform) -> Mapping[str, Any]:
    """The configuration of an image, from the store or its registry; its layers stay there. Raises EngineError."""
    plain = name.removeprefix(LOCAL_IMAGE).removeprefix(_DOCKER_IMAGE)
    try:
        return store.config(store.manifest(store.find_entry(plain)["digest"]))[1]
    except NotFoundError:
        if name.startswith((LOCAL_IMAGE, _OCI_LAYOUT)):
            raise
    from runtime.image.pull import fetch_config

    return fetch_config(plain, platform)


class Bases:
    """Finds each image once. With `pull`, the registry is asked even for one that is here."""

    def __init__(
        self, store: ImageStore, platform: str, pull: bool, report: Report, witness: Witness
    ) -> None:
        self._store = store
        self._witness = witness
        self._platform = platform
        self._pull = pull
        self._report = report
        self._found: dict[tuple[str, str], StageResult] = {}

    def find(self, name: str, platform: str = "") -> StageResult:
        """Raises NotFoundError, InvalidError, EngineError."""
        key = (name, platform)
        if key not in self._found:
            self._found[key] = self._load(name, platform or self._platform)
        return self._found[key]

    def _load(self, name: str, platform: str) -> StageResult:
        if name.startswith(LOCAL_IMAGE):
            return self._result(name.removeprefix(LOCAL_IMAGE))
        if name.startswith(_OCI_LAYOUT):
            from runtime.image.load import load_transport

            self._witness.give_up()
            return self._result(load_transport(self._store, f"oci:{name.removeprefix(_OCI_LAYOUT)}"))
        plain = name.removeprefix(_DOCKER_IMAGE)
        if not self._pull:
            try:
                return self._result(plain)
            except NotFoundError:
                pass
        from runtime.image.pull import pull_image

        self._report({"status": f"pulling {plain}"})
        pull_image(self._store, plain, platform, self._report)
        return self._result(plain)

    def _result(self, name: str) -> StageResult:
        self._store.resolve(name)  # all layers are there
        digest = self._witness.images[name] = self._store.find_entry(name)["digest"]
        manifest = self._store.manifest(digest)
        _, document = self._store.config(manifest)
        diff_ids = document["rootfs"]["diff_ids"]
        layers = tuple(
            Layer(diff_id, item["digest"], item["size"], item["mediaType"])
            for diff_id, item in zip(diff_ids, manifest["layers"], strict=True)
        )
        return StageResult(
            make_key("layers", diff_ids),
            layers,
            dict(document.get("config") or {}),
            tuple(document.get("history") or ()),
            str(document.get("created", "")),
            str(document.get("author", "")),
        )
