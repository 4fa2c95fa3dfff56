"""pgoutput, protocol 1, values as text: the options we ask for, and every message as it stands in the stream.

Room: decode (pure). PostgreSQL manual, "Logical Replication Message Formats", "Logical Streaming Replication
Parameters". Numbers are big-endian, strings end at a NUL, times are microseconds since 2000-01-01.
Big transactions come whole, behind their commit: streaming them (protocol 2) is not asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from producer.decode.wal2json import Begin, Commit, LogicalMessage
from producer.errors import DecodeError
from producer.lsn import Lsn

_EPOCH_US = 946_684_800_000_000
_BEGIN = struct.Struct(">QqI")
_COMMIT = struct.Struct(">BQQq")
_COLUMN = struct.Struct(">Ii")
_MESSAGE = struct.Struct(">BQ")
_INT16 = struct.Struct(">H")
_INT32 = struct.Struct(">I")
_ORIGIN = struct.Struct(">Q")
_NEW = b"N"
_OLD = b"KO"
# Beyond them our own numbers end: no server is there.
_LAST_LSN = (1 << 63) - 1
_LAST_US = 1 << 53

MESSAGES_SINCE = 140000
"""The server's version that knows the option `messages`."""


class Unchanged(Enum):
    """A large value that an update left as it was: the log does not hold it."""

    TOAST = "u"


Value = bytes | None | Unchanged


@dataclass(frozen=True, slots=True)
class LoggedRelation:
    """A table as the rows behind this message have it; sent before the first of them, and again after a change."""

    oid: int
    schema: str
    table: str
    identity: Literal["d", "n", "f", "i"]
    """pg_class.relreplident."""
    columns: tuple[RelationColumn, ...]


@dataclass(frozen=True, slots=True)
class RelationColumn:
    """One of its columns."""

    name: str
    type_oid: int
    typmod: int
    logged: bool
    """The log holds it of an old row: all of them under REPLICA IDENTITY FULL."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a relation that was told of before; its LSN is that of the message's header."""

    action: Literal["I", "U", "D"]
    relation: int
    new: tuple[Value, ...] | None
    old: tuple[Value, ...] | None
    """None for an update whose logged columns are as they were."""


@dataclass(frozen=True, slots=True)
class Truncation:
    """Relations that were emptied together."""

    relations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Aside:
    """A type's name, a transaction's origin: nothing that a record would say."""


Message = Begin | Commit | LoggedRelation | Row | Truncation | LogicalMessage | Aside


def options(publications: Iterable[str], *, messages: bool = False) -> dict[str, str]:
    """The START_REPLICATION options; `messages` asks for the logical messages of every prefix."""
    chosen = {"proto_version": "1", "publication_names": ",".join(map(_quoted, publications))}
    if messages:
        chosen["messages"] = "true"
    return chosen


def _quoted(name: str) -> str:
    """One name of a list that the server takes apart like identifiers."""
    return '"' + name.replace('"', '""') + '"'


def record_head(xid: int) -> bytes:
    """What stands in each of a transaction's rows between the action and the LSN, in wal2json's words."""
    return b',"xid":%d,"lsn":"' % xid


def decode(message: bytes, start: int = 0) -> Message:
    """Read one message, beginning at `start`.

    Raises:
        DecodeError: with its kind and its size, nothing of its values.
    """
    reader = _Reader(message, start)
    try:
        found = _read(reader)
        if reader.at != len(message):
            raise ValueError(f"{len(message) - reader.at} bytes stand behind its end")
    except (ValueError, LookupError, struct.error) as error:
        kind = ascii(chr(message[start])) if len(message) > start else "none"
        reason = "it is cut off" if isinstance(error, LookupError | struct.error) else error
        raise DecodeError(
            f"a pgoutput message of {len(message) - start} bytes and kind {kind} cannot be read: {reason}",
            remedy="report it with the server's version; plugin.name=wal2json reads the same changes",
        ) from error
    return found


