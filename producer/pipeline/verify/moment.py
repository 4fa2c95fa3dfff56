"""A moment of the source: a snapshot, and where the log ended before and behind the taking of it.

Room: pipeline (pure). PostgreSQL manual, "Transaction ID and Snapshot Information Functions".
"""

from __future__ import annotations

from producer.lsn import Lsn
from producer.source import visibility

_MASK = 0xFFFF_FFFF
_HALF = 0x8000_0000
# More transactions than these do not run at once. A topic keeps ids for years, and they come round.
_NEAR = 1 << 20


class Moment:
    """Tells which events are of transactions that a snapshot shows."""

    def __init__(self, snapshot: str, before: Lsn, end: Lsn) -> None:
        """`snapshot` as txid_current_snapshot() prints it; `before`: where the log ended before, `end`: after that."""
        self._running = visibility.running(snapshot)
        self._xmax = int(snapshot.split(":")[1]) & _MASK
        self._before = before
        self.end = end
        """Everything that the snapshot shows was committed before this."""

    def shows(self, xid: int | None, commit_lsn: int) -> bool:
        """Whether an event's transaction (32 bits) is over in the snapshot; None: a row that was read, or a comparison.

        A reading whose position is at or beyond `before` may have been under a later snapshot.
        """
        if xid is None:
            return commit_lsn < self._before
        ahead = (xid - self._xmax) & _MASK
        if ahead < _HALF and (ahead < _NEAR or commit_lsn >= self._before):
            return False
        return xid not in self._running
