"""Warnings about what the reference accepts but nobody means: words that nothing knows, host ports given twice. Pure.

Works on the normalised tree. A warning never changes the exit status.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from composer.load.origins import Marks, Path
from composer.load.ports import parse_range

_RESTART = re.compile(r"no|always|unless-stopped|on-failure(:\d+)?")
_PULL_POLICY = re.compile(r"always|never|missing|if_not_present|build|refresh|daily|weekly|every_.+")
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_SIZES = ("mem_limit", "memswap_limit", "shm_size")
_GATEWAY_MODE = "com.docker.network.bridge.gateway_mode"
_EVERY_ADDRESS = ("", "0.0.0.0", "::")
_WORDS = (("restart", _RESTART), ("pull_policy", _PULL_POLICY), ("mac_address", _MAC))


def advise(tree: Mapping[str, Any], active: Iterable[str], marks: Marks) -> Iterator[str]:
    """One complete warning line each."""
    if tree.get("version"):
        yield _line(("version",), marks, "`version` is obsolete and means nothing; remove it")
    chosen = {name: tree["services"][name] for name in active}
    for name, service in chosen.items():
        for attribute, known in _WORDS:
            value = service.get(attribute)
            if value and not known.fullmatch(value):
                message = f"service {name!r}: {value!r} is not a {attribute.replace('_', ' ')} that is known"
                yield _line(("services", name, attribute), marks, message)
        yield from _rollback(name, service.get("deploy") or {}, marks)
    networks = tree.get("networks") or {}
    on_host = {name: service for name, service in chosen.items() if _has_host_ports(service, networks)}
    yield from _ports(on_host, marks)
    yield from _addresses(chosen, marks)
    for key, network in (tree.get("networks") or {}).items():
        if network and network.get("external") and network.get("driver"):
            message = f"network {key!r}: an external network exists already, its driver is not used"
            yield _line(("networks", key, "driver"), marks, message)


def advise_sizes(tree: Mapping[str, Any], active: Iterable[str], marks: Marks) -> Iterator[str]:
    """Sizes that count for nothing, of the tree before `parse_kinds`: `mem_limit: 1e9`."""
    for name in active:
        for attribute in _SIZES:
            value = tree["services"][name].get(attribute)
            if isinstance(value, float) and value:
                message = f"service {name!r}: {attribute} has no effect, a whole number or a size as 512m is expected"
                yield _line(("services", name, attribute), marks, message)


def _has_host_ports(service: Mapping[str, Any], networks: Mapping[str, Any]) -> bool:
    """Whether a network of the service publishes ports on the host: all do that are not routed."""
    for key in service.get("networks") or ("default",):
        network = networks.get(key) or {}
        options = network.get("driver_opts") or {}
        families = (
            "ipv4" if network.get("enable_ipv4") is not False else "",
            network.get("enable_ipv6") and "ipv6",
        )
        if any(options.get(f"{_GATEWAY_MODE}_{family}") != "routed" for family in families if family):
            return True
    return False


def _rollback(name: str, deploy: Mapping[str, Any], marks: Marks) -> Iterator[str]:
    """A rollback_config that an update cannot come to, or not in this way."""
    rollback, update = deploy.get("rollback_config"), deploy.get("update_config") or {}
    if not rollback:
        return
    where: Path = ("services", name, "deploy", "rollback_config")
    if update.get("failure_action") != "rollback":
        message = (
            f"service {name!r}: rollback_config is for `update_config: {{failure_action: rollback}}` only"
        )
        yield _line(where, marks, message)
    elif rollback.get("order") == "start-first" != update.get("order"):
        message = (
            f"service {name!r}: start-first has no effect, as the update is stop-first: "
            "the old container and the new one have the same name"
        )
        yield _line((*where, "order"), marks, message)


def _ports(services: Mapping[str, Any], marks: Marks) -> Iterator[str]:
    """Host ports that two services want, or one service several times over."""
    taken: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for name, service in services.items():
        copies = service.get("scale", (service.get("deploy") or {}).get("replicas"))
        for index, port in enumerate(service.get("ports") or ()):
            where: Path = ("services", name, "ports", index)
            number = _single_port(port)
            if number is None:
                continue
            if copies is not None and copies > 1:
                message = f"service {name!r}: {copies} containers cannot all have the host's port {number}"
                yield _line(where, marks, message)
            address = port.get("host_ip", "")
            others = taken.setdefault((port.get("protocol") or "tcp", number), [])
            other = next((owner for owner, known in others if _overlap(known, address)), None)
            if other is not None:
                message = f"service {name!r}: the host's port {number} is already that of service {other!r}"
                yield _line(where, marks, message)
            others.append((name, address))


def _single_port(port: Mapping[str, Any]) -> int | None:
    """The host port, unless there is none or a range to choose from."""
    first, last = parse_range(port.get("published") or "0")
    return first if first and first == last else None


def _overlap(one: str, other: str) -> bool:
    return one == other or one in _EVERY_ADDRESS or other in _EVERY_ADDRESS


def _addresses(services: Mapping[str, Any], marks: Marks) -> Iterator[str]:
    taken: dict[tuple[str, str], str] = {}
    for name, service in services.items():
        for key, use in (service.get("networks") or {}).items():
            for attribute in ("ipv4_address", "ipv6_address"):
                address = (use or {}).get(attribute)
                other = taken.setdefault((key, address), name) if address else name
                if other != name:
                    message = f"service {name!r}: {address} is already the address of service {other!r}"
                    yield _line(("services", name, "networks", key, attribute), marks, message)


def _line(path: Path, marks: Marks, message: str) -> str:
    origin = marks.at(path)
    return f"warning: {origin}: {message}" if origin else f"warning: {message}"