class _Reader:
    """Takes a message apart from its start; raises struct.error or LookupError at its end."""

    def __init__(self, message: bytes, at: int) -> None:
        self._message = message
        self.at = at

    def byte(self) -> int:
        value = self._message[self.at]
        self.at += 1
        return value

    def numbers(self, form: struct.Struct) -> tuple[int, ...]:
        values = form.unpack_from(self._message, self.at)
        self.at += form.size
        return values

    def count(self) -> int:
        return self.numbers(_INT16)[0]

    def bytes(self) -> bytes:
        """What stands behind its length."""
        (size,) = self.numbers(_INT32)
        end = self.at + size
        if end > len(self._message):
            raise LookupError
        taken = self._message[self.at : end]
        self.at = end
        return taken

    def string(self) -> str:
        end = self._message.find(0, self.at)
        if end < 0:
            raise LookupError
        text = self._message[self.at : end].decode()
        self.at = end + 1
        return text


def _read(reader: _Reader) -> Message:
    match chr(reader.byte()):
        case "B":
            commit_lsn, micros, xid = reader.numbers(_BEGIN)
            if abs(micros) > _LAST_US:
                raise ValueError("it is of no time of ours")
            # Where it ends is said by its commit.
            return Begin(xid, _lsn(commit_lsn), Lsn(0), micros + _EPOCH_US, record_head(xid))
        case "C":
            _, commit_lsn, end_lsn, _ = reader.numbers(_COMMIT)
            return Commit(_lsn(commit_lsn), _lsn(end_lsn))
        case "R":
            return _relation(reader)
        case "I":
            return Row("I", _oid(reader), _image(reader, reader.byte(), _NEW), None)
        case "U":
            relation = _oid(reader)
            kind = reader.byte()
            old = None
            if kind in _OLD:
                old = _image(reader, kind, _OLD)
                kind = reader.byte()
            return Row("U", relation, _image(reader, kind, _NEW), old)
        case "D":
            return Row("D", _oid(reader), None, _image(reader, reader.byte(), _OLD))
        case "T":
            (count,) = reader.numbers(_INT32)
            reader.byte()
            return Truncation(tuple(_oid(reader) for _ in range(count)))
        case "M":
            flags, lsn = reader.numbers(_MESSAGE)
            prefix = reader.string()
            return LogicalMessage(prefix, bool(flags & 1), _lsn(lsn), reader.bytes())
        case "O":
            reader.numbers(_ORIGIN)
            reader.string()
            return Aside()
        case "Y":
            _oid(reader)
            reader.string()
            reader.string()
            return Aside()
    raise ValueError("no message of protocol 1 has this kind")


def _oid(reader: _Reader) -> int:
    return reader.numbers(_INT32)[0]


def _relation(reader: _Reader) -> LoggedRelation:
    oid = _oid(reader)
    # An empty schema stands for pg_catalog.
    schema = reader.string() or "pg_catalog"
    table = reader.string()
    identity = chr(reader.byte())
    if identity not in ("d", "n", "f", "i"):
        raise ValueError("no replica identity is called so")
    columns = []
    for _ in range(reader.count()):
        flags = reader.byte()
        name = reader.string()
        type_oid, typmod = reader.numbers(_COLUMN)
        columns.append(RelationColumn(name, type_oid, typmod, bool(flags & 1)))
    return LoggedRelation(oid, schema, table, identity, tuple(columns))  # type: ignore[arg-type]


def _lsn(number: int) -> Lsn:
    if number > _LAST_LSN:
        raise ValueError("it names no LSN")
    return Lsn(number)


def _image(reader: _Reader, kind: int, kinds: bytes) -> tuple[Value, ...]:
    if kind not in kinds:
        raise ValueError("it does not say which image of the row follows")
    return tuple(_value(reader) for _ in range(reader.count()))


def _value(reader: _Reader) -> Value:
    match chr(reader.byte()):
        case "n":
            return None
        case "u":
            return Unchanged.TOAST
        case "t":
            return reader.bytes()
    raise ValueError("a value is neither null, unchanged nor text")
