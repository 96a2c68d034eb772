"""A small nfnetlink encoder and socket for nf_tables: transactions and dumps (nfnetlink.h, nf_tables.h).

What belongs here: messages for tables, chains, sets, maps, their elements, and rules made of expressions
that the caller has encoded (network/firewall/expressions.py). A `Transaction` is all or nothing, as the
kernel has it between NFNL_MSG_BATCH_BEGIN and _END. Numbers inside attributes are big endian.
"""

import errno
import struct
from typing import NamedTuple

from runtime.linux.netlink import (
    ACK,
    APPEND,
    CREATE,
    DUMP,
    DUMP_INTERRUPTED,
    EXCL,
    HEADER,
    NESTED,
    NLMSG_DONE,
    NLMSG_ERROR,
    REQUEST,
    NetlinkError,
    decode_attributes,
    decode_error,
    encode_attribute,
    open_socket,
    split_messages,
)

FAMILY_INET, FAMILY_IP, FAMILY_BRIDGE, FAMILY_IP6 = 1, 2, 7, 10
HOOK_PREROUTING, HOOK_INPUT, HOOK_FORWARD, HOOK_OUTPUT, HOOK_POSTROUTING = 0, 1, 2, 3, 4
POLICY_DROP, POLICY_ACCEPT = 0, 1
SET_ANONYMOUS, SET_MAP, SET_CONCAT = 0x1, 0x8, 0x80

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN, _BATCH_END = 16, 17
_MOST_ELEMENTS = 400  # in one message: the length of an attribute has 16 bits
NEWTABLE, GETTABLE, DELTABLE, NEWCHAIN, GETCHAIN = 0, 1, 2, 3, 4
NEWRULE, GETRULE, DELRULE, NEWSET, GETSET, NEWSETELEM, GETSETELEM, DELSETELEM, GETGEN = (
    6,
    7,
    8,
    9,
    10,
    12,
    13,
    14,
    16,
)
_IFNAME = 41  # nft(8)'s number of this type
# User data in which nft(8) looks up how a key's bytes are to be read (libnftnl udata: type 0, BYTEORDER_HOST_ENDIAN).
_HOST_ORDER = struct.pack("=BBI", 0, 4, 1)
# One transaction is one datagram; the kernel's answer to a huge one must fit the receive buffer as well.
_GENERIC = struct.Struct("!BBH")


class Chain(NamedTuple):
    """A chain as the kernel lists it; `hook` -1 and `policy` -1 where it is not a base chain."""

    family: int
    table: str
    name: str
    kind: str
    hook: int
    priority: int
    policy: int


class Rule(NamedTuple):
    """A rule as the kernel lists it, of its expressions only the bytes."""

    handle: int
    comment: str
    expressions: bytes


class Table(NamedTuple):
    """A table and the comment it was made with."""

    family: int
    name: str
    comment: str


def text(value: str) -> bytes:
    """A NUL-terminated string."""
    return value.encode() + b"\0"


def u32(value: int) -> bytes:
    return struct.pack("!I", value)


def nest(kind: int, value: bytes) -> bytes:
    """An attribute that holds attributes."""
    return encode_attribute(kind | NESTED, value)


def comment_userdata(comment: str) -> bytes:
    """The user data in which nft(8) keeps a comment of a table or a rule (libnftnl udata: type 0)."""
    raw = text(comment)[:255]
    return struct.pack("BB", 0, len(raw)) + raw


def parse_comment(userdata: bytes) -> str:
    """The comment in user data, "" if there is none."""
    offset = 0
    while offset + 2 <= len(userdata):
        kind, length = userdata[offset], userdata[offset + 1]
        if kind == 0:
            return userdata[offset + 2 : offset + 2 + length].rstrip(b"\0").decode(errors="replace")
        offset += 2 + length
    return ""


