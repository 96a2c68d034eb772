"""What a file leaves unsaid: names of networks and volumes, implicit dependencies, the default network. Pure.

Works on the canonical tree, in place (Compose spec 04-version-and-name, 06-networks, 07-volumes).
"""

from typing import Any

from composer.load.origins import Marks

DEFAULT = "default"
_NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")
_DEVICE_LISTS = (
    "device_read_bps",
    "device_read_iops",
    "device_write_bps",
    "device_write_iops",
    "weight_device",
)
NAMED_SECTIONS = ("networks", "volumes", "secrets", "configs")


def normalize(tree: dict[str, Any], marks: Marks) -> None:
    """Adds implicit attributes to every service and names to every resource."""
    for name, service in (tree.get("services") or {}).items():
        _service(service, marks.child("services").child(name))
    _default_network(tree, marks)
    for section in NAMED_SECTIONS:
        items = tree.get(section) or {}
        for key, item in items.items():
            if item is None:
                item = items[key] = {}
            item.setdefault("name", key if item.get("external") else f"{tree['name']}_{key}")
    for key, item in (tree.get("models") or {}).items():
        if not item.get("name"):
            item["name"] = f"{tree['name']}_{key}"


def set_defaults(tree: dict[str, Any]) -> None:
    """Values that attributes have when a part of them is left out."""
    for service in (tree.get("services") or {}).values():
        build = service.get("build")
        if isinstance(build, dict):
            build.setdefault("context", ".")
        for secret in service.get("secrets") or ():
            if not secret.get("target") and secret.get("source"):
                secret["target"] = f"/run/secrets/{secret['source']}"
        for device in service.get("gpus") or ():
            if not device.get("count") and not device.get("device_ids"):
                device["count"] = -1
        for device in _path(service, "deploy", "resources", "reservations", "devices") or ():
            if not device.get("count") and not device.get("device_ids"):
                device["count"] = -1
        for key in _DEVICE_LISTS:
            for entry in _path(service, "blkio_config", key) or ():
                entry.setdefault("path", "")


def _path(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _service(service: dict[str, Any], marks: Marks) -> None:
    build = service.get("build")
    if isinstance(build, dict) and "dockerfile_inline" not in build:
        build.setdefault("dockerfile", "Dockerfile")
    alone = "network_mode" in service or service.get("provider")
    if not alone and not service.get("networks"):
        service["networks"] = {DEFAULT: None}
    depends = dict(service.get("depends_on") or {})
    where = marks.children.setdefault("depends_on", Marks(marks.origin))
    for attribute, other, restart in implied_dependencies(service):
        if other not in depends:
            entry: dict[str, Any] = {"condition": "service_started", "required": True}
            depends[other] = {**entry, "restart": True} if restart else entry
            where.children.setdefault(other, Marks(marks.at((attribute,))))
    if depends:
        service["depends_on"] = depends
    if service.get("pull_policy") == "if_not_present":
        service["pull_policy"] = "missing"


def implied_dependencies(service: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """(attribute, service, restart) of links, shared namespaces and volumes_from."""
    out = [("links", link.partition(":")[0], True) for link in service.get("links") or ()]
    for attribute in _NAMESPACES:
        value = service.get(attribute)
        if isinstance(value, str) and value.startswith("service:"):
            out.append((attribute, value.removeprefix("service:"), True))
    for entry in service.get("volumes_from") or ():
        if not entry.startswith("container:"):
            out.append(("volumes_from", entry.partition(":")[0], False))
    return out


def _default_network(tree: dict[str, Any], marks: Marks) -> None:
    used = any(DEFAULT in (s.get("networks") or {}) for s in (tree.get("services") or {}).values())
    if used:
        networks = tree.get("networks") or {}
        networks.setdefault(DEFAULT, None)
        tree["networks"] = networks
