"""What a shim says of its container, on disk: STATE/containers/ID/state.json and DATA/containers/ID/exit.

Written by the shim alone, read by everybody without a lock.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from runtime.linux.procfs import boot_id
from runtime.store.files import read_json, write_json

VERSION = 1

CREATED = "created"
RUNNING = "running"
RESTARTING = "restarting"
PAUSED = "paused"
EXITED = "exited"

HEALTH_STARTING = "starting"
HEALTH_HEALTHY = "healthy"
HEALTH_UNHEALTHY = "unhealthy"


class PublishedAddress(NamedTuple):
    """One published port as it came out, the host port chosen. `host_ip` is "0.0.0.0" or "::" for all of a family.

    A `host_port` of 0 = none: it is reached at `direct_ip` only.
    """

    host_ip: str
    host_port: int
    protocol: str
    container_port: int
    container_ip: str = ""  # where the kernel's NAT sends it, "" = the shim's proxy serves it
    direct_ip: str = ""  # the container's address, where the network lets others reach the port there


class LiveState(NamedTuple):
    """state.json. Times in ns since the epoch; `pid_start` is the start time of `pid` in clock ticks (proc(5))."""

    status: str
    shim_pid: int
    pid: int = 0
    pid_start: int = 0
    started_ns: int = 0
    restarts: int = 0
    health: str = ""  # "" = no health check
    failing_streak: int = 0
    health_output: str = ""  # what the last probe printed
    exit_code: int = 0  # of the last run, while restarting
    ports: tuple[PublishedAddress, ...] = ()


class ProbeResult(NamedTuple):
    """One run of a health check. Times in ns since the epoch; code -1 = it could not be run, or took too long."""

    started_ns: int
    ended_ns: int
    code: int
    output: str


class ExitRecord(NamedTuple):
    """exit: how the last run ended. `error` is set where the program could not be started."""

    code: int
    started_ns: int
    finished_ns: int
    oom_killed: bool = False
    error: str = ""
    boot_id: str = ""
    restarts: int = 0


def write_live_state(directory: str, state: LiveState) -> None:
    """Replace state.json in a container's STATE directory."""
    document: dict[str, Any] = {"v": VERSION, **state._asdict()}
    document["ports"] = [list(port) for port in state.ports]
    write_json(f"{directory}/state.json", document, durable=False)


def read_live_state(directory: str) -> LiveState | None:
    """state.json of a STATE directory; None where there is none (yet)."""
    document = read_json(f"{directory}/state.json")
    if document is None:
        return None
    document.pop("v", None)
    document["ports"] = tuple(PublishedAddress(*port) for port in document.get("ports", ()))
    known = LiveState._fields
    return LiveState(**{key: value for key, value in document.items() if key in known})


def write_probe_results(directory: str, results: Sequence[ProbeResult]) -> None:
    """Replace health.json in a container's STATE directory: apart from state.json, which every `ps` reads."""
    write_json(f"{directory}/health.json", {"v": VERSION, "results": results}, durable=False)


def read_probe_results(directory: str) -> tuple[ProbeResult, ...]:
    """The last results of a running container's health check, the newest last."""
    document = read_json(f"{directory}/health.json") or {}
    return tuple(ProbeResult(*result) for result in document.get("results", ()))


def write_exit_record(directory: str, record: ExitRecord) -> None:
    """Write `exit` in a container's DATA directory, durably."""
    write_json(f"{directory}/exit", {"v": VERSION, **record._replace(boot_id=boot_id())._asdict()})


def read_exit_record(directory: str) -> ExitRecord | None:
    """`exit` of a DATA directory; None where the container has not ended a run."""
    document = read_json(f"{directory}/exit")
    if document is None:
        return None
    return ExitRecord(**{key: value for key, value in document.items() if key in ExitRecord._fields})