class Transaction:
    """Messages that take effect together or not at all. `family` is one of FAMILY_*."""

    def __init__(self, family: int = FAMILY_IP) -> None:
        self.family = family
        self.messages: list[tuple[int, int, bytes, str]] = []

    def _add(self, kind: int, flags: int, body: bytes, what: str) -> None:
        self.messages.append((kind, flags, body, what))

    def add_table(self, table: str, comment: str = "", *, exclusive: bool = False) -> None:
        """A table; `exclusive` makes the transaction fail with EEXIST if it is there."""
        body = encode_attribute(1, text(table))
        if comment:
            body += encode_attribute(6, comment_userdata(comment))
        self._add(NEWTABLE, CREATE | (EXCL if exclusive else 0), body, f"create table {table}")

    def delete_table(self, table: str) -> None:
        """A table with all it holds."""
        self._add(DELTABLE, 0, encode_attribute(1, text(table)), f"delete table {table}")

    def add_chain(
        self, table: str, chain: str, kind: str, hook: int, priority: int, policy: int = POLICY_ACCEPT
    ) -> None:
        """A base chain. `kind` is "filter" or "nat", `hook` one of HOOK_*."""
        body = encode_attribute(1, text(table)) + encode_attribute(3, text(chain))
        where = encode_attribute(1, u32(hook)) + encode_attribute(2, struct.pack("!i", priority))
        body += nest(4, where) + encode_attribute(5, u32(policy)) + encode_attribute(7, text(kind))
        self._add(NEWCHAIN, CREATE, body, f"create chain {table} {chain}")

    def add_set(
        self,
        table: str,
        name: str,
        key: tuple[tuple[int, int], ...],
        data: tuple[tuple[int, int], ...] = (),
    ) -> None:
        """A set, or with `data` a map. Key and data are tuples of (nft type number, length in bytes)."""
        flags = (SET_MAP if data else 0) | (SET_CONCAT if len(key) > 1 else 0)
        body = encode_attribute(1, text(table)) + encode_attribute(2, text(name))
        body += encode_attribute(3, u32(flags))
        body += encode_attribute(4, u32(_type_number(key))) + encode_attribute(5, u32(_padded_length(key)))
        if data:
            body += encode_attribute(6, u32(_type_number(data)))
            body += encode_attribute(7, u32(_padded_length(data)))
        if len(key) > 1:
            fields = b"".join(nest(1, encode_attribute(1, u32(length))) for _, length in key)
            body += nest(9, nest(2, fields))
        if key[0][0] == _IFNAME and len(key) == 1:
            body += encode_attribute(13, _HOST_ORDER)
        # The number is only a name for use inside this transaction.
        body += encode_attribute(10, u32(len(self.messages) + 1))
        self._add(NEWSET, CREATE, body, f"create set {table} {name}")

    def add_rule(
        self, table: str, chain: str, expressions: bytes, comment: str = "", *, first: bool = False
    ) -> None:
        """A rule at the end of the chain, or with `first` at its head."""
        body = encode_attribute(1, text(table)) + encode_attribute(2, text(chain))
        body += nest(4, expressions)
        if comment:
            body += encode_attribute(7, comment_userdata(comment))
        flags = CREATE if first else CREATE | APPEND
        self._add(NEWRULE, flags, body, f"add rule to {table} {chain}")

    def delete_rule(self, table: str, chain: str, handle: int) -> None:
        body = encode_attribute(1, text(table)) + encode_attribute(2, text(chain))
        body += encode_attribute(3, struct.pack("!Q", handle))
        self._add(DELRULE, 0, body, f"delete rule {handle} of {table} {chain}")

    def add_elements(self, table: str, name: str, elements: list[tuple[bytes, bytes]]) -> None:
        """Elements (key, data) of a set; data is b"" unless it is a map. There already: no error if equal."""
        for first in range(0, len(elements), _MOST_ELEMENTS):
            body = _elements(table, name, elements[first : first + _MOST_ELEMENTS])
            self._add(NEWSETELEM, CREATE, body, f"add elements to {table} {name}")

    def delete_elements(self, table: str, name: str, keys: list[bytes]) -> None:
        """Elements by key; one that is not there fails the transaction with ENOENT."""
        for first in range(0, len(keys), _MOST_ELEMENTS):
            body = _elements(table, name, [(key, b"") for key in keys[first : first + _MOST_ELEMENTS]])
            self._add(DELSETELEM, 0, body, f"delete elements of {table} {name}")


