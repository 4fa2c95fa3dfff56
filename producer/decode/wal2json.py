"""wal2json, format version 2: the options we ask for, and every record but the fast path's rows.

Room: decode (pure). The plugin's README, "Parameters"; PostgreSQL manual, "Logical Decoding".
Rows that match their plan are walked by `transcode`; here is the general path: transaction marks,
truncates, and the true shape of a row that did not match.
"""

from __future__ import annotations

import re
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
    """pg_logical_emit_message; one that is not transactional stands between transactions."""

    prefix: str
    transactional: bool
    lsn: Lsn
    content: bytes
    """As the plugin prints it: up to the first NUL; not always UTF-8."""


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
    primary: tuple[LoggedColumn, ...] | None = None
    """The table's primary key at that moment, in its columns' order; empty: it has none."""


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
    pk: list[_Column] | None = None
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
    tables: Iterable[tuple[str, str]] | None,
    skipped: Collection[str] = (),
    *,
    messages: bool = False,
    type_names: bool = False,
) -> dict[str, str]:
    """The START_REPLICATION options for these (schema, table) pairs, without `skipped` operations.

    None asks for every table: the plugin names a partition's own name before 2.7, and one that is
    made later could not be named now.

    `messages` asks for the logical messages of every prefix: the plugin knows no expressions.

    Types are asked for as OIDs: type names in a quoted schema break the plugin's JSON before 2.7.
    The primary key is asked for: nothing else in an insert tells that the key's columns were changed.
    `type_names` asks for names instead, for a plugin that cannot print OIDs, and not for the primary key: asked for
    it, that plugin fails on a transaction that replaces one.
    """
    chosen = {
        "format-version": "2",
        "include-transaction": "1",
        "include-xids": "1",
        "include-timestamp": "1",
        "include-lsn": "1",
        "include-types": "1" if type_names else "0",
        "include-type-oids": "0" if type_names else "1",
        "include-pk": "0" if type_names else "1",
        "actions": ",".join(action for op, action in _ACTIONS.items() if op not in skipped),
    }
    if not messages:
        chosen["add-msg-prefixes"] = _NO_PREFIX
    if tables is not None:
        chosen["add-tables"] = ",".join(f"{_escape(schema)}.{_escape(table)}" for schema, table in tables)
    return chosen


# White space of any kind ends a name.
_FILTER_SYNTAX = frozenset(" \t\n\v\f\r,.\\")


def _escape(name: str) -> str:
    """A name in a table filter: backslash before what the plugin reads as syntax."""
    if name == "*":
        return "\\*"
    return "".join("\\" + character if character in _FILTER_SYNTAX else character for character in name)


def decode(message: bytes, start: int = 0) -> Record:
    """Read one record, beginning at `start`.

    Raises:
        DecodeError: with the head of a record that is no wal2json, or of a change without its old key.
        NoTypeOids: a row of a plugin that prints none.
    """
    try:
        if message.startswith(_MESSAGE, start):
            return _logical_message(message, start)
        record = _decoder.decode(memoryview(message)[start:])
        if record.action == "B":
            return _begin(message, start, record)
        if record.action == "C":
            return Commit(_lsn(record.lsn), _lsn(record.nextlsn))
        if record.action == "T":
            return Truncate(record.schema, record.table, _lsn(record.lsn))
        if record.action == "M":
            raise ValueError("a logical message that does not begin like one")
        row = RowShape(
            record.action,
            record.schema,
            record.table,
            _lsn(record.lsn),
            _shape(record.columns),
            _shape(record.identity),
            None if record.pk is None else _shape(record.pk),
        )
    except (msgspec.DecodeError, ValueError, DecodeError) as error:
        reason = error.message if isinstance(error, DecodeError) else error
        raise DecodeError(
            f"a wal2json record of {len(message) - start} bytes cannot be read: {reason}; it begins "
            f"{head(message, start)}",
            remedy="report it with the plugin's version; to leave its table out, set table.exclude.list",
        ) from error
    if row.primary is None and row.action != "I" and not row.identity:
        raise DecodeError(
            f"a change of {row.schema}.{row.table} at {row.lsn} does not name its old row: wal2json 2.3 loses that "
            "once a column of the key is renamed",
            remedy="install wal2json 2.5 or newer on the server, and run again; or make the table's key anew, "
            "pg-producer slot drop, and run for a new snapshot",
        )
    return row


