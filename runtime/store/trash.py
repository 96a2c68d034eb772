"""What is deleted in the background: folders are renamed into DATA/trash at once and emptied by a detached child."""

import os

from runtime.store.files import remove_tree
from runtime.store.paths import Paths


def discard(paths: Paths, folder: str) -> None:
    """Rename a folder away from where it can be seen; a missing one is fine."""
    os.makedirs(paths.trash, mode=0o700, exist_ok=True)
    try:
        os.rename(folder, f"{paths.trash}/{os.path.basename(folder)}.{os.urandom(4).hex()}")
    except FileNotFoundError:
        pass


def sweep(paths: Paths) -> None:
    """Empty the trash folder in this process."""
    try:
        names = os.listdir(paths.trash)
    except FileNotFoundError:
        return
    for name in names:
        remove_tree(f"{paths.trash}/{name}")


def sweep_detached(paths: Paths) -> None:
    """Empty the trash folder in a child of its own, which holds nothing of the caller's open.

    Call it last and single-threaded: the child goes through fork(2).
    """
    try:
        if not os.listdir(paths.trash):
            return
    except FileNotFoundError:
        return
    child = os.fork()
    if child:
        try:
            os.waitpid(child, 0)
        except ChildProcessError:
            # Where SIGCHLD is ignored the kernel reaps.
            pass
        return
    try:
        os.setsid()
        if os.fork() == 0:
            os.chdir("/")
            os.closerange(0, 1 << 16)
            sweep(paths)
    finally:
        os._exit(0)
