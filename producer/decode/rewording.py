"""pgoutput's messages in the words of the general path: its rows as wal2json prints them.

Room: decode (pure). docs/DESIGN.md, "pgoutput". So there is one way to find a row's shape, to complete it and to set
it aside, whichever plugin told of it; the fast path walks the tuples themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from producer.decode import pgoutput
from producer.decode.json_text import json_bytes, json_string
from producer.decode.pgoutput import Aside, LoggedRelation, Row, Truncation, Unchanged, Value
from producer.decode.wal2json import Begin, Commit, LogicalMessage, Truncate
from producer.errors import DecodeError
from producer.lsn import Lsn

Primary = Callable[[LoggedRelation], Sequence[tuple[str, int]]]
"""Asks for a table's primary key, names and type OIDs in attnum order: not every relation message tells it."""

_BOOLEAN, _BYTEA = 16, 17
# int8, int2, int4, oid, float4, float8, numeric: printed bare, but for what JSON has no number for.
_NUMBERS = frozenset({20, 21, 23, 26, 700, 701, 1700})
_NO_NUMBERS = frozenset({b"NaN", b"Infinity", b"-Infinity"})
_OPERATIONS = {"I": "c", "U": "u", "D": "d"}


@dataclass(frozen=True, slots=True)
class Relation:
    """What a relation message says, in the words that stand in each row of wal2json."""

    logged: LoggedRelation
    names: bytes
    """`"schema":"public","table":"orders"`."""
    heads: tuple[bytes, ...]
    """What stands before each column's value."""
    in_identity: bytes
    """1 for each column that the log holds of an old row."""
    tail: bytes
    """What stands behind the columns: the table's primary key."""


class Rewording:
    """Of one stream: it knows the relations that it was told of."""

    def __init__(self, primary: Primary, skipped: Collection[str] = (), *, header: int = 0) -> None:
        """`skipped` operations are left out; before each message stand `header` bytes, its LSN from the second on."""
        self._primary = primary
        self._skipped = frozenset(skipped)
        self._header = header
        self._relations: dict[int, Relation] = {}

    def relation(self, oid: int) -> Relation:
        """What was said last of a relation.

        Raises:
            DecodeError: nothing was.
        """
        try:
            return self._relations[oid]
        except KeyError:
            raise DecodeError(
                f"a change of the relation {oid}, of which no message has told", remedy="report it with the "
                "server's version; plugin.name=wal2json reads the same changes",
            ) from None  # fmt: skip

    def read(self, message: bytes, record_head: bytes) -> Iterator[Begin | Commit | Truncate | LogicalMessage | bytes]:
        """What the message says; a row as wal2json's record, behind the same header.

        `record_head` is that of the transaction that is open.

        Raises:
            DecodeError: it cannot be read.
        """
        found = pgoutput.decode(message, self._header)
        match found:
            case LoggedRelation():
                self._relations[found.oid] = self._told(found)
            case Row():
                if _OPERATIONS[found.action] not in self._skipped:
                    yield self._row(message, found, record_head)
            case Truncation():
                if "t" not in self._skipped:
                    for oid in found.relations:
                        logged = self.relation(oid).logged
                        yield Truncate(logged.schema, logged.table, self._lsn(message))
            case Aside():
                pass
            case _:
                yield found

    def ahead(self, messages: Iterable[bytes], record_head: bytes) -> Iterator[bytes]:
        """The updates among messages whose turn comes later, as wal2json's records; what cannot be read is not."""
        kept = self._relations
        self._relations = dict(kept)
        try:
            for message in messages:
                kind = message[self._header : self._header + 1]
                if message[:1] != b"w" or kind not in (b"B", b"R", b"U"):
                    continue
                try:
                    for found in self.read(message, record_head):
                        if isinstance(found, Begin):
                            record_head = found.record_head
                        elif isinstance(found, bytes):
                            yield found
                except DecodeError:
                    return
        finally:
            self._relations = kept

    def _told(self, logged: LoggedRelation) -> Relation:
        columns = [(column.name, column.type_oid) for column in logged.columns]
        primary = (
            [pair for pair, column in zip(columns, logged.columns, strict=True) if column.logged]
            if logged.identity == "d"
            else self._primary(logged)
        )
        return Relation(
            logged=logged,
            names=f'"schema":{json_string(logged.schema)},"table":{json_string(logged.table)}'.encode(),
            heads=tuple(_named(name, oid)[:-1] + b',"value":' for name, oid in columns),
            in_identity=bytes(column.logged for column in logged.columns),
            tail=b',"pk":[' + b",".join(_named(name, oid) for name, oid in primary) + b"]}",
        )

    def _row(self, message: bytes, row: Row, record_head: bytes) -> bytes:
        relation = self.relation(row.relation)
        size = len(relation.heads)
        if any(image is not None and len(image) != size for image in (row.new, row.old)):
            raise DecodeError(
                f"a row of {relation.logged.schema}.{relation.logged.table} that has not the {size} columns of its "
                "relation",
                remedy="report it with the server's version; plugin.name=wal2json reads the same changes",
            )
        old = row.old
        if old is None and row.action == "U":
            # What identifies it is as it was.
            old = row.new
        images = b""
        if row.new is not None:
            images = b',"columns":[' + _cells(relation, row.new, whole=True) + b"]"
        if old is not None:
            identity = _cells(relation, old, whole=False)
            # wal2json has no old row where nothing identifies one.
            images += b',"identity":[' + identity + b"]" if identity else b""
        return b"".join((
            message[: self._header], b'{"action":"', row.action.encode(), b'"', record_head,
            str(self._lsn(message)).encode(), b'",', relation.names, images, relation.tail,
        ))  # fmt: skip

    def _lsn(self, message: bytes) -> Lsn:
        return Lsn(int.from_bytes(message[1:9], "big")) if self._header else Lsn(0)


def _named(name: str, oid: int) -> bytes:
    return f'{{"name":{json_string(name)},"typeoid":{oid}}}'.encode()


def _cells(relation: Relation, values: Sequence[Value], *, whole: bool) -> bytes:
    return b",".join(
        head + _printed(column.type_oid, value) + b"}"
        for head, column, value in zip(relation.heads, relation.logged.columns, values, strict=True)
        if not isinstance(value, Unchanged) and (whole or column.logged)
    )


def _printed(type_oid: int, value: bytes | None) -> bytes:
    if value is None:
        return b"null"
    if type_oid in _NUMBERS and value not in _NO_NUMBERS:
        return value
    if type_oid == _BOOLEAN:
        return b"true" if value == b"t" else b"false"
    # wal2json prints bytea without the mark of hexadecimal text.
    return json_bytes(value[2:] if type_oid == _BYTEA and value.startswith(b"\\x") else value)
