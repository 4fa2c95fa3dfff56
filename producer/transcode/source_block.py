"""The constant parts of an envelope: encoded once a transaction or a snapshot, spliced in by the walker.

Room: transcode (pure). Avro specification, "Binary Encoding"; the record is schemas/source.avsc.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from producer.events import Position
from producer.lsn import Lsn

if TYPE_CHECKING:
    from producer.transcode.walker import Walker

_NULL = b"\x00"
_SOME = b"\x02"
# The union of `snapshot` has its string first.
_FIRST = b"\x00"


def long(value: int) -> bytes:
    """An Avro int or long: zig-zag, seven bits a byte, least significant first."""
    number = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def string(text: str) -> bytes:
    """An Avro string: length in bytes, UTF-8."""
    data = text.encode()
    return long(len(data)) + data


def times(micros: int) -> bytes:
    """The envelope's ts_ms, ts_us, ts_ns for a time in microseconds since the epoch."""
    return _SOME + long(micros // 1000) + _SOME + long(micros) + _SOME + long(micros * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The constant parts of a transaction's or a snapshot's records."""

    record_head: bytes
    source_head: bytes
    sequence_head: bytes
    source_times: bytes
    source_transaction: bytes
    source_commit: bytes

    def begin(self, walker: Walker) -> None:
        """Have the walker write them into what follows."""
        walker.begin(
            record_head=self.record_head,
            source_head=self.source_head,
            sequence_head=self.sequence_head,
            source_times=self.source_times,
            source_transaction=self.source_transaction,
            source_commit=self.source_commit,
        )


class SourceBlock:
    """Writes `source` for one connector: version, name and database never change."""

    def __init__(self, *, version: str, name: str, database: str) -> None:
        self._identity = string(version) + string("postgresql") + string(name)
        self._database = string(database)

    def transaction(
        self, *, record_head: bytes, xid: int, commit_lsn: Lsn, commit_us: int, previous: Lsn | None
    ) -> Parts:
        """For the events of one transaction. `previous` is the commit before it, where known."""
        return self._parts(
            record_head=record_head,
            micros=commit_us,
            snapshot="false",
            xid=xid,
            commit_lsn=commit_lsn,
            previous=previous,
        )

    def snapshot(self, *, micros: int, marker: str, position: Lsn) -> Parts:
        """For rows of a snapshot taken at `micros`, standing at `position` in the stream."""
        return self._parts(
            record_head=b"", micros=micros, snapshot=marker, xid=None, commit_lsn=position, previous=None
        )

    def outside(self, *, micros: int, lsn: Lsn, previous: Lsn | None) -> Parts:
        """For an event of no transaction, read at `micros`: its own LSN is its position."""
        return self._parts(
            record_head=b"", micros=micros, snapshot="false", xid=None, commit_lsn=lsn, previous=previous
        )

    def whole(self, parts: Parts, *, schema: str, table: str, lsn: Lsn, position: Position) -> bytes:
        """A whole `source` record, for events that no walker writes."""
        return (
            parts.source_head
            + _SOME
            + string(parts.sequence_head.decode() + str(int(lsn)) + '"]')
            + parts.source_times
            + string(schema)
            + string(table)
            + parts.source_transaction
            + _SOME
            + long(lsn)
            + _NULL * 3
            + parts.source_commit
            + _SOME
            + long(position.ordinal)
        )

    def _parts(
        self,
        *,
        record_head: bytes,
        micros: int,
        snapshot: str,
        xid: int | None,
        commit_lsn: Lsn,
        previous: Lsn | None,
    ) -> Parts:
        before = json.dumps(None if previous is None else str(int(previous)))
        return Parts(
            record_head=record_head,
            source_head=self._identity + long(micros // 1000) + _FIRST + string(snapshot) + self._database,
            sequence_head=f'[{before},"'.encode(),
            source_times=_SOME + long(micros) + _SOME + long(micros * 1000),
            source_transaction=_NULL if xid is None else _SOME + long(xid),
            source_commit=_SOME + long(commit_lsn),
        )


def truncate_value(frame: bytes, source: bytes, block: bytes, outer_times: bytes) -> bytes:
    """The envelope of a truncate: op t, before and after null."""
    return frame + _NULL + _NULL + source + block + string("t") + outer_times


def message_value(frame: bytes, source: bytes, block: bytes, *, micros: int, prefix: str, content: bytes) -> bytes:
    """A logical message, taken at `micros`; the record is schemas/message_value.avsc."""
    head = frame + string("m") + _SOME + long(micros // 1000) + source + block
    return head + _SOME + string(prefix) + _SOME + long(len(content)) + content