def _type_number(fields: tuple[tuple[int, int], ...]) -> int:
    """nft(8) writes a concatenation's type as its parts' numbers, six bits each."""
    number = 0
    for kind, _ in fields:
        number = number << 6 | kind
    return number


def _padded_length(fields: tuple[tuple[int, int], ...]) -> int:
    if len(fields) == 1:
        return fields[0][1]
    return sum((length + 3) & ~3 for _, length in fields)


def _elements(table: str, name: str, elements: list[tuple[bytes, bytes]]) -> bytes:
    items = []
    for key, data in elements:
        item = nest(1, encode_attribute(1, key))
        if data:
            item += nest(2, encode_attribute(1, data))
        items.append(nest(1, item))
    body = encode_attribute(1, text(table)) + encode_attribute(2, text(name))
    return body + nest(3, b"".join(items))


class Nfnetlink:
    """A socket to nf_tables of the network namespace it was opened in."""

    def __init__(self) -> None:
        self.socket = open_socket(_NETLINK_NETFILTER)
        self._sequence = 0

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Nfnetlink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def commit(self, transaction: Transaction, generation: int = 0) -> None:
        """Carries out a transaction. With `generation`, only if nothing has changed since (else ERESTART).

        Raises NetlinkError (nothing has been changed then).
        """
        if not transaction.messages:
            return
        asked: dict[int, str] = {}
        begin = encode_attribute(1, u32(generation)) if generation else b""
        parts = [self._message(_BATCH_BEGIN, REQUEST, 0, 10, begin)]
        asked_begin = self._sequence
        for kind, flags, body, what in transaction.messages:
            flags |= REQUEST | ACK
            parts.append(self._message(_SUBSYSTEM | kind, flags, transaction.family, 0, body))
            asked[self._sequence] = what
        last = self._sequence
        parts.append(self._message(_BATCH_END, REQUEST, 0, 10, b""))
        self.socket.send(b"".join(parts))
        self._await(asked, asked_begin, last)

    def _await(self, asked: dict[int, str], begin: int, last: int) -> None:
        """Reads the acknowledgements. A transaction refused as a whole is answered for its first message."""
        failed: list[tuple[str, int, str]] = []
        while asked:
            data = self.socket.recv(1 << 17)
            for kind, flags, sequence, start, end in split_messages(data):
                if kind != NLMSG_ERROR or not begin <= sequence <= last + 1:
                    continue
                number, explanation = decode_error(data, flags, start, end)
                what = asked.pop(sequence, "change the firewall")
                if number:
                    failed.append((what, number, explanation))
                    if sequence == begin:
                        asked.clear()
        if failed:
            raise NetlinkError(failed)

    def _message(self, kind: int, flags: int, family: int, resource: int, body: bytes) -> bytes:
        self._sequence += 1
        body = _GENERIC.pack(family, 0, resource) + body
        return HEADER.pack(16 + len(body), kind, flags, self._sequence, 0) + body

    def generation(self) -> int:
        """The number of the ruleset's current state; every transaction of anybody changes it."""
        found = self._get(GETGEN, 0, b"", 0, "read the generation")
        return int(struct.unpack("!I", found[0][1][1])[0])

    def tables(self) -> list[Table]:
        """All tables of all families."""
        found = self._get(GETTABLE, 0, b"", DUMP, "list tables")
        return [Table(family, _text(a[1]), parse_comment(a.get(6, b""))) for family, a in found]

    def table(self, name: str, family: int = FAMILY_IP) -> Table | None:
        """One table, or None."""
        try:
            found = self._get(GETTABLE, family, encode_attribute(1, text(name)), 0, f"read table {name}")
        except NetlinkError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return Table(found[0][0], name, parse_comment(found[0][1].get(6, b"")))

    def chains(self, family: int = 0) -> list[Chain]:
        """All chains of a family (0 = of all)."""
        out = []
        for got, attributes in self._get(GETCHAIN, family, b"", DUMP, "list chains"):
            hook = attributes.get(4, b"")
            where = decode_attributes(hook, 0, len(hook))
            out.append(
                Chain(
                    got,
                    _text(attributes[1]),
                    _text(attributes[3]),
                    _text(attributes.get(7, b"")),
                    struct.unpack("!I", where[1])[0] if 1 in where else -1,
                    struct.unpack("!i", where[2])[0] if 2 in where else 0,
                    struct.unpack("!I", attributes[5])[0] if 5 in attributes else -1,
                )
            )
        return out

    def rules(self, table: str, chain: str, family: int = FAMILY_IP) -> list[Rule]:
        """The rules of a chain in their order; none if it is not there."""
        body = encode_attribute(1, text(table)) + encode_attribute(2, text(chain))
        out = []
        for _, attributes in self._get(GETRULE, family, body, DUMP, f"list rules of {table} {chain}"):
            if _text(attributes[1]) == table and _text(attributes[2]) == chain:
                handle = struct.unpack("!Q", attributes[3])[0]
                out.append(Rule(handle, parse_comment(attributes.get(7, b"")), attributes.get(4, b"")))
        return out

    def elements(self, table: str, name: str, family: int = FAMILY_IP) -> list[tuple[bytes, bytes]]:
        """(key, data) of all elements of a set; none if the set or its table is not there."""
        body = encode_attribute(1, text(table)) + encode_attribute(2, text(name))
        out = []
        try:
            found = self._get(GETSETELEM, family, body, DUMP, f"list elements of {table} {name}")
        except NetlinkError as error:
            if error.errno == errno.ENOENT:
                return []
            raise
        for _, attributes in found:
            out += _decode_elements(attributes.get(3, b""))
        return out

    def _get(
        self, kind: int, family: int, body: bytes, flags: int, what: str
    ) -> list[tuple[int, dict[int, bytes]]]:
        for _ in range(20):
            found = self._get_once(kind, family, body, flags, what)
            if found is not None:
                return found
        raise NetlinkError([(what, errno.EAGAIN, "the ruleset kept changing while it was read")])

    def _get_once(
        self, kind: int, family: int, body: bytes, flags: int, what: str
    ) -> list[tuple[int, dict[int, bytes]]] | None:
        """The answers to one request, or None if the ruleset changed in between (NLM_F_DUMP_INTR, EINTR)."""
        self.socket.send(self._message(_SUBSYSTEM | kind, REQUEST | flags, family, 0, body))
        found: list[tuple[int, dict[int, bytes]]] = []
        interrupted = False
        while True:
            data = self.socket.recv(1 << 17)
            for answer, got, sequence, start, end in split_messages(data):
                if sequence != self._sequence:
                    continue
                interrupted = interrupted or bool(flags and got & DUMP_INTERRUPTED)
                if answer == NLMSG_DONE:
                    return None if interrupted else found
                if answer == NLMSG_ERROR:
                    number, explanation = decode_error(data, got, start, end)
                    if number == errno.EINTR:
                        return None
                    raise NetlinkError([(what, number, explanation)])
                found.append((data[start], decode_attributes(data, start + 4, end)))
                if not flags:
                    return found


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def _decode_elements(listed: bytes) -> list[tuple[bytes, bytes]]:
    """NFTA_SET_ELEM_LIST_ELEMENTS: a list in which every element has the same attribute number."""
    out = []
    offset = 0
    while offset + 4 <= len(listed):
        length = struct.unpack_from("=H", listed, offset)[0]
        if length < 4:
            break
        item = decode_attributes(listed, offset + 4, offset + length)
        key, data = item.get(1, b""), item.get(2, b"")
        out.append(
            (
                decode_attributes(key, 0, len(key)).get(1, b""),
                decode_attributes(data, 0, len(data)).get(1, b""),
            )
        )
        offset += (length + 3) & ~3
    return out
