"""The constant parts of an envelope: encoded once a transaction or a snapshot, spliced in by the walker.

Room: transcode (pure). Avro specification, "Binary Encoding"; the record is schemas/source.avsc.
Types are in source_block.pxd.
"""

from __future__ import annotations

import cython

from producer.events import Position
from producer.lsn import Lsn

if not cython.compiled:
    from producer.transcode.writer import Writer

_NULL = b"\x00"
_SOME = b"\x02"
_STREAMED = b"false"


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


class Parts:
    """The constant parts of a transaction's or a snapshot's records."""

    def __init__(
        self,
        record_head: bytes,
        source_head: bytes,
        sequence_head: bytes,
        source_times: bytes,
        source_transaction: bytes,
        source_commit: bytes,
    ) -> None:
        self.record_head = record_head
        """What stands in each of the records between the action and the LSN."""
        self.source_head = source_head
        self.sequence_head = sequence_head
        self.source_times = source_times
        self.source_transaction = source_transaction
        self.source_commit = source_commit


class SourceBlock:
    """Writes `source` for one connector: version, name and database never change."""

    def __init__(self, *, version: str, name: str, database: str) -> None:
        self._identity = string(version) + string("postgresql") + string(name)
        self._database = string(database)
        self._out = Writer()

    def transaction(
        self,
        record_head: bytes,
        xid: cython.longlong,
        commit_lsn: cython.longlong,
        commit_us: cython.longlong,
        previous: cython.longlong,
    ) -> Parts:
        """For the events of one transaction. `previous` is the commit before it; -1: not known."""
        return self._parts(record_head, commit_us, _STREAMED, xid, commit_lsn, previous)

    def snapshot(self, *, micros: int, marker: str, position: Lsn) -> Parts:
        """For rows of a snapshot taken at `micros`, standing at `position` in the stream."""
        return self._parts(b"", micros, marker.encode(), -1, position, -1)

    def outside(self, *, micros: int, lsn: Lsn, previous: Lsn | None) -> Parts:
        """For an event of no transaction, read at `micros`: its own LSN is its position."""
        return self._parts(b"", micros, _STREAMED, -1, lsn, -1 if previous is None else previous)

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
        record_head: bytes,
        micros: cython.longlong,
        snapshot: bytes,
        xid: cython.longlong,
        commit_lsn: cython.longlong,
        previous: cython.longlong,
    ) -> Parts:
        out = self._out
        head: cython.Py_ssize_t
        sequence: cython.Py_ssize_t
        times: cython.Py_ssize_t
        transaction: cython.Py_ssize_t
        out.rewind()
        out.raw(self._identity)
        out.long(micros // 1000)
        # The union of `snapshot` has its string first.
        out.put(0)
        out.string(snapshot, 0, len(snapshot))
        out.raw(self._database)
        head = out.at
        out.raw(b'[null,"' if previous < 0 else b'["%d","' % previous)
        sequence = out.at
        out.put(2)
        out.long(micros)
        out.put(2)
        out.long(micros * 1000)
        times = out.at
        if xid < 0:
            out.put(0)
        else:
            out.put(2)
            out.long(xid)
        transaction = out.at
        out.put(2)
        out.long(commit_lsn)
        return Parts(
            record_head,
            out.take(0, head),
            out.take(head, sequence),
            out.take(sequence, times),
            out.take(times, transaction),
            out.take(transaction, out.at),
        )


def truncate_value(frame: bytes, source: bytes, block: bytes, outer_times: bytes) -> bytes:
    """The envelope of a truncate: op t, before and after null."""
    return frame + _NULL + _NULL + source + block + string("t") + outer_times


def delete_value(frame: bytes, before: bytes, source: bytes, block: bytes, outer_times: bytes) -> bytes:
    """The envelope of a delete that no row tells of: op d, after null."""
    return frame + _SOME + before + _NULL + source + block + string("d") + outer_times


def message_value(frame: bytes, source: bytes, block: bytes, *, micros: int, prefix: str, content: bytes) -> bytes:
    """A logical message, taken at `micros`; the record is schemas/message_value.avsc."""
    head = frame + string("m") + _SOME + long(micros // 1000) + source + block
    return head + _SOME + string(prefix) + _SOME + long(len(content)) + content
