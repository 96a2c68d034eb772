"""A container's ports in one line, as the reference's tables have them. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple


class ShownPort(NamedTuple):
    """One port of a container. Without a host port it is open to its networks only."""

    number: int
    protocol: str
    host_ip: str = ""
    host_port: int = 0


def parse_exposed(words: Iterable[str]) -> list[ShownPort]:
    """`expose` with its ranges: "80", "53/udp", "7000-7003/tcp". Words that are no ports are left out."""
    shown = []
    for word in words:
        numbers, _, protocol = word.partition("/")
        first, _, last = numbers.partition("-")
        if not (first.isdecimal() and (last or "0").isdecimal()):
            continue
        shown += [
            ShownPort(number, protocol or "tcp") for number in range(int(first), int(last or first) + 1)
        ]
    return shown


def render_ports(ports: Iterable[ShownPort]) -> str:
    """ "99/tcp, 0.0.0.0:8000-8002->8000-8002/tcp, 0.0.0.0:8080->80/tcp": neighbours on the same numbers as on the host,
    and those that are on none, in one.
    """
    ordered = sorted(set(ports), key=lambda port: (port.number, port.host_ip, port.host_port, port.protocol))
    alike: dict[tuple[bool, str, str], list[int]] = {}
    for port in ordered:
        if port.host_port in (0, port.number):
            published = port.host_port != 0
            alike.setdefault((published, port.host_ip * published, port.protocol), []).append(port.number)
    texts = []
    for published in (False, True):
        runs = [(run, key) for key, numbers in alike.items() if key[0] == published for run in _runs(numbers)]
        for (first, last), (_, host_ip, protocol) in sorted(runs):
            numbers = f"{first}-{last}" if last > first else str(first)
            at = f"{_bracketed(host_ip)}:{numbers}->" if published else ""
            texts.append(f"{at}{numbers}/{protocol}")
    texts += [
        f"{_bracketed(port.host_ip)}:{port.host_port}->{port.number}/{port.protocol}"
        for port in ordered
        if port.host_port not in (0, port.number)
    ]
    return ", ".join(texts)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(first, last) of increasing numbers without a gap."""
    for _, run in groupby(enumerate(dict.fromkeys(numbers)), lambda item: item[1] - item[0]):
        members = [number for _, number in run]
        yield members[0], members[-1]


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
