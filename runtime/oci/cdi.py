"""Container Device Interface: which edits the host's specifications make for a device. Pure.

Source: the CDI specification (cncf-tags/container-device-interface, SPEC.md). A qualified name is vendor/class=device.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runtime.errors import InvalidError, NotFoundError
from runtime.oci.container_spec import DeviceRequest

FOLDERS = ("/etc/cdi", "/var/run/cdi")
_NVIDIA = "nvidia.com/gpu"
_HINT = f"{' and '.join(FOLDERS)} have none; a vendor's toolkit writes them (nvidia-ctk cdi generate)"


class Edits(NamedTuple):
    """containerEdits of the devices asked for, each once, in their order."""

    environment: tuple[str, ...] = ()
    device_nodes: tuple[Mapping[str, Any], ...] = ()
    mounts: tuple[Mapping[str, Any], ...] = ()
    hooks: tuple[Mapping[str, Any], ...] = ()
    groups: tuple[int, ...] = ()


def is_qualified(name: str) -> bool:
    """Whether a device is named as CDI does it, rather than by a path."""
    kind, equals, device = name.partition("=")
    vendor, slash, group = kind.partition("/")
    return bool(equals and device and slash and vendor and group) and not name.startswith("/")


def plan_edits(documents: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Edits:
    """What the named devices ask for. Raises NotFoundError for a device nobody specifies."""
    parts: list[Mapping[str, Any]] = []
    for name in names:
        kind, _, device = name.partition("=")
        document = next((d for d in documents if d.get("kind") == kind and device in _devices(d)), None)
        if document is None:
            raise NotFoundError(f"the host has no CDI device {name}", hint=_HINT)
        for edits in (document.get("containerEdits") or {}, _devices(document)[device]):
            if edits not in parts:
                parts.append(edits)
    return Edits(
        environment=tuple(item for part in parts for item in part.get("env") or ()),
        device_nodes=tuple(item for part in parts for item in part.get("deviceNodes") or ()),
        mounts=tuple(item for part in parts for item in part.get("mounts") or ()),
        hooks=tuple(item for part in parts for item in part.get("hooks") or ()),
        groups=tuple(item for part in parts for item in part.get("additionalGids") or ()),
    )


def select_devices(documents: Sequence[Mapping[str, Any]], request: DeviceRequest) -> list[str]:
    """Qualified names of the devices that a request is answered with. Raises NotFoundError, InvalidError."""
    if request.driver == "cdi":
        return list(request.ids)
    kind = _kind_of(documents, request)
    known = [name for document in documents if document.get("kind") == kind for name in _devices(document)]
    if request.ids:
        return [name if is_qualified(name) else f"{kind}={name}" for name in request.ids]
    if request.number < 0 and "all" in known:
        return [f"{kind}=all"]
    single = [name for name in known if name != "all"]
    # A toolkit lists each device by index and by UUID; an index is what is counted.
    counted = [name for name in single if name.isdigit()] or single
    if request.number > len(counted):
        raise NotFoundError(f"{request.number} devices of {kind} are wanted, the host has {len(counted)}")
    return [f"{kind}={name}" for name in (counted if request.number < 0 else counted[: request.number])]


def _kind_of(documents: Sequence[Mapping[str, Any]], request: DeviceRequest) -> str:
    """The CDI kind for a driver and capabilities: `nvidia` has nvidia.com/gpu, else the only kind of that class."""
    classes = [word for word in request.capabilities if word in ("gpu", "tpu", "npu")] or ["gpu"]
    if not {"gpu", "tpu", "npu", "nvidia"} & {*request.capabilities, request.driver}:
        wanted = ", ".join(request.capabilities) or "none"
        raise InvalidError(
            f"no driver for devices with the capabilities {wanted}",
            hint="known: gpu, tpu, npu; or driver: cdi",
        )
    kinds = sorted(
        {str(d.get("kind")) for d in documents if str(d.get("kind")).rpartition("/")[2] in classes}
    )
    if request.driver:
        kinds = [kind for kind in kinds if kind.startswith(request.driver)]
    if _NVIDIA in kinds:
        return _NVIDIA
    if not kinds:
        what = f"{request.driver} {classes[0]}".strip()
        raise NotFoundError(f"the host has no CDI specification for a {what}", hint=_HINT)
    return kinds[0]


def _devices(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(item["name"]): item.get("containerEdits") or {} for item in document.get("devices") or ()}
