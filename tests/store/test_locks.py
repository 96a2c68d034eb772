import os
import time
from pathlib import Path

from runtime.store.locks import FileLock, is_locked


def test_a_lock_excludes_others_and_leaves_no_file(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    first, second = FileLock(path), FileLock(path)
    assert first.acquire()
    assert is_locked(path)
    assert not second.acquire(timeout_s=0.05)
    first.release()
    assert not is_locked(path)
    assert second.acquire(timeout_s=0)
    second.release()
    assert not os.path.exists(path)


def test_a_waiter_gets_the_lock_on_a_new_file_when_the_old_one_was_unlinked(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    first = FileLock(path)
    first.acquire()
    child = os.fork()
    if child == 0:
        os.closerange(3, 256)
        waiter = FileLock(path)
        waiter.acquire()
        ok = os.path.exists(path) and is_locked(path)
        os._exit(0 if ok else 1)
    time.sleep(0.1)
    first.release()
    assert os.waitpid(child, 0)[1] == 0


def test_the_kernel_releases_the_lock_of_a_dead_process(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    child = os.fork()
    if child == 0:
        FileLock(path).acquire()
        os._exit(0)
    os.waitpid(child, 0)
    assert not is_locked(path)
    assert FileLock(path).acquire(timeout_s=0)
