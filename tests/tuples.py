"""pgoutput's messages, made from nothing: for tests without a server."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from producer.decode.pgoutput import Unchanged, Value
from producer.events import Relation

EPOCH_US = 946_684_800_000_000
UNCHANGED = Unchanged.TOAST


def framed(payload: bytes, lsn: int = 0x1C8) -> bytes:
    """Behind XLogData's header."""
    return b"w" + struct.pack(">QQq", lsn, 0, 0) + payload


def begin(xid: int = 745, lsn: int = 0x1F4, micros: int = 1_795_343_146_245_855) -> bytes:
    """`micros` since 1970."""
    return b"B" + struct.pack(">QqI", lsn, micros - EPOCH_US, xid)


def commit(lsn: int = 0x1F4, end: int = 0x258) -> bytes:
    return b"C" + struct.pack(">BQQq", 0, lsn, end, 0)


def relation(
    oid: int, schema: str, table: str, columns: Sequence[tuple[str, int, bool]], identity: bytes = b"d"
) -> bytes:
    """Columns are name, type OID, and whether an old row holds them."""
    text = b"R" + struct.pack(">I", oid) + schema.encode() + b"\0" + table.encode() + b"\0" + identity
    text += struct.pack(">H", len(columns))
    for name, type_oid, logged in columns:
        text += bytes([logged]) + name.encode() + b"\0" + struct.pack(">Ii", type_oid, -1)
    return text


_IDENTITIES = {"default": b"d", "full": b"f", "index": b"i", "nothing": b"n"}


def told(known: Relation) -> bytes:
    """What the server says of a relation."""
    schema, table = known.logged_names
    columns = [(c.name, c.type.oid, c.name in known.identity_columns) for c in known.columns]
    return relation(known.oid, schema, table, columns, _IDENTITIES[known.identity])


def image(values: Sequence[Value]) -> bytes:
    text = struct.pack(">H", len(values))
    for value in values:
        if isinstance(value, Unchanged):
            text += b"u"
        else:
            text += b"n" if value is None else b"t" + struct.pack(">I", len(value)) + value
    return text


def insert(oid: int, values: Sequence[Value]) -> bytes:
    return b"I" + struct.pack(">I", oid) + b"N" + image(values)


def update(oid: int, values: Sequence[Value], old: Sequence[Value] | None = None, kind: bytes = b"K") -> bytes:
    before = b"" if old is None else kind + image(old)
    return b"U" + struct.pack(">I", oid) + before + b"N" + image(values)


def delete(oid: int, old: Sequence[Value], kind: bytes = b"K") -> bytes:
    return b"D" + struct.pack(">I", oid) + kind + image(old)


def truncate(*oids: int) -> bytes:
    return b"T" + struct.pack(">IB", len(oids), 0) + b"".join(struct.pack(">I", oid) for oid in oids)


def message(prefix: str, content: bytes, *, transactional: bool = True, lsn: int = 0x1F4) -> bytes:
    return b"M" + struct.pack(">BQ", transactional, lsn) + prefix.encode() + b"\0" + struct.pack(
        ">I", len(content)
    ) + content  # fmt: skip
