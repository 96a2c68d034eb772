"""The container engine's public interface; importing one name loads the one module behind it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.build.check import check_build
    from runtime.build.ignore import Matcher, parse_ignore_file
    from runtime.build.outcomes import Outcome
    from runtime.build.remote import is_git_url
    from runtime.build.request import LOCAL_IMAGE, BuildRequest, BuildSecret, build_from_json, build_to_json
    from runtime.container.kill import parse_signal
    from runtime.engine.attachment import DETACH_KEYS, Attachment, Session, attach, parse_detach_keys
    from runtime.engine.containers import Container
    from runtime.engine.engine import Engine
    from runtime.engine.execution import ExecRequest, begin_captured, run_attached, run_detached
    from runtime.engine.files import container_root
    from runtime.engine.following import LogEvent, LogFollower
    from runtime.engine.host_info import HostInfo, describe_host, folder_bytes
    from runtime.engine.job import Job
    from runtime.engine.networks import NetworkRow
    from runtime.engine.resuming import containers_to_resume
    from runtime.engine.stopping import Stopping
    from runtime.engine.subscription import Subscription
    from runtime.engine.syncing import sync_files
    from runtime.engine.transfer import Location, copy_files, receive_files, send_files, send_root
    from runtime.engine.usage import Usage, host_memory_bytes, read_container_usage
    from runtime.engine.volumes import VolumeRow
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
    from runtime.image.artifact import Artifact, Document
    from runtime.image.registry.pinning import pin_image
    from runtime.image.workers import die_with
    from runtime.linux.directory_watch import DirectoryWatch, watch_directory
    from runtime.linux.processes import ProcessRow, list_processes
    from runtime.linux.tree_watch import TreeWatch
    from runtime.network.plan import NetworkRequest, has_host_ports
    from runtime.network.ports import check_free
    from runtime.network.record import Endpoint, Pool
    from runtime.oci.container_spec import (
        BlockLimits,
        ContainerSpec,
        DeviceMapping,
        DeviceRequest,
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
    from runtime.oci.user_mapping import check_user_namespace
    from runtime.shim.launch import Launch
    from runtime.shim.logs.reader import LogReader
    from runtime.shim.logs.record import Line
    from runtime.shim.state import ProbeResult
    from runtime.store.events import Event, EventReader
    from runtime.store.files import read_json, write_json
    from runtime.store.locks import FileLock
    from runtime.store.paths import Paths

_HOMES = {
    "check_build": "runtime.build.check",
    "Outcome": "runtime.build.outcomes",
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
    "container_root": "runtime.engine.files",
    "LogEvent": "runtime.engine.following",
    "LogFollower": "runtime.engine.following",
    "NetworkRow": "runtime.engine.networks",
    "containers_to_resume": "runtime.engine.resuming",
    "Stopping": "runtime.engine.stopping",
    "Subscription": "runtime.engine.subscription",
    "HostInfo": "runtime.engine.host_info",
    "describe_host": "runtime.engine.host_info",
    "folder_bytes": "runtime.engine.host_info",
    "Location": "runtime.engine.transfer",
    "Matcher": "runtime.build.ignore",
    "TreeWatch": "runtime.linux.tree_watch",
    "parse_ignore_file": "runtime.build.ignore",
    "sync_files": "runtime.engine.syncing",
    "copy_files": "runtime.engine.transfer",
    "receive_files": "runtime.engine.transfer",
    "send_files": "runtime.engine.transfer",
    "send_root": "runtime.engine.transfer",
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
    "has_host_ports": "runtime.network.plan",
    "Endpoint": "runtime.network.record",
    "Pool": "runtime.network.record",
    "VolumeRow": "runtime.engine.volumes",
    "check_free": "runtime.network.ports",
    "Artifact": "runtime.image.artifact",
    "Document": "runtime.image.artifact",
    "is_git_url": "runtime.build.remote",
    "die_with": "runtime.image.workers",
    "pin_image": "runtime.image.registry.pinning",
    "ContainerSpec": "runtime.oci.container_spec",
    "FileGrant": "runtime.oci.container_spec",
    "Healthcheck": "runtime.oci.container_spec",
    "HookSpec": "runtime.oci.container_spec",
    "LogRequest": "runtime.oci.container_spec",
    "plan_logging": "runtime.oci.logging",
    "check_user_namespace": "runtime.oci.user_mapping",
    "BlockLimits": "runtime.oci.container_spec",
    "DeviceMapping": "runtime.oci.container_spec",
    "DeviceRequest": "runtime.oci.container_spec",
    "MountRequest": "runtime.oci.container_spec",
    "NetworkAttachment": "runtime.oci.container_spec",
    "PortRequest": "runtime.oci.container_spec",
    "ProbeResult": "runtime.shim.state",
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
    "Outcome",
    "Job",
    "Endpoint",
    "HostInfo",
    "describe_host",
    "folder_bytes",
    "VolumeRow",
    "LOCAL_IMAGE",
    "Location",
    "Artifact",
    "Document",
    "is_git_url",
    "Matcher",
    "TreeWatch",
    "die_with",
    "parse_ignore_file",
    "sync_files",
    "container_root",
    "copy_files",
    "receive_files",
    "send_files",
    "send_root",
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
    "BlockLimits",
    "DeviceMapping",
    "DeviceRequest",
    "MountRequest",
    "NetworkAttachment",
    "NotFoundError",
    "Paths",
    "PortRequest",
    "ProbeResult",
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
    "check_user_namespace",
    "containers_to_resume",
    "from_json",
    "has_host_ports",
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
