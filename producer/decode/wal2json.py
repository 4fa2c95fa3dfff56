"""wal2json, format version 2: the options we ask for, and every record but the fast path's rows.

Room: decode (pure). The plugin's README, "Parameters"; PostgreSQL manual, "Logical Decoding".
Rows that match their plan are walked by `transcode`; here is the general path: transaction marks,
truncates, and the true shape of a row that did not match.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from producer.errors import DecodeError
from producer.lsn import Lsn

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# wal2json has no way to ask for no logical message at all: ask for one that nobody writes.
_NO_PREFIX = "pg-producer:none"


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction begins; its records follow at once, in one piece."""

    xid: int
    commit_lsn: Lsn
    next_lsn: Lsn
    commit_us: int
    """Commit time, microseconds since 1970-01-01 UTC."""
    record_head: bytes
    """What stands in each of its records between the action and the LSN."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The transaction is complete; `next_lsn` is what may be confirmed once all is acked."""

    commit_lsn: Lsn
    next_lsn: Lsn


@dataclass(frozen=True, slots=True)
class Truncate:
    """One table was emptied; a TRUNCATE of several gives several."""

    schema: str
    table: str
    lsn: Lsn


@dataclass(frozen=True, slots=True)
class LogicalMessage:
    """pg_logical_emit_message: passed over unless its prefix was asked for."""

    prefix: str
    transactional: bool
    lsn: Lsn


@dataclass(frozen=True, slots=True)
class LoggedColumn:
    """A column as a row names it: enough to know the row's shape."""

    name: str
    type_oid: int


@dataclass(frozen=True, slots=True)
class RowShape:
    """A row's table and columns, without its values."""

    action: Literal["I", "U", "D"]
    schema: str
    table: str
    lsn: Lsn
    columns: tuple[LoggedColumn, ...]
    """The new row's; empty for a delete. Unchanged TOAST values of an update are missing."""
    identity: tuple[LoggedColumn, ...]
    """The old row's; empty for an insert."""


Record = Begin | Commit | Truncate | LogicalMessage | RowShape


class NoTypeOids(Exception):
    """The plugin (wal2json 2.3) prints no type OIDs: its type names must be asked for."""


class _Column(msgspec.Struct):
    name: str
    typeoid: int | None = None
    value: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    action: Literal["B", "C", "I", "U", "D", "T", "M"]
    xid: int | None = None
    timestamp: str | None = None
    lsn: str | None = None
    nextlsn: str | None = None
    schema: str = ""
    table: str = ""
    columns: list[_Column] = []
    identity: list[_Column] = []
    prefix: str = ""
    transactional: bool = False


_decoder = msgspec.json.Decoder(_Message)


_ACTIONS = {"c": "insert", "u": "update", "d": "delete", "t": "truncate"}


# Since 2.7: no begin and commit of a transaction without anything for us. Beside it, that release prints OIDs unsigned.
EMPTY_TRANSACTIONS = "include-empty-transaction"
# Since 2.6: numbers as strings, NaN and Infinity among them.
NUMBERS_AS_STRINGS = "numeric-data-types-as-string"
# What newer plugins know, the newest first: nothing tells the plugin's version but what it refuses.
NEWER = ((EMPTY_TRANSACTIONS, "0"), (NUMBERS_AS_STRINGS, "1"))


def options(
    tables: Iterable[tuple[str, str]] | None, skipped: Collection[str] = (), *, type_names: bool = False
) -> dict[str, str]:
    """The START_REPLICATION options for these (schema, table) pairs, without `skipped` operations.

    None asks for every table: the plugin names a partition's own name before 2.7, and one that is
    made later could not be named now.

    Types are asked for as OIDs: type names in a quoted schema break the plugin's JSON before 2.7.
    `type_names` asks for names instead, for a plugin that cannot print OIDs.
    """
    chosen = {
        "format-version": "2",
        "include-transaction": "1",
        "include-xids": "1",
        "include-timestamp": "1",
        "include-lsn": "1",
        "include-types": "1" if type_names else "0",
        "include-type-oids": "0" if type_names else "1",
        "actions": ",".join(action for op, action in _ACTIONS.items() if op not in skipped),
        "add-msg-prefixes": _NO_PREFIX,
    }
    if tables is not None:
        chosen["add-tables"] = ",".join(f"{_escape(schema)}.{_escape(table)}" for schema, table in tables)
    return chosen


