"""The build cache: what a step gave, found by a key made of everything that can change it.

    DATA/build/records/KEY.json     {"layer": a layer's diff id, digest, size or null, "chain": all diff ids,
                                     "key": the key the next step builds upon, "used": seconds}
    DATA/build/mounts/ID/           RUN --mount=type=cache; ID.lock is held by who uses it alone
    DATA/build/digests.json         sha256 of files of contexts, by inode, size and times

    DATA/build/bounded              when the whole was last kept from growing
    DATA/build/outcomes/            whole builds (outcomes.py)

The layers themselves are the store's. A record whose layers are gone is a miss; deleting all changes nothing but time.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.image.store import ImageStore
from runtime.oci.digest import chain_ids
from runtime.store.files import read_json, write_json
from runtime.store.paths import Paths

if TYPE_CHECKING:
    from runtime.image.intake import NewLayer

_BOUND_EVERY_S = 3600.0


class Layer(NamedTuple):
    """A layer of the store, as records and stages name it."""

    diff_id: str
    digest: str
    size: int
    media_type: str

    @classmethod
    def of(cls, layer: "NewLayer") -> "Layer":
        return cls(layer.diff_id, layer.digest, layer.size, layer.media_type)


def make_key(*parts: Any) -> str:
    """A key of plain values; the same values give the same key."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class BuildCache:
    """The records of one DATA root."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._records = f"{store.paths.build}/records"

    def find(self, key: str) -> dict[str, Any] | None:
        """A record whose layers are all there, or None."""
        path = f"{self._records}/{key}.json"
        try:
            record = read_json(path)
        except ValueError:
            return None
        if record is None or not self._is_whole(record):
            return None
        os.utime(path)
        return record

    def keep(self, key: str, record: Mapping[str, Any]) -> None:
        os.makedirs(self._records, mode=0o700, exist_ok=True)
        write_json(f"{self._records}/{key}.json", record, durable=False)

    def _is_whole(self, record: Mapping[str, Any]) -> bool:
        chain = record.get("chain") or []
        if not chain:
            return True
        last = chain_ids(chain)[-1].removeprefix("sha256:")
        layer = record.get("layer")
        return os.path.isdir(f"{self._store.paths.layers}/{last}") and (
            not layer or os.path.exists(self._store.blob(layer[1]))
        )


def prune_records(paths: Paths, *, older_than_s: float) -> int:
    """Forget records not used for so long; their number. The layers go at the store's next collection.

    So go whole builds that were not asked for again.
    """
    _drop_old(f"{paths.build}/outcomes", older_than_s)
    return _drop_old(f"{paths.build}/records", older_than_s)


def _drop_old(folder: str, older_than_s: float) -> int:
    gone = 0
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return 0
    for name in names:
        try:
            if time.time() - os.stat(f"{folder}/{name}").st_mtime >= older_than_s:
                os.unlink(f"{folder}/{name}")
                gone += 1
        except FileNotFoundError:
            continue
    return gone


def bound_cache(store: ImageStore, limit: int = 0) -> int:
    """Forget the records used longest ago until the blobs of the others have no more than `limit` bytes, and collect.

    0 is the usual limit, and then it is looked after once an hour only; returns how many are gone. As BuildKit's
    default does, it keeps a tenth of the file system; a layer's blob and its files take some four times the blob.
    """
    folder = f"{store.paths.build}/records"
    if not limit:
        stamp = f"{store.paths.build}/bounded"
        if not os.path.isdir(folder) or _is_fresh(stamp):
            return 0
        with open(stamp, "w"):
            pass
        whole = os.statvfs(folder)
        limit = whole.f_blocks * whole.f_frsize // 10 // 4
    records = {}
    for path in sorted((entry.path for entry in os.scandir(folder)), key=_last_use, reverse=True):
        with suppress(ValueError, FileNotFoundError):  # damaged, or another command's
            records[path] = read_json(path) or {}
    stale = _beyond(records, limit)
    for path in stale:
        with suppress(FileNotFoundError):
            os.unlink(path)
    if stale:
        store.collect()
    return len(stale)


def _beyond(records: Mapping[str, Mapping[str, Any]], limit: int) -> set[str]:
    """Which of the records, the last used first, are too much; and those that stand on layers of these."""
    blobs: dict[str, int] = {}
    stale: set[str] = set()
    lost: set[str] = set()
    held: set[str] = set()
    for path, record in records.items():
        layer = record.get("layer")
        if layer:
            blobs[layer[1]] = int(layer[2])
        if sum(blobs.values()) > limit:
            stale.add(path)
        if layer:
            (lost if path in stale else held).add(layer[0])
    return stale | {
        path for path, record in records.items() if (lost - held) & set(record.get("chain") or ())
    }


def _is_fresh(stamp: str) -> bool:
    return time.time() - _last_use(stamp) < _BOUND_EVERY_S


def _last_use(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def drop_mounts(paths: Paths) -> None:
    """Throw away all cache mounts."""
    from runtime.store.trash import discard

    folder = f"{paths.build}/mounts"
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            if os.path.isdir(f"{folder}/{name}"):
                discard(paths, f"{folder}/{name}")


class FileDigests:
    """sha256 of files, remembered while inode, size and times stay. Save it at the end."""

    def __init__(self, paths: Paths) -> None:
        self._path = f"{paths.build}/digests.json"
        try:
            self._known: dict[str, str] = read_json(self._path) or {}
        except ValueError:
            self._known = {}
        self._used: dict[str, str] = {}
        self._changed = False

    def digest(self, path: str, status: os.stat_result) -> str:
        """Raises OSError."""
        key = f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
        found = self._known.get(key) or self._used.get(key)
        if found is None:
            found = _hash_file(path)
            self._changed = True
        # A file that changed a moment ago may change again within the same tick of the clock.
        if time.time_ns() - status.st_ctime_ns > 2_000_000_000:
            self._used[key] = found
        return found

    def save(self) -> None:
        if self._changed and self._used:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            kept = list({**self._known, **self._used}.items())[-100_000:]
            write_json(self._path, dict(kept), durable=False)


def _hash_file(path: str) -> str:
    digest = sha256()
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def cache_mount(paths: Paths, identity: str, sharing: str) -> Iterator[str]:
    """The directory of a cache mount: `shared` by all, `locked` one after the other, `private` one for each."""
    base = f"{paths.build}/mounts/{sha256(identity.encode()).hexdigest()[:32]}"
    for number in range(1000):
        path = base if number == 0 else f"{base}.{number}"
        os.makedirs(path, mode=0o755, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if sharing == "shared":
                yield path
                return
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if sharing == "private" else 0))
            except BlockingIOError:
                continue
            yield path
            return
        finally:
            os.close(lock)
