"""cache_from and cache_to: build records that travel within an image, as BuildKit's inline cache does.

An image that carries them has the key "org.pycompose.cache" in its configuration, which other engines pass over. Who
reads it brings the image into the store, with its layers, and writes the records down as if it had built it itself.
The steps of the target stage (and of stages it is based on) are in it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from runtime.build.cache import BuildCache
from runtime.errors import EngineError, InvalidError, UnsupportedError
from runtime.image.naming import parse_target
from runtime.image.store import ImageStore

CACHE_KEY = "org.pycompose.cache"

Report = Callable[[Mapping[str, Any]], None]


class TrailStep(NamedTuple):
    """One step of a stage: its key, when it was done, how many layers there are after it, whether one is its own."""

    key: str
    created: str
    layers: int
    has_layer: bool


class Place(NamedTuple):
    """Where a cache is: "registry" and a name, or "local" and a folder; "inline" is within the image itself."""

    kind: str
    where: str = ""


def parse_place(text: str) -> Place:
    """`type=registry,ref=NAME`, `type=local,src=DIR` (or dest=), `type=inline`, or just NAME. Raises InvalidError."""
    if "=" not in text:
        return Place("registry", text)
    options = dict(item.partition("=")[::2] for item in text.split(","))
    kind = options.get("type", "registry")
    if kind == "inline":
        return Place("inline")
    if kind not in ("registry", "local"):
        raise UnsupportedError(
            f"build cache {text}: type {kind} is not there", hint="registry, local or inline"
        )
    where = options.get("ref") if kind == "registry" else options.get("src") or options.get("dest")
    if not where:
        raise InvalidError(
            f"build cache {text}: it does not say where", hint="ref=NAME, or src=DIR and dest=DIR"
        )
    return Place(kind, where)


def import_cache(store: ImageStore, cache: BuildCache, texts: Sequence[str], report: Report) -> None:
    """Bring in the caches of `cache_from`. One that can't be had costs time, not the build; it is told of."""
    for text in texts:
        place = parse_place(text)
        if place.kind == "inline":
            continue
        try:
            name = _fetch(store, place, report)
            _, document = store.config(store.manifest(store.find_entry(name)["digest"]))
            _write(store, cache, name, document)
        except EngineError as error:
            report({"status": f"warning: no build cache from {place.where}: {error}"})


def _fetch(store: ImageStore, place: Place, report: Report) -> str:
    if place.kind == "local":
        from runtime.image.load import load_transport

        return load_transport(store, f"oci:{place.where}")
    from runtime.image.pull import pull_image

    pull_image(store, place.where, "", report)
    return place.where


def _write(store: ImageStore, cache: BuildCache, name: str, document: Mapping[str, Any]) -> None:
    manifest = store.manifest(store.find_entry(name)["digest"])
    diff_ids = document["rootfs"]["diff_ids"]
    for item in document.get(CACHE_KEY) or ():
        step = TrailStep(*item)
        if not 0 <= step.layers <= len(diff_ids):
            continue
        layer = None
        if step.has_layer:
            found = manifest["layers"][step.layers - 1]
            layer = [diff_ids[step.layers - 1], found["digest"], found["size"], found["mediaType"]]
        cache.keep(step.key, {"created": step.created, "layer": layer, "chain": diff_ids[: step.layers]})


def export_cache(store: ImageStore, image: str, texts: Sequence[str], report: Report) -> None:
    """Send what was built, an image that carries its records, to the places of `cache_to`."""
    for text in texts:
        place = parse_place(text)
        if "mode=max" in text.split(","):
            report({"status": "warning: build cache mode=max: only steps that led to the image are in it"})
        if place.kind == "registry":
            from runtime.image.push import push_image

            store.tag(image, parse_target(place.where))
            push_image(store, place.where, report)
        elif place.kind == "local":
            from runtime.image.save import save_images

            save_images(store, [image], place.where, "oci-dir")
