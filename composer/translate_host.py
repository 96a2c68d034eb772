"""What a service shares with the host or with other containers: namespaces, devices, volumes. Pure."""

from collections.abc import Iterable, Mapping

from composer.model.parts import DeviceRequest as ModelRequest
from composer.model.project import Project
from composer.model.service import Service
from composer.plan.desired import TEXT, Content
from composer.translate_networks import first_container
from composer.values import parse_size_bytes
from runtime import (
    BlockLimits,
    ContainerSpec,
    DeviceMapping,
    DeviceRequest,
    InvalidError,
    check_user_namespace,
)

_SECCOMP = ("seccomp=", "seccomp:")


def translate_namespace(value: str, project: Project) -> str:
    """`ipc`, `pid`, `uts`, `cgroup`: a service's name becomes that of its first container."""
    kind, _, name = value.partition(":")
    return f"container:{first_container(project, name)}" if kind == "service" else value


def userns_problems(spec: ContainerSpec, origin: str) -> tuple[str, ...]:
    """Why the container cannot have the ids it wants."""
    try:
        check_user_namespace(spec)
    except InvalidError as error:
        return (f"{origin}: {error} ({error.hint})",)
    return ()


def translate_volumes_from(service: Service, project: Project) -> tuple[str, ...]:
    """SERVICE[:ro] and container:NAME[:ro] as NAME[:ro]."""
    found = []
    for entry in service.volumes_from:
        if entry.startswith("container:"):
            found.append(entry.removeprefix("container:"))
        else:
            name, colon, access = entry.partition(":")
            found.append(f"{first_container(project, name)}{colon}{access}")
    return tuple(found)


def translate_devices(service: Service) -> tuple[DeviceMapping, ...]:
    return tuple(
        DeviceMapping(device.source, device.target or device.source, device.permissions or "rwm")
        for device in service.devices
    )


def translate_device_requests(service: Service) -> tuple[DeviceRequest, ...]:
    """`gpus`, which ask for the capability gpu, and `deploy.resources.reservations.devices`."""
    resources = service.deploy.resources if service.deploy else None
    reserved = resources.reservations.devices if resources and resources.reservations else ()
    return (
        *(_request(request, ("gpu", *request.capabilities)) for request in service.gpus),
        *(_request(request, request.capabilities) for request in reserved),
    )


def _request(request: ModelRequest, capabilities: Iterable[str]) -> DeviceRequest:
    return DeviceRequest(
        driver=request.driver,
        capabilities=tuple(dict.fromkeys(capabilities)),
        number=request.count,
        ids=request.device_ids,
    )


def translate_block_limits(service: Service) -> BlockLimits:
    """`blkio_config`."""
    block = service.blkio_config
    if block is None:
        return BlockLimits()
    return BlockLimits(
        weight=block.weight,
        weight_devices=tuple((item.path, item.weight) for item in block.weight_device),
        read_bps=tuple((item.path, item.rate) for item in block.device_read_bps),
        read_iops=tuple((item.path, item.rate) for item in block.device_read_iops),
        write_bps=tuple((item.path, item.rate) for item in block.device_write_bps),
        write_iops=tuple((item.path, item.rate) for item in block.device_write_iops),
    )


def translate_storage(service: Service) -> int:
    """`storage_opt.size` in bytes, 0 = no limit; also where it makes no sense (`storage_problems`)."""
    return _storage_bytes(service) or 0


def _storage_bytes(service: Service) -> int | None:
    """None for what is no size."""
    try:
        size = parse_size_bytes(service.storage_opt.get("size", "0"))
    except ValueError:
        return None
    return size if size < 1 << 63 else None


def storage_problems(service: Service, origin: str) -> tuple[str, ...]:
    """What is wrong with `storage_opt`."""
    unknown = [name for name in service.storage_opt if name != "size"]
    if unknown:
        return (f"{origin}: storage_opt: unknown option {unknown[0]!r} (there is one, `size`)",)
    if _storage_bytes(service) is None:
        return (
            f"{origin}: storage_opt.size: {service.storage_opt['size']!r} is no size such as 512m or 10G",
        )
    return ()


def seccomp_files(service: Service) -> Mapping[str, str]:
    """Option of security_opt -> the profile's path, for those that name a file."""
    found = {}
    for option in service.security_opt:
        name = option[len(_SECCOMP[0]) :]
        if option.startswith(_SECCOMP) and name not in ("unconfined", "builtin"):
            found[option] = name
    return found


def translate_security(service: Service, contents: Mapping[str, Content]) -> tuple[str, ...]:
    """`security_opt` with a profile's text in the place of its file's name."""
    files = seccomp_files(service)
    options = []
    for option in service.security_opt:
        content = contents.get(f"seccomp/{files[option]}") if option in files else None
        options.append(f"seccomp={content.value}" if content and content.kind == TEXT else option)
    return tuple(options)
