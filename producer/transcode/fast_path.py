"""The fast path: begins, rows and commits from the plugin to the sink, without a step of Python's own for any of them.

Room: transcode (pure: it calls what it is given). wal2json's README, format version 2; PostgreSQL
manual, "Streaming Replication Protocol". Types are in fast_path.pxd. What is out of the ordinary is
left untouched for the caller, who has the general path.
"""

from __future__ import annotations

from collections.abc import Callable

import cython

if not cython.compiled:
    from producer.transcode.numbers import read_lsn
    from producer.transcode.source_block import Parts, SourceBlock
    from producer.transcode.spans import find, matches
    from producer.transcode.temporal import read_utc
    from producer.transcode.walker import Walker

EMPTY = 0
"""Nothing more has come yet."""
ENDED = 1
"""Nothing more will come."""
FULL = 2
"""As many messages, or as many bytes, as were asked for."""
OTHER = 3
"""`message` is for the caller: nothing of it has gone out."""

# XLogData's header; the payload behind it begins `{"action":"`.
_HEADER = 25
_ACTION = 36
_INSERT = 73
# Walker's codes; a typed name of another module's would be a lookup for each row.
_RECORD = 1
_DELETE = 2
_OTHER = 4
_PASSED = 6


class FastPath:
    """Knows the transaction that is open, whoever took its messages, and the last one that was committed."""

    def __init__(
        self, walker: Walker, block: SourceBlock, produced: set[int], *, previous: int | None, tombstones: bool
    ) -> None:
        """`produced` takes the id of each transaction; `previous` is the commit before the first, where known."""
        self._walker = walker
        self._block = block
        self._tombstones = tombstones
        self._kind_at = _ACTION
        """Where a row says what it is: I, U, D."""
        self.message = b""
        self.bypass = False
        """Every message is for the caller: each is to be looked at."""
        self.messages = 0
        """Those that the last run took, or gave back."""
        self.records = 0
        """Handed to the sink by the last run."""
        self.size = 0
        """Their bytes."""
        self.open = False
        """A transaction is."""
        self.xid = 0
        self.commit_lsn = 0
        self.next_lsn = 0
        self.commit_us = 0
        self.ordinal = 0
        """Of its last event."""
        self.parts = Parts(b"", b"", b"", b"", b"", b"")
        self._tail = b""
        self.committed = 0
        """The end of the last transaction that is complete: what may be confirmed once all of it is acked."""
        self.committed_lsn = -1 if previous is None else previous
        """Where the last one that had events committed; -1: not known."""
        self.committed_xid = 0
        self.committed_us = 0
        self.delivered = 0
        """How many transactions with events were closed."""
        self._produced = produced

    def run(
        self,
        get: Callable[[int], tuple[int, memoryview]],
        produce: Callable[..., object],
        ack: Callable[[object, object], None],
        most: cython.Py_ssize_t,
        most_bytes: cython.Py_ssize_t,
    ) -> int:
        """Take messages from `get` while they are plain; why it ended, as one of the codes above.

        Raises:
            FormError, and what `produce` raises: nothing of `message` has gone out, and its row is not counted.
        """
        code: cython.int
        ordinal: cython.longlong
        size: cython.Py_ssize_t
        walker = self._walker
        message: bytes
        self.messages = self.records = self.size = 0
        while self.messages < most and self.size < most_bytes:
            found, data = get(1)
            size = found
            if size <= 0:
                return EMPTY if size == 0 else ENDED
            self.message = message = bytes(data)
            self.messages += 1
            if self.bypass or size <= _HEADER or message[0] != 119:
                return OTHER
            code = self._step(message)
            if code == _PASSED:
                continue
            if code != _RECORD and code != _DELETE:
                return OTHER
            ordinal = self.ordinal + 1
            self._count(produce, walker.topic, walker.value, walker.key, ack)
            if code == _DELETE and self._tombstones and walker.key is not None:
                self._count(produce, walker.topic, None, walker.key, ack)
            self.ordinal = ordinal
            walker.count(100 if code == _DELETE else 99 if message[self._kind_at] == _INSERT else 117)
        return FULL

    def _step(self, message: bytes) -> cython.int:
        """Take a message of the plugin: one of the walker's codes; whatever is not plain is none of the first."""
        code: cython.int
        walker = self._walker
        if len(message) <= _ACTION:
            return _OTHER
        if not self.open:
            return _PASSED if self._begin(message) else _OTHER
        if message[_ACTION] == 67:
            return _PASSED if self._commit(message) else _OTHER
        code = walker.row(message, _HEADER, self.ordinal + 1)
        return _OTHER if walker.suspects and code == _RECORD else code

    def _count(
        self,
        produce: Callable[..., object],
        topic: str,
        value: bytes | None,
        key: bytes | None,
        ack: Callable[[object, object], None],
    ) -> cython.int:
        produce(topic, value, key, -1, ack)
        self.records += 1
        if key is not None:
            self.size += len(key)
        if value is not None:
            self.size += len(value)
        return 0

    def _begin(self, message: bytes) -> cython.bint:
        """Open the transaction of `{"action":"B","xid":…,"timestamp":"…","lsn":"…","nextlsn":"…"}`; else nothing."""
        at: cython.Py_ssize_t = _ACTION + 9
        end: cython.Py_ssize_t
        xid: cython.longlong = 0
        micros: cython.longlong
        lsn: cython.longlong
        next_lsn: cython.longlong
        if not matches(message, _HEADER, b'{"action":"B","xid":'):
            return False
        while at < len(message) and 48 <= message[at] <= 57 and xid <= 0xFFFF_FFFF:
            xid = xid * 10 + (message[at] - 48)
            at += 1
        if at == _ACTION + 9 or xid > 0xFFFF_FFFF or not matches(message, at, b',"timestamp":"'):
            return False
        at += 14
        end = find(message, 34, at, len(message))
        if end < 0 or not matches(message, end, b'","lsn":"'):
            return False
        micros = read_utc(message, at, end)
        at = end + 9
        head: bytes = message[_ACTION + 2 : at]
        end = find(message, 34, at, len(message))
        if end < 0 or not matches(message, end, b'","nextlsn":"'):
            return False
        lsn = read_lsn(message, at, end)
        at = end + 13
        end = find(message, 34, at, len(message))
        if end < 0 or end + 2 != len(message) or message[end + 1] != 125:
            return False
        next_lsn = read_lsn(message, at, end)
        if micros < 0 or lsn < 0 or next_lsn < 0:
            return False
        self._tail = message[_ACTION + 2 :]
        self._open(head, xid, lsn, next_lsn, micros)
        return True

    def begin(self, *, record_head: bytes, xid: int, commit_lsn: int, next_lsn: int, commit_us: int) -> None:
        """Open a transaction that the caller has decoded."""
        self._tail = b""
        self._open(record_head, xid, commit_lsn, next_lsn, commit_us)

    def _open(
        self,
        record_head: bytes,
        xid: cython.longlong,
        commit_lsn: cython.longlong,
        next_lsn: cython.longlong,
        commit_us: cython.longlong,
    ) -> cython.int:
        parts = self._block.transaction(record_head, xid, commit_lsn, commit_us, self.committed_lsn)
        self._walker.begin(parts)
        self.parts = parts
        self._produced.add(xid)
        self.xid = xid
        self.commit_lsn = commit_lsn
        self.next_lsn = next_lsn
        self.commit_us = commit_us
        self.ordinal = 0
        self.open = True
        return 0

    def _commit(self, message: bytes) -> cython.bint:
        """Close the transaction whose begin was taken here; its commit differs in nothing but the action."""
        if not self._tail or _ACTION + 2 + len(self._tail) != len(message):
            return False
        if not matches(message, _HEADER, b'{"action":"C"') or not matches(message, _ACTION + 2, self._tail):
            return False
        self._close(self.next_lsn)
        return True

    def commit(self, next_lsn: int) -> None:
        """Close the transaction: the caller has decoded its commit."""
        self._close(next_lsn)

    def _close(self, next_lsn: cython.longlong) -> cython.int:
        self.open = False
        if self.ordinal:
            self.delivered += 1
        self.committed = next_lsn
        if self.ordinal:
            # Whether a plugin tells of transactions without an event of ours must not show in the next one's.
            self.committed_lsn = self.commit_lsn
            self.committed_xid = self.xid
            self.committed_us = self.commit_us
        return 0
