"""Small effects on one cgroup directory: read, write, make, remove. Knows no controller."""

import errno
import os
import time


def write_text(directory: str, file: str, text: str) -> None:
    """Write one value. Raises OSError with the file's path (the kernel answers at write time)."""
    path = f"{directory}/{file}"
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def read_text(directory: str, file: str) -> str | None:
    """A file's text without the final newline; None if it is not there."""
    try:
        fd = os.open(f"{directory}/{file}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        chunks = []
        while chunk := os.read(fd, 65536):
            chunks.append(chunk)
        return b"".join(chunks).decode().rstrip("\n")
    except OSError as error:
        if error.errno == errno.ENODEV:  # the cgroup was removed meanwhile
            return None
        raise
    finally:
        os.close(fd)


def read_keyed(directory: str, file: str) -> dict[str, int]:
    """A file of "key number" lines; empty if it is not there."""
    result: dict[str, int] = {}
    for line in (read_text(directory, file) or "").splitlines():
        key, _, value = line.partition(" ")
        if value.isdigit():
            result[key] = int(value)
    return result


def remove_tree(directory: str, timeout_s: float) -> bool:
    """rmdir a cgroup and those below it; True when it is gone, False when it is still busy after the time.

    Only rmdir is ever called: the files of a cgroup go with it. Processes that have been killed leave their cgroup
    a moment after they can be reaped, hence the waiting.
    """
    pause_s = 0.001
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            os.rmdir(directory)
            return True
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
        below = children(directory)
        gone = [remove_tree(child, max(0.0, deadline - time.monotonic())) for child in below]
        if below and all(gone):
            continue
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)


def children(directory: str) -> list[str]:
    """Paths of the cgroups directly below; empty if it is gone."""
    try:
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
