"""DNS messages (RFC 1035): what a query asks, and the answers we give ourselves.

Pure; the wire format is dnslib's.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dnslib import AAAA, PTR, QTYPE, RCODE, RR, A, DNSHeader, DNSRecord

# Short: a name's addresses change whenever a container is replaced.
TTL_SECONDS = 10
HEADER_BYTES = 12
_PLAIN_UDP_BYTES = 512
_OPT = 41


class Query(NamedTuple):
    """A well-formed question. `kind` is the type's name ("A") or its number as text."""

    name: str
    kind: str
    udp_bytes: int  # how long an answer by UDP may be
    record: DNSRecord


def parse_query(data: bytes) -> Query | None:
    """The question of a message, or None if it is not a plain query with one question."""
    try:
        record = DNSRecord.parse(data)
        header = record.header
        if header.qr or header.opcode != 0 or len(record.questions) != 1:
            return None
        question = record.questions[0]
        size = max([_PLAIN_UDP_BYTES, *(rr.rclass for rr in record.ar if rr.rtype == _OPT)])
        name = str(question.qname)
        kind = QTYPE.forward.get(question.qtype, str(question.qtype))
        return Query(name, kind if question.qclass == 1 else "", min(size, 4096), record)
    except Exception:  # dnslib raises of all kinds for bytes that are no message
        return None


def refuse(data: bytes, rcode: str) -> bytes:
    """An answer without content to a message that may be malformed; b"" if it is too short or itself an
    answer.
    """
    if len(data) < HEADER_BYTES or data[2] & 0x80:
        return b""
    query = parse_query(data)
    if query is not None:
        reply = query.record.reply(ra=1, aa=0)
        reply.header.rcode = getattr(RCODE, rcode)
        return bytes(reply.pack())
    header = DNSHeader(id=int.from_bytes(data[:2], "big"), qr=1, ra=1, rcode=getattr(RCODE, rcode))
    return bytes(DNSRecord(header).pack())


def build_addresses(query: Query, addresses: Sequence[str]) -> bytes:
    """The answer with these A and AAAA records; none = the name exists but has nothing of that type."""
    reply = query.record.reply(ra=1, aa=1)
    for address in addresses:
        kind, data = (QTYPE.AAAA, AAAA(address)) if ":" in address else (QTYPE.A, A(address))
        reply.add_answer(RR(query.record.q.qname, kind, rdata=data, ttl=TTL_SECONDS))
    return bytes(reply.pack())


def build_names(query: Query, names: Sequence[str]) -> bytes:
    """The answer with these PTR records."""
    reply = query.record.reply(ra=1, aa=1)
    for name in names:
        reply.add_answer(RR(query.record.q.qname, QTYPE.PTR, rdata=PTR(name), ttl=TTL_SECONDS))
    return bytes(reply.pack())


def truncate(answer: bytes, query: Query) -> bytes:
    """The answer as it may go out by UDP: itself, or empty with TC set if it is too long."""
    if len(answer) <= query.udp_bytes:
        return answer
    reply = DNSRecord.parse(answer).truncate()
    return bytes(reply.pack())


def is_answer_to(answer: bytes, query: bytes) -> bool:
    """Whether a message is an answer with the same id and question (compared without case, RFC 5452)."""
    if len(answer) < HEADER_BYTES or answer[:2] != query[:2] or not answer[2] & 0x80:
        return False
    end = _question_end(query)
    return end > 0 and answer[HEADER_BYTES:end].lower() == query[HEADER_BYTES:end].lower()


def _question_end(message: bytes) -> int:
    offset = HEADER_BYTES
    while offset < len(message):
        length = message[offset]
        offset += length + 1
        if length == 0:
            return offset + 4 if offset + 4 <= len(message) else 0
        if length > 63:
            return 0
    return 0
