"""Short `ports` (Compose spec 05-services): [HOST_IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTOCOL]. Pure."""

import ipaddress
from typing import Any

_PROTOCOLS = ("tcp", "udp", "sctp")


def parse_ports(text: str) -> list[dict[str, Any]]:
    """Long forms of one short form: one per port of a range. Raises ValueError with what is wrong.

    A range of host ports for one container port stays one entry, from which a free port is taken later.
    """
    address, host, container, protocol = _split(text)
    if address and not is_address(address):
        raise ValueError(f"{address!r} in the port {text!r} is not an IP address")
    first, last = _range(container, text, "container")
    if first == 0:
        raise ValueError(f"the container port of {text!r} is 0 (1 to 65535)")
    entry: dict[str, Any] = {"mode": "ingress", "protocol": protocol}
    if address:
        entry["host_ip"] = address
    if not host:
        return [{**entry, "target": port} for port in range(first, last + 1)]
    host_first, host_last = _range(host, text, "host")
    if host_last - host_first == last - first:
        return [
            {**entry, "target": port, "published": str(host_first + port - first)}
            for port in range(first, last + 1)
        ]
    if first != last:
        raise ValueError(f"the ranges {host} and {container} of the port {text!r} differ in length")
    return [{**entry, "target": first, "published": f"{host_first}-{host_last}"}]


def count_ports(text: str) -> int:
    """How many ports a short form stands for; 1 where it is malformed."""
    try:
        first, last = _range(_split(text)[2], text, "container")
    except ValueError:
        return 1
    return last - first + 1


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def parse_range(text: str) -> tuple[int, int]:
    """First and last of a port or a range of ports; (0, 0) for anything else."""
    try:
        return _range(text, text, "host")
    except ValueError:
        return 0, 0


def is_port_range(text: str) -> bool:
    """Whether `text` is a port, a range of ports or empty."""
    try:
        return not text or bool(_range(text, text, "host"))
    except ValueError:
        return False


def _split(text: str) -> tuple[str, str, str, str]:
    rest, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f"{protocol!r} in the port {text!r} is not tcp, udp or sctp")
    parts = rest.rsplit(":", 2)
    if len(parts) == 3:
        address, host, container = parts
        if address.startswith("[") and address.endswith("]"):
            address = address[1:-1]
        elif ":" in address:
            raise ValueError(f"{address!r} in the port {text!r} is not an IP address")
    else:
        address, host, container = ("", "", *parts) if len(parts) == 1 else ("", *parts)
    if not container:
        raise ValueError(f"the port {text!r} does not name a container port")
    return address, host, container, protocol


def _range(text: str, whole: str, side: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    values = []
    for part in (first, last if dash else first):
        if not (part.isascii() and part.isdigit()) or len(part) > 9 or int(part) > 65535:
            raise ValueError(f"{part!r} in the port {whole!r} is not a {side} port (0 to 65535)")
        values.append(int(part))
    if values[1] < values[0]:
        raise ValueError(f"the range {text} of the port {whole!r} runs backwards")
    return values[0], values[1]
