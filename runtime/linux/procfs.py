"""Reading /proc: a process's start time and the mount table (proc(5))."""

from typing import NamedTuple


class MountPoint(NamedTuple):
    """One line of mountinfo: where, what (`root` is the part of the file system that is mounted) and options."""

    mount_id: int
    root: str
    target: str
    options: str
    fstype: str
    source: str
    super_options: str


def start_time(pid: int) -> int:
    """When the process started, in clock ticks since boot. Raises ProcessLookupError if it is gone."""
    return _stat_fields(pid)[1]


def boot_id() -> str:
    """An id of this boot of the machine (random(4))."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def is_zombie(pid: int) -> bool:
    """Whether the process has ended and waits to be reaped. Raises ProcessLookupError if it is gone."""
    return _stat_fields(pid)[0] in "ZX"


def _stat_fields(pid: int) -> tuple[str, int]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"no process {pid}") from None
    # The name in parentheses may hold anything, a ")" too: the fields start after the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])


def load_mountinfo(pid: int | str = "self") -> list[MountPoint]:
    """The mount table as the process sees it, in mount order. Raises OSError."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return parse_mountinfo(file.read())


def parse_mountinfo(text: str) -> list[MountPoint]:
    """Text of /proc/PID/mountinfo (proc_pid_mountinfo(5)); octal escapes are undone in paths."""
    result: list[MountPoint] = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        first, last = before.split(" "), after.split(" ")
        result.append(
            MountPoint(
                int(first[0]),
                _unescape(first[3]),
                _unescape(first[4]),
                first[5],
                last[0],
                _unescape(last[1]),
                last[2] if len(last) > 2 else "",
            )
        )
    return result


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    parts = text.split("\\")
    return parts[0] + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts[1:])


def mount_point_of(path: str) -> str:
    """The mount point that holds a path (the last mounted, where several lie over one another)."""
    best = "/"
    for mount in load_mountinfo():
        target = mount.target.rstrip("/")
        if (path == target or path.startswith(f"{target}/")) and len(mount.target) >= len(best):
            best = mount.target
    return best
