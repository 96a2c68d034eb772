"""The nf_tables expressions our rules are made of, as bytes (nf_tables.h). Pure.

Registers 1 to 4 hold 16 bytes each; 8 to 23 are the same space in steps of 4 bytes (8 is where 1 starts).
"""

import struct

_NESTED = 0x8000
R1, R2 = 1, 2  # 16-byte registers
W0, W1, W2 = 8, 9, 10  # 4-byte registers; W0 = the start of R1
W4, W5 = 12, 13  # W4 = the start of R2

_META_L4PROTO, _META_IIFNAME, _META_OIFNAME = 16, 6, 7
_CT_STATE, _CT_STATUS = 0, 2
_CMP_EQ, _CMP_NEQ = 0, 1
_PAYLOAD_NETWORK, _PAYLOAD_TRANSPORT = 1, 2
_NAT_DNAT = 1
_FIB_ADDRTYPE, _FIB_SADDR, _FIB_DADDR = 3, 1, 2
_DROP, _ACCEPT = 0, 1
_FAMILY_IP, _FAMILY_IP6 = 2, 10  # NFPROTO_*
_RTN_LOCAL = 2

STATE_ESTABLISHED, STATE_RELATED = 2, 4
STATUS_DNAT = 0x20  # IPS_DST_NAT


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length & 3)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("!I", value))


def _expression(name: str, data: bytes = b"") -> bytes:
    body = _attribute(1, name.encode() + b"\0") + _attribute(2 | _NESTED, data)
    return _attribute(1 | _NESTED, body)


def ifname(name: str) -> bytes:
    """An interface name as registers and sets hold it: 16 bytes."""
    return name.encode().ljust(16, b"\0")


def _meta(key: int, register: int) -> bytes:
    return _expression("meta", _number(2, key) + _number(1, register))


def load_iifname(register: int = R1) -> bytes:
    return _meta(_META_IIFNAME, register)


def load_oifname(register: int = R1) -> bytes:
    return _meta(_META_OIFNAME, register)


def load_protocol(register: int = R1) -> bytes:
    """meta l4proto"""
    return _meta(_META_L4PROTO, register)


def load_source(register: int = R1, *, ipv6: bool = False) -> bytes:
    """ip saddr, ip6 saddr"""
    return _payload(_PAYLOAD_NETWORK, *((8, 16) if ipv6 else (12, 4)), register)


def load_destination(register: int = R1, *, ipv6: bool = False) -> bytes:
    """ip daddr, ip6 daddr"""
    return _payload(_PAYLOAD_NETWORK, *((24, 16) if ipv6 else (16, 4)), register)


def load_port(register: int = R1) -> bytes:
    """th dport"""
    return _payload(_PAYLOAD_TRANSPORT, 2, 2, register)


def _payload(base: int, offset: int, length: int, register: int) -> bytes:
    data = _number(1, register) + _number(2, base) + _number(3, offset) + _number(4, length)
    return _expression("payload", data)


def compare(value: bytes, *, equal: bool = True, register: int = R1) -> bytes:
    """Goes on with the rule only if the register's content is (is not) `value`."""
    data = _number(1, register) + _number(2, _CMP_EQ if equal else _CMP_NEQ)
    return _expression("cmp", data + _attribute(3 | _NESTED, _attribute(1, value)))


def mask(value: bytes, register: int = R1) -> bytes:
    """register &= value"""
    data = _number(1, register) + _number(2, register) + _number(3, len(value))
    data += _attribute(4 | _NESTED, _attribute(1, value))
    data += _attribute(5 | _NESTED, _attribute(1, b"\0" * len(value)))
    return _expression("bitwise", data)


def lookup(name: str, *, register: int = R1, result: int = 0, inverted: bool = False) -> bytes:
    """Goes on only if the register's content is (is not) in the set; a map's value goes to `result`."""
    data = _attribute(1, name.encode() + b"\0") + _number(2, register)
    if result:
        data += _number(3, result)
    if inverted:
        data += _number(5, 1)
    return _expression("lookup", data)


def destination_is_local() -> bytes:
    """fib daddr type local"""
    return _address_type(_FIB_DADDR) + compare(struct.pack("=I", _RTN_LOCAL))


def source_is_foreign() -> bytes:
    """fib saddr type != local"""
    return _address_type(_FIB_SADDR) + compare(struct.pack("=I", _RTN_LOCAL), equal=False)


def _address_type(flags: int) -> bytes:
    return _expression("fib", _number(1, R1) + _number(2, _FIB_ADDRTYPE) + _number(3, flags))


def _connection(key: int, bits: int) -> bytes:
    load = _expression("ct", _number(2, key) + _number(1, R1))
    zero = struct.pack("=I", 0)
    return load + mask(struct.pack("=I", bits)) + compare(zero, equal=False)


def connection_state(bits: int) -> bytes:
    """ct state: any of these"""
    return _connection(_CT_STATE, bits)


def connection_status(bits: int) -> bytes:
    """ct status: any of these"""
    return _connection(_CT_STATUS, bits)


def source_in_loopback() -> bytes:
    """ip saddr 127.0.0.0/8"""
    return load_source() + mask(b"\xff\0\0\0") + compare(b"\x7f\0\0\0")


def destination_in_loopback() -> bytes:
    """ip daddr 127.0.0.0/8"""
    return load_destination() + mask(b"\xff\0\0\0") + compare(b"\x7f\0\0\0")


def destination_nat(address: int, port: int, *, ipv6: bool = False) -> bytes:
    """dnat to the address and the port in these two registers"""
    family = _FAMILY_IP6 if ipv6 else _FAMILY_IP
    data = _number(1, _NAT_DNAT) + _number(2, family) + _number(3, address) + _number(5, port)
    return _expression("nat", data)


def set_register(register: int, value: bytes) -> bytes:
    """Puts a value into a register."""
    return _expression("immediate", _number(1, register) + _attribute(2 | _NESTED, _attribute(1, value)))


def masquerade() -> bytes:
    return _expression("masq")


def counter() -> bytes:
    return _expression("counter")


def _verdict(code: int) -> bytes:
    value = _attribute(2 | _NESTED, _number(1, code))
    return _expression("immediate", _number(1, 0) + _attribute(2 | _NESTED, value))


def accept() -> bytes:
    return _verdict(_ACCEPT)


def drop() -> bytes:
    return _verdict(_DROP)
