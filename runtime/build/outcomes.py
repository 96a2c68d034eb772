"""Whole builds that need not be done again: what one gave, with all that it looked at. Light: a command reads it.

    DATA/build/outcomes/KEY.json    KEY is a hash of the request and of who builds; "seen" is the build's witness,
                                    "steps" the keys of its steps and "records" a hash of their records, "image" an id,
                                    "news" what was told

An outcome holds while every file and image that the build looked at is as it was, its steps are in the cache as it left
them, and its names still stand for its image. Deleting all changes nothing but time.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from runtime.build.cache import BuildCache, make_key
from runtime.build.request import BuildRequest, build_to_json
from runtime.build.witness import Witness, is_as_seen
from runtime.errors import EngineError
from runtime.image.store import ImageStore
from runtime.store.files import read_json, write_json
from runtime.store.paths import Paths

_FORMAT = 1
_KEPT = 256


class Outcome(NamedTuple):
    """An image's id and what a build of it tells: that every step is in the cache."""

    image: str
    news: tuple[Mapping[str, Any], ...]


def recall_outcome(paths: Paths, request: BuildRequest) -> Outcome | None:
    """What a build of this request would give, None where it has to be done to know."""
    if not _is_repeatable(request):
        return None
    store = ImageStore(paths)
    path = _place(paths, request)
    try:
        known = read_json(path)
        if known is None or not _holds(store, request, known):
            return None
        os.utime(path)
        return Outcome(known["image"], tuple(known["news"]))
    except (ValueError, KeyError, TypeError, OSError, EngineError):
        return None  # damaged, or an image is gone: the build itself will tell


def _holds(store: ImageStore, request: BuildRequest, known: Mapping[str, Any]) -> bool:
    return (
        is_as_seen(known["seen"])
        and all(
            store.find_entry(name)["digest"] == digest for name, digest in known["seen"]["images"].items()
        )
        and known["records"] == _hash_records(BuildCache(store), known["steps"])
        and all(store.find_id(name) == known["image"] for name in request.names)
    )


def keep_outcome(
    store: ImageStore,
    request: BuildRequest,
    witness: Witness,
    steps: Collection[str],
    image: str,
    news: Iterable[Mapping[str, Any]],
) -> None:
    """Remember a build that has just been done, if a later one can be compared with it."""
    records = _hash_records(BuildCache(store), steps)
    if not witness.reliable or not _is_repeatable(request) or not records:
        return
    path = _place(store.paths, request)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    document = {
        "seen": witness.to_json(),
        "steps": list(steps),
        "records": records,
        "image": image,
        "news": _as_cached(news),
    }
    write_json(path, document, durable=False)
    _forget_old(os.path.dirname(path))


def _is_repeatable(request: BuildRequest) -> bool:
    """Whether the request leaves the network out of it, and asks for nothing to be done anew."""
    return bool(request.names) and not (
        request.no_cache
        or request.no_cache_filter
        or request.pull
        or request.cache_from
        or request.cache_to
        or request.context == "-"
    )


def _place(paths: Paths, request: BuildRequest) -> str:
    key = make_key(_FORMAT, _release(), build_to_json(request), os.environ.get("SOURCE_DATE_EPOCH"))
    return f"{paths.build}/outcomes/{key}.json"


def _release() -> list[tuple[str, int, int]]:
    """What tells this installation from another: the modules that build, with their sizes and times."""
    folder = os.path.dirname(__file__)
    return sorted(
        (entry.path, entry.stat().st_size, entry.stat().st_mtime_ns)
        for place in (folder, f"{os.path.dirname(folder)}/image")
        for entry in os.scandir(place)
        if entry.name.endswith(".py")
    )


def _hash_records(cache: BuildCache, steps: Iterable[str]) -> str:
    """ "" where one is missing. A step that was done anew since, for another image, has another layer."""
    records = [cache.find(step) for step in steps]
    return "" if None in records else make_key(records)


def _as_cached(news: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What a build without changes tells: its steps in their order, and warnings."""
    told: dict[str, Mapping[str, Any]] = {}
    for item in news:
        if "title" in item:
            told[item["step"]] = {"step": item["step"], "title": item["title"], "status": "cached"}
        elif str(item.get("status", "")).startswith("warning"):
            told[item["status"]] = item
    return list(told.values())


def _forget_old(folder: str) -> None:
    with suppress(FileNotFoundError):  # another build does the same
        entries = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(folder)]
        for _, path in sorted(entries)[:-_KEPT]:
            os.unlink(path)