def _escape(name: str) -> str:
    """A name in a table filter: backslash before what the plugin reads as syntax."""
    if name == "*":
        return "\\*"
    return "".join("\\" + character if character in " ,.\\" else character for character in name)


def decode(message: bytes, start: int = 0) -> Record:
    """Read one record, beginning at `start`.

    Raises:
        DecodeError: with the first bytes of a record that is no wal2json.
        NoTypeOids: a row of a plugin that prints none.
    """
    try:
        record = _decoder.decode(memoryview(message)[start:])
        if record.action == "B":
            return _begin(message, start, record)
        if record.action == "C":
            return Commit(_lsn(record.lsn), _lsn(record.nextlsn))
        if record.action == "T":
            return Truncate(record.schema, record.table, _lsn(record.lsn))
        if record.action == "M":
            return LogicalMessage(record.prefix, record.transactional, _lsn(record.lsn))
        return RowShape(
            record.action,
            record.schema,
            record.table,
            _lsn(record.lsn),
            _shape(record.columns),
            _shape(record.identity),
        )
    except (msgspec.DecodeError, ValueError) as error:
        head = message[start : start + 60]
        raise DecodeError(
            f"a wal2json record of {len(message) - start} bytes cannot be read: {error}; it begins {head!r}",
            remedy="report it with the plugin's version; to leave its table out, set table.exclude.list",
        ) from error


@dataclass(frozen=True, slots=True)
class RowValues:
    """A row's values as JSON, by column."""

    columns: dict[str, bytes]
    identity: dict[str, bytes]
    xid: int
    """Of its transaction, 32 bits."""


def values(message: bytes, start: int) -> RowValues:
    """The values of a row that `decode` could read."""
    record = _decoder.decode(memoryview(message)[start:])
    return RowValues(
        {column.name: bytes(column.value) for column in record.columns},
        {column.name: bytes(column.value) for column in record.identity},
        record.xid or 0,
    )


def with_columns(message: bytes, start: int, columns: Sequence[bytes]) -> bytes:
    """The same record with other columns, each a JSON object; what stands before `start` stays."""
    begin = message.index(_COLUMNS, start) + len(_COLUMNS)
    end = message.find(_IDENTITY, begin)
    rest = message[end:] if end >= 0 else b"}"
    return message[:begin] + b",".join(columns) + b"]" + rest


# Inside of a string their quotes would be escaped.
_COLUMNS = b',"columns":['
_IDENTITY = b',"identity":['


def _begin(message: bytes, start: int, record: _Message) -> Begin:
    if record.xid is None or record.timestamp is None:
        raise ValueError("a transaction without xid or timestamp")
    head = message.index(b',"xid"', start)
    end = message.index(b'"lsn":"', head) + len(b'"lsn":"')
    return Begin(
        xid=record.xid,
        commit_lsn=_lsn(record.lsn),
        next_lsn=_lsn(record.nextlsn),
        commit_us=(_timestamp(record.timestamp) - _EPOCH) // _MICROSECOND,
        record_head=message[head:end],
    )


def _timestamp(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("a timestamp without a zone")
    return value


def _lsn(text: str | None) -> Lsn:
    if text is None:
        raise ValueError("a record without LSN")
    return Lsn.parse(text)


def _shape(columns: list[_Column]) -> tuple[LoggedColumn, ...]:
    shape = []
    for column in columns:
        if column.typeoid is None:
            raise NoTypeOids
        # Before 2.7 the plugin prints an OID above 2^31 as a negative number.
        shape.append(LoggedColumn(column.name, column.typeoid & 0xFFFF_FFFF))
    return tuple(shape)
