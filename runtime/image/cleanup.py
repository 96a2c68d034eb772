"""What killed pulls left behind: partial downloads that nobody is working on."""

import os

from runtime.store.locks import FileLock
from runtime.store.paths import Paths


def drop_downloads(paths: Paths) -> None:
    """Delete partial downloads, but for those of pulls under way."""
    try:
        names = os.listdir(paths.downloads)
    except FileNotFoundError:
        return
    for name in names:
        base, _, kind = name.partition(".")
        if kind != "part":
            continue
        lock = FileLock(f"{paths.downloads}/{base}.lock")
        if lock.acquire(timeout_s=0.0):
            try:
                os.unlink(f"{paths.downloads}/{name}")
            except FileNotFoundError:
                pass
            finally:
                lock.release()
