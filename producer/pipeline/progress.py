"""How far we are: acks -> offsets topic -> confirm, always in that order.

Room: pipeline (IO through the stages it is given). Everything that may move the slot passes here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from producer import crash_points
from producer.acks import Acks, Group, Tracker
from producer.clock import Clock
from producer.lsn import Lsn
from producer.sink.offsets import Offset, OffsetsTopic

# A keep-alive on an idle database moves the slot, but not more often than this.
_IDLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Committed:
    """What the offsets topic remembers of a transaction."""

    next_lsn: Lsn
    commit_lsn: Lsn | None
    """Of the last one that had events, as what follows; None: there was none yet."""
    xid: int
    commit_us: int


class Progress:
    """Carries the tracker's safe LSN into the offsets topic, and from there to the slot.

    `confirmable` is what PostgreSQL may be told: the offsets record that says so is acked, and
    every record before it.
    """

    def __init__(self, offsets: OffsetsTopic, start: Offset, clock: Clock, acks: Acks | None = None) -> None:
        self.tracker = Tracker(start.lsn, acks)
        self.confirmable: Lsn = start.lsn
        self._offsets = offsets
        self._stored = start
        self._clock = clock
        self._writing: tuple[Group, Offset] | None = None
        self._completed = False
        self._compares = False
        self._commits: deque[Committed] = deque()
        self._kept_alive_at = clock.monotonic() - _IDLE_SECONDS

    def committed(self, transaction: Committed) -> None:
        """A transaction's records are all tracked."""
        self._commits.append(transaction)

    def snapshot_completed(self) -> None:
        """Every table was read and marked: the next offsets record says so."""
        if self._stored.snapshot == "running" or self._compares:
            self._completed = True

    @property
    def reads_tables(self) -> bool:
        """Whether tables are copied at all."""
        return self._stored.snapshot is not None

    def compare_again(self) -> None:
        """Tables are to be read and compared with their topics: `position` says so once that is stored."""
        self._compares = True
        self._completed = False

    def kept_alive(self, wal_end: Lsn, *, urgent: bool) -> bool:
        """The server has sent everything up to `wal_end`, and no transaction is open.

        Tracked like an empty transaction: safe once all before it is acked. False when it comes too soon
        after another: the server may send no more of them, so it is to be told again.
        """
        now = self._clock.monotonic()
        if wal_end <= self.tracker.safe:
            return True
        if not urgent and now - self._kept_alive_at < _IDLE_SECONDS:
            return False
        self._kept_alive_at = now
        self.tracker.close(self.tracker.open(), wal_end)
        return True

    def give_up(self) -> None:
        """A part of a table was sent that no mark will speak of: its rows come again."""

    def end(self) -> None:
        """Nothing more is read."""
        self.step()

    def step(self) -> Lsn:
        """Move on as far as the acks allow; what may be confirmed now.

        Call after the sink's reports were served. One offsets record is under way at a time.
        """
        if self._writing is not None:
            group, offset = self._writing
            if group.pending:
                return self.confirmable
            if group.failure is not None:
                return self.confirmable
            crash_points.reach("offset_acked")
            self._writing = None
            self._stored = offset
            self.confirmable = max(self.confirmable, offset.lsn)
        safe = self.tracker.advance()
        compares = self._compares and not self._stored.reconcile
        if safe > self._stored.lsn or self._completed or compares:
            crash_points.reach("acked")
            self._write(self._at(safe))
            crash_points.reach("offset_sent")
        return self.confirmable

    @property
    def delivered(self) -> Lsn:
        """Readers have everything up to here."""
        return self.tracker.safe

    @property
    def position(self) -> Offset:
        """What the offsets topic holds."""
        return self._stored

    @property
    def failure(self) -> object | None:
        """The first delivery error, of a record or of the offsets record."""
        if self._writing is not None and self._writing[0].failure is not None:
            return self._writing[0].failure
        return self.tracker.failure

    @property
    def closing(self) -> bool:
        """True while nothing may be sent: a Kafka transaction is being committed."""
        return False

    @property
    def stored(self) -> bool:
        """True when Kafka has nothing left to ack: neither of ours, nor of a transaction that was cut off."""
        if self._completed or self._writing is not None:
            return False
        return not self.tracker.in_flight_bytes and self.confirmable >= self.tracker.safe

    @property
    def settled(self) -> bool:
        """True when all that was tracked is acked, stored and confirmable."""
        return self._writing is None and self.tracker.idle and self.confirmable >= self.tracker.safe

    def _at(self, safe: Lsn) -> Offset:
        offset = replace(self._stored, lsn=safe)
        if self._completed:
            offset = replace(offset, snapshot="completed", reconcile=False)
            self._completed = self._compares = False
        elif self._compares:
            offset = replace(offset, snapshot="running", reconcile=True)
        while self._commits and self._commits[0].next_lsn <= safe:
            done = self._commits.popleft()
            if done.commit_lsn is not None:
                offset = replace(offset, commit_lsn=done.commit_lsn, tx_id=done.xid, commit_us=done.commit_us)
        return offset

    def _write(self, offset: Offset) -> None:
        group = Group()
        self._writing = (group, offset)
        self._offsets.write(offset, group)
