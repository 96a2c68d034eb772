"""The container engine's public interface; importing one name loads the one module behind it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.build.check import check_build
    from runtime.build.request import LOCAL_IMAGE, BuildRequest, BuildSecret, build_from_json, build_to_json
    from runtime.container.kill import parse_signal
    from runtime.engine.attachment import DETACH_KEYS, Attachment, Session, attach, parse_detach_keys
    from runtime.engine.containers import Container
    from runtime.engine.engine import Engine
    from runtime.engine.execution import ExecRequest, begin_captured, run_attached, run_detached
    from runtime.engine.following import LogEvent, LogFollower
    from runtime.engine.job import Job
    from runtime.engine.networks import NetworkRow
    from runtime.engine.resuming import containers_to_resume
    from runtime.engine.stopping import Stopping
    from runtime.engine.subscription import Subscription
    from runtime.engine.usage import Usage, host_memory_bytes, read_container_usage
    from runtime.errors import (
        ConflictError,
        EngineError,
        ImageError,
        InvalidError,
        NotFoundError,
        StartError,
        StateError,
        UnsupportedError,
    )
    from runtime.image.registry.pinning import pin_image
    from runtime.linux.directory_watch import DirectoryWatch, watch_directory
    from runtime.linux.processes import ProcessRow, list_processes
    from runtime.network.plan import NetworkRequest
    from runtime.network.ports import check_free
    from runtime.network.record import Pool
    from runtime.oci.container_spec import (
        ContainerSpec,
        FileGrant,
        Healthcheck,
        HookSpec,
        LogRequest,
        MountRequest,
        NetworkAttachment,
        PortRequest,
        ResourceLimits,
        RestartPolicy,
        Ulimit,
        from_json,
        to_json,
    )
    from runtime.oci.logging import plan_logging
    from runtime.shim.launch import Launch
    from runtime.shim.logs.reader import LogReader
    from runtime.shim.logs.record import Line
    from runtime.store.events import Event, EventReader
    from runtime.store.files import read_json, write_json
    from runtime.store.locks import FileLock
    from runtime.store.paths import Paths

_HOMES = {
    "check_build": "runtime.build.check",
    "LOCAL_IMAGE": "runtime.build.request",
    "BuildRequest": "runtime.build.request",
    "BuildSecret": "runtime.build.request",
    "build_from_json": "runtime.build.request",
    "build_to_json": "runtime.build.request",
    "Job": "runtime.engine.job",
    "DETACH_KEYS": "runtime.engine.attachment",
    "Attachment": "runtime.engine.attachment",
    "Session": "runtime.engine.attachment",
    "attach": "runtime.engine.attachment",
    "parse_detach_keys": "runtime.engine.attachment",
    "Container": "runtime.engine.containers",
    "Engine": "runtime.engine.engine",
    "ExecRequest": "runtime.engine.execution",
    "begin_captured": "runtime.engine.execution",
    "run_attached": "runtime.engine.execution",
    "run_detached": "runtime.engine.execution",
    "LogEvent": "runtime.engine.following",
    "LogFollower": "runtime.engine.following",
    "NetworkRow": "runtime.engine.networks",
    "containers_to_resume": "runtime.engine.resuming",
    "Stopping": "runtime.engine.stopping",
    "Subscription": "runtime.engine.subscription",
    "Usage": "runtime.engine.usage",
    "host_memory_bytes": "runtime.engine.usage",
    "read_container_usage": "runtime.engine.usage",
    "ConflictError": "runtime.errors",
    "EngineError": "runtime.errors",
    "ImageError": "runtime.errors",
    "InvalidError": "runtime.errors",
    "NotFoundError": "runtime.errors",
    "StartError": "runtime.errors",
    "StateError": "runtime.errors",
    "UnsupportedError": "runtime.errors",
    "DirectoryWatch": "runtime.linux.directory_watch",
    "watch_directory": "runtime.linux.directory_watch",
    "ProcessRow": "runtime.linux.processes",
    "list_processes": "runtime.linux.processes",
    "NetworkRequest": "runtime.network.plan",
    "Pool": "runtime.network.record",
    "check_free": "runtime.network.ports",
    "pin_image": "runtime.image.registry.pinning",
    "ContainerSpec": "runtime.oci.container_spec",
    "FileGrant": "runtime.oci.container_spec",
    "Healthcheck": "runtime.oci.container_spec",
    "HookSpec": "runtime.oci.container_spec",
    "LogRequest": "runtime.oci.container_spec",
    "plan_logging": "runtime.oci.logging",
    "MountRequest": "runtime.oci.container_spec",
    "NetworkAttachment": "runtime.oci.container_spec",
    "PortRequest": "runtime.oci.container_spec",
    "ResourceLimits": "runtime.oci.container_spec",
    "RestartPolicy": "runtime.oci.container_spec",
    "Ulimit": "runtime.oci.container_spec",
    "from_json": "runtime.oci.container_spec",
    "to_json": "runtime.oci.container_spec",
    "Launch": "runtime.shim.launch",
    "LogReader": "runtime.shim.logs.reader",
    "Line": "runtime.shim.logs.record",
    "parse_signal": "runtime.container.kill",
    "Event": "runtime.store.events",
    "EventReader": "runtime.store.events",
    "read_json": "runtime.store.files",
    "write_json": "runtime.store.files",
    "FileLock": "runtime.store.locks",
    "Paths": "runtime.store.paths",
}

__all__ = [
    "DETACH_KEYS",
    "Attachment",
    "Session",
    "attach",
    "begin_captured",
    "parse_detach_keys",
    "check_build",
    "BuildRequest",
    "BuildSecret",
    "Job",
    "LOCAL_IMAGE",
    "build_from_json",
    "build_to_json",
    "ConflictError",
    "Container",
    "ContainerSpec",
    "Engine",
    "EngineError",
    "ExecRequest",
    "FileGrant",
    "FileLock",
    "Healthcheck",
    "HookSpec",
    "ImageError",
    "InvalidError",
    "Launch",
    "Line",
    "LogEvent",
    "LogFollower",
    "LogReader",
    "LogRequest",
    "MountRequest",
    "NetworkAttachment",
    "NotFoundError",
    "Paths",
    "PortRequest",
    "ResourceLimits",
    "RestartPolicy",
    "StartError",
    "StateError",
    "Stopping",
    "Subscription",
    "Ulimit",
    "UnsupportedError",
    "NetworkRequest",
    "NetworkRow",
    "ProcessRow",
    "Usage",
    "DirectoryWatch",
    "Event",
    "EventReader",
    "watch_directory",
    "host_memory_bytes",
    "list_processes",
    "read_container_usage",
    "Pool",
    "check_free",
    "containers_to_resume",
    "from_json",
    "parse_signal",
    "pin_image",
    "plan_logging",
    "read_json",
    "run_attached",
    "run_detached",
    "to_json",
    "write_json",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'runtime' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
