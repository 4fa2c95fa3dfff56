"""The fast path for pgoutput: its begins, tuples and commits.

Room: transcode (pure: it calls what it is given). PostgreSQL manual, "Logical Replication Message Formats". Types are
in tuple_path.pxd. Relation messages, and all that is out of the ordinary, are left to the caller.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from producer.transcode.fast_path import FastPath
    from producer.transcode.source_block import SourceBlock
    from producer.transcode.spans import big_endian, find
    from producer.transcode.walker import Walker

# XLogData's header; the plugin's message behind it begins with its kind.
_HEADER = 25
_BEGIN_SIZE = 46
_COMMIT_SIZE = 51
_EPOCH_US = 946_684_800_000_000
_LAST_US = 1 << 53
_OTHER = 4
_PASSED = 6


class TuplePath(FastPath):
    """As its base, with another plugin's messages."""

    def __init__(
        self,
        walker: Walker,
        block: SourceBlock,
        produced: set[int],
        *,
        previous: int | None,
        tombstones: bool,
        skipped: bytes,
    ) -> None:
        """`skipped` holds the kinds of rows that are left out: I, U, D."""
        FastPath.__init__(self, walker, block, produced, previous=previous, tombstones=tombstones)
        self._skipped = skipped
        self._kind_at = _HEADER

    def _step(self, message: bytes) -> cython.int:
        kind: cython.int = message[_HEADER]
        if not self.open:
            return _PASSED if kind == 66 and self._begin(message) else _OTHER
        if kind == 67:
            return _PASSED if self._commit(message) else _OTHER
        if kind != 73 and kind != 85 and kind != 68:
            return _OTHER
        if self._skipped and find(self._skipped, kind, 0, len(self._skipped)) >= 0:
            return _PASSED
        return self._walker.tuple_row(message, _HEADER, self.ordinal + 1)

    def _begin(self, message: bytes) -> cython.bint:
        """Open the transaction of its commit's LSN, its time and its id; else nothing."""
        lsn: cython.longlong
        micros: cython.longlong
        xid: cython.longlong
        if len(message) != _BEGIN_SIZE:
            return False
        lsn = big_endian(message, _HEADER + 1, 8)
        micros = big_endian(message, _HEADER + 9, 8)
        if lsn < 0 or micros > _LAST_US or micros < -_LAST_US:
            return False
        xid = big_endian(message, _HEADER + 17, 4)
        self._open(b',"xid":%d,"lsn":"' % xid, xid, lsn, 0, micros + _EPOCH_US)
        return True

    def _commit(self, message: bytes) -> cython.bint:
        """Close the transaction: flags, its commit's LSN, where it ends, its time."""
        end: cython.longlong
        if len(message) != _COMMIT_SIZE or big_endian(message, _HEADER + 2, 8) != self.commit_lsn:
            return False
        end = big_endian(message, _HEADER + 10, 8)
        if end < 0:
            return False
        self._close(end)
        return True
