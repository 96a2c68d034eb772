"""Entries of a list that mean the same thing: the later one replaces the earlier, at its place. Pure.

Runs on canonical trees (Compose spec 13-merge: unique resources).
"""

from collections.abc import Callable
from typing import Any

from composer.load.origins import Document, Marks
from composer.values import format_scalar

Key = Callable[[Any], Any]


def _port(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return (item.get("host_ip"), str(item.get("published")), str(item.get("target")), item.get("protocol"))


def _mount(item: Any) -> Any:
    return item.get("target") if isinstance(item, dict) else item


def _config(item: Any) -> Any:
    return (item.get("target") or f"/{item.get('source')}") if isinstance(item, dict) else item


def _secret(item: Any) -> Any:
    return (item.get("target") or f"/run/secrets/{item.get('source')}") if isinstance(item, dict) else item


def _path(item: Any) -> Any:
    return item.get("path") if isinstance(item, dict) else item


def _before_colon(item: Any) -> Any:
    return str(item).partition(":")[0]


def _name(item: Any) -> Any:
    return str(item).partition("=")[0]


SERVICE_LISTS: dict[str, Key] = {
    "ports": _port,
    "volumes": _mount,
    "devices": _mount,
    "secrets": _secret,
    "configs": _config,
    "env_file": _path,
    "label_file": format_scalar,
    "tmpfs": _before_colon,
    "cap_add": format_scalar,
    "cap_drop": format_scalar,
    "dns": format_scalar,
    "dns_opt": format_scalar,
    "dns_search": format_scalar,
    "expose": format_scalar,
    "links": format_scalar,
    "profiles": format_scalar,
    "extra_hosts": format_scalar,
    # Lists only where variables are left in.
    "annotations": _name,
    "environment": _name,
    "labels": _name,
    "sysctls": _name,
}
BUILD_LISTS: dict[str, Key] = {
    "tags": format_scalar,
    "extra_hosts": format_scalar,
    "args": _name,
    "labels": _name,
}
NETWORK_LISTS = ("aliases", "link_local_ips")


def enforce(document: Document) -> None:
    """Changes the canonical tree in place; marks follow."""
    for name, network in (document.value.get("networks") or {}).items():
        if isinstance(network, dict) and isinstance(network.get("labels"), list):
            marks = document.marks.child("networks").child(name).child("labels")
            network["labels"] = _unique(network["labels"], marks, _name)
    services = document.value.get("services")
    if not isinstance(services, dict):
        return
    for name, service in services.items():
        marks = document.marks.child("services").child(name)
        if not isinstance(service, dict):
            continue
        for attribute, key in SERVICE_LISTS.items():
            if isinstance(service.get(attribute), list):
                service[attribute] = _unique(service[attribute], marks.child(attribute), key)
        build = service.get("build")
        if isinstance(build, dict):
            for attribute, key in BUILD_LISTS.items():
                if isinstance(build.get(attribute), list):
                    inner = marks.child("build").child(attribute)
                    build[attribute] = _unique(build[attribute], inner, key)
        deploy = service.get("deploy")
        if isinstance(deploy, dict) and isinstance(deploy.get("labels"), list):
            deploy["labels"] = _unique(deploy["labels"], marks.child("deploy").child("labels"), _name)
        networks = service.get("networks")
        for key_, network in networks.items() if isinstance(networks, dict) else ():
            for attribute in NETWORK_LISTS if isinstance(network, dict) else ():
                if isinstance(network.get(attribute), list):
                    inner = marks.child("networks").child(key_).child(attribute)
                    network[attribute] = _unique(network[attribute], inner, format_scalar)


def _unique(items: list[Any], marks: Marks, key: Key) -> list[Any]:
    chosen: dict[str, int] = {}
    for index, item in enumerate(items):
        name = repr(key(item))
        if name in chosen:
            marks.children[index] = marks.child(index).after(marks.child(chosen[name]))
        chosen[name] = index
    marks.rekey([(new, old) for new, old in enumerate(chosen.values())])
    return [items[index] for index in chosen.values()]
