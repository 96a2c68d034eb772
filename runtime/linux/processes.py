"""Processes as `ps -f` lists them, from /proc (proc_pid_stat(5), proc_pid_cmdline(5))."""

import os
import time
from collections.abc import Iterable
from typing import NamedTuple

_TTY_MAJOR, _PTS_MAJORS = 4, range(136, 144)


class ProcessRow(NamedTuple):
    """One process. `started` is the time of day, or the day if that is another one; `cpu_percent` since its start."""

    pid: int
    parent: int
    uid: int
    cpu_s: float
    cpu_percent: int
    started: str
    terminal: str
    command: str


def list_processes(pids: Iterable[int]) -> list[ProcessRow]:
    """Those of the processes that are still there, by pid."""
    with open("/proc/uptime") as file:
        uptime_s = float(file.read().split()[0])
    found = (_process(pid, uptime_s) for pid in sorted(pids))
    return [process for process in found if process is not None]


def _process(pid: int, uptime_s: float) -> ProcessRow | None:
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            text = file.read()
        with open(f"/proc/{pid}/cmdline", errors="replace") as file:
            words = file.read().rstrip("\0").split("\0")
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    ticks = os.sysconf("SC_CLK_TCK")
    cpu_s = (int(fields[11]) + int(fields[12])) / ticks
    age_s = max(uptime_s - int(fields[19]) / ticks, 0.01)
    return ProcessRow(
        pid=pid,
        parent=int(fields[1]),
        uid=uid,
        cpu_s=cpu_s,
        cpu_percent=int(100 * cpu_s / age_s),
        started=_clock(time.time() - age_s),
        terminal=_terminal(int(fields[4])),
        command=" ".join(words) if words[0] else f"[{name}]",
    )


def _clock(moment: float) -> str:
    then, now = time.localtime(moment), time.localtime()
    return time.strftime("%H:%M" if then[:3] == now[:3] else "%b%d", then)


def _terminal(number: int) -> str:
    major, minor = os.major(number), os.minor(number)
    if major in _PTS_MAJORS:
        return f"pts/{(major - _PTS_MAJORS[0]) * 256 + minor}"
    return f"tty{minor}" if major == _TTY_MAJOR and number else "?"
