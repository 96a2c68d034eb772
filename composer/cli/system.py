"""`system`: what this engine holds, what it works with, and getting rid of what nothing uses."""

import json
import os
import platform
import shutil
from typing import Any

from composer.cli.context import Context
from composer.cli.image import prune as prune_images
from composer.cli.network import prune as prune_networks
from composer.cli.volume import prune as prune_volumes
from composer.cli.volume import unused_volumes
from composer.output.formats import check_format, format_list, format_object
from composer.output.transfer import describe_size
from composer.version import VERSION
from runtime import ConflictError, EngineError, describe_host, folder_bytes, host_memory_bytes

_DF_HEADINGS = {
    "Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE",
}  # fmt: skip


def df(context: Context, *, format: str) -> int:
    """`system df`: how many objects there are, and what they take of the disk."""
    check_format(format)
    rows = [_images(context), _containers(context), _volumes(context), _build_cache(context)]
    for line in format_list(format, rows, _DF_HEADINGS, tuple(_DF_HEADINGS)):
        context.out.line(line)
    return 0


def _row(kind: str, total: int, active: int, size: int, reclaimable: int) -> dict[str, str]:
    share = f" ({100 * reclaimable // size}%)" if size else ""
    return {
        "Type": kind,
        "TotalCount": str(total),
        "Active": str(active),
        "Size": describe_size(size),
        "Reclaimable": f"{describe_size(reclaimable)}{share}",
    }


def _images(context: Context) -> dict[str, str]:
    sizes = {image.id: image.size_bytes for image in context.engine.images.list()}
    used = {container.image_id for container in context.engine.containers.list()} & set(sizes)
    unused = sum(size for image, size in sizes.items() if image not in used)
    return _row("Images", len(sizes), len(used), sum(sizes.values()), unused)


def _containers(context: Context) -> dict[str, str]:
    containers = context.engine.containers.list()
    sizes = {item.id: folder_bytes(f"{context.engine.paths.container(item.id)}/layer") for item in containers}
    live = [item for item in containers if item.is_live]
    unused = sum(sizes[item.id] for item in containers if not item.is_live)
    return _row("Containers", len(containers), len(live), sum(sizes.values()), unused)


def _volumes(context: Context) -> dict[str, str]:
    sizes = {volume.name: folder_bytes(volume.folder) for volume in context.engine.volumes.list()}
    unused = [volume.name for volume in unused_volumes(context, named=True)]
    reclaimable = sum(sizes[name] for name in unused)
    return _row("Local Volumes", len(sizes), len(sizes) - len(unused), sum(sizes.values()), reclaimable)


def _build_cache(context: Context) -> dict[str, str]:
    folder = context.engine.paths.build
    size = folder_bytes(folder)
    records = os.listdir(f"{folder}/records") if os.path.isdir(f"{folder}/records") else []
    return _row("Build Cache", len(records), 0, size, size)


def info(context: Context, *, format: str) -> int:
    """`system info`: the engine, the machine and what of its kernel is used."""
    check_format(format, ("text", "json"))
    containers = context.engine.containers.list()
    paths = context.engine.paths
    host = describe_host()
    document: dict[str, Any] = {
        "ServerVersion": VERSION,
        "DockerRootDir": paths.data,
        "StateDir": paths.state,
        "Containers": len(containers),
        "ContainersRunning": sum(item.status == "running" for item in containers),
        "ContainersPaused": sum(item.status == "paused" for item in containers),
        "ContainersStopped": sum(not item.is_live for item in containers),
        "Images": len({image.id for image in context.engine.images.list()}),
        "Driver": "overlay",
        "CgroupVersion": host.cgroups,
        "LoggingDriver": "local",
        "DefaultRuntime": "pycompose",
        "KernelVersion": platform.release(),
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": platform.machine(),
        "NCPU": os.cpu_count(),
        "MemTotal": host_memory_bytes(),
        "Name": platform.node(),
        "SecurityOptions": list(host.security),
        "DiskFree": shutil.disk_usage(paths.data).free,
        "HttpProxy": os.environ.get("HTTP_PROXY", os.environ.get("http_proxy", "")),
    }
    if format == "json":
        context.out.line(json.dumps(document))
        return 0
    if format != "text":
        context.out.line(format_object(format, document))
        return 0
    for key, value in document.items():
        shown = describe_size(value) if key in ("MemTotal", "DiskFree") else value
        context.out.line(f"{key}: {', '.join(shown) if isinstance(shown, list) else shown}")
    return 0


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def prune(context: Context, *, all: bool, volumes: bool, force: bool) -> int:
    """`system prune`: stopped containers, and networks, images and with `volumes` anonymous volumes without a user."""
    parts = [
        "stopped containers",
        "networks and " + ("images" if all else "unnamed images") + " without a user",
    ]
    if volumes:
        parts.append("anonymous volumes without a user")
    if not force and not context.confirm(f"This removes all {', all '.join(parts)}. Go on? [y/N] "):
        return 0
    _prune_containers(context)
    prune_networks(context, force=True)
    if volumes:
        prune_volumes(context, all=False, force=True)
    return prune_images(context, all=all, force=True)


def _prune_containers(context: Context) -> None:
    stopped = [item for item in context.engine.containers.list() if not item.is_live]
    if stopped and not context.options.dry_run:
        context.out.line("Deleted Containers:")
    for item in stopped:
        if context.only_tells(f"remove container {item.name}"):
            continue
        lock = context.engine.project_lock(item.project)
        lock.acquire()
        try:
            context.engine.containers.remove(item.id)
        except ConflictError:
            continue  # somebody has started it
        except EngineError as error:
            context.err.line(f"error: {error}")
            continue
        finally:
            lock.release()
        context.out.line(item.id)