def head(message: bytes, start: int) -> str:
    """How a record begins, up to its table's name: what may be shown of one that cannot be read.

    Nothing of a row's values is in it, whatever the record looks like.
    """
    found = _HEAD.match(message, start)
    return found[0].decode("utf-8", "replace") if found else "as no record does"


# Members in the plugin's order, as far as they are there.
_HEAD = re.compile(
    rb'\{"action":"[A-Z]"(?:,"xid":[0-9]+(?:,"timestamp":"[-+:. 0-9]*"(?:,"lsn":"[0-9A-F/]*"'
    rb'(?:,"schema":"(?:[^"\\]|\\.)*"(?:,"table":"(?:[^"\\]|\\.)*")?)?)?)?)?'
)


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
    rest = message[end:] if end >= 0 else _tail(message, begin)
    return message[:begin] + b",".join(columns) + b"]" + rest


def with_identity(message: bytes, start: int, identity: Sequence[bytes]) -> bytes:
    """The same update with another old row, each of its columns a JSON object."""
    return message[: message.index(_IDENTITY, start)] + _IDENTITY + b",".join(identity) + b"]" + _tail(message, start)


def as_delete(message: bytes, start: int, identity: Sequence[bytes]) -> bytes:
    """A delete in a row's place: of the same table, transaction and LSN."""
    at = start + len(_ACTION)
    marks = [place for place in (message.find(_COLUMNS, start), message.find(_IDENTITY, start)) if place >= 0]
    return (
        message[:at]
        + b"D"
        + message[at + 1 : min(marks)]
        + _IDENTITY
        + b",".join(identity)
        + b"]"
        + _tail(message, start)
    )


def as_insert(message: bytes, start: int) -> bytes:
    """An insert of an update's new row: of the same table, transaction and LSN."""
    at, end = start + len(_ACTION), message.find(_IDENTITY, start)
    return message[:at] + b"I" + (message[at + 1 : end] + _tail(message, start) if end >= 0 else message[at + 1 :])


def _tail(message: bytes, start: int) -> bytes:
    """What stands behind a row's columns: its table's primary key."""
    at = message.find(_PRIMARY, start)
    return message[at:] if at >= 0 else b"}"


_ACTION = b'{"action":"'
# Inside of a string their quotes would be escaped.
_COLUMNS = b',"columns":['
_IDENTITY = b',"identity":['
_PRIMARY = b',"pk":['


_MESSAGE = b'{"action":"M"'
# The last field; inside of the prefix its quotes would be escaped.
_CONTENT = b',"content":"'
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b'"': b'"', b"\\": b"\\", b"/": b"/"}


def _logical_message(message: bytes, start: int) -> LogicalMessage:
    """The content need not be UTF-8, which no JSON decoder takes: it is cut out before."""
    begin = message.index(_CONTENT, start)
    if not message.endswith(b'"}') or len(message) < begin + len(_CONTENT) + 2:
        raise ValueError("a logical message without its end")
    record = _decoder.decode(message[start:begin] + b"}")
    content = _ESCAPE.sub(_unescaped, message[begin + len(_CONTENT) : -2])
    return LogicalMessage(record.prefix, record.transactional, _lsn(record.lsn), content)


def _unescaped(found: re.Match[bytes]) -> bytes:
    digits, character = found.groups()
    if digits is not None:
        return chr(int(digits, 16)).encode()
    if character not in _ESCAPED:
        raise ValueError("no JSON escape")
    return _ESCAPED[character]


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
