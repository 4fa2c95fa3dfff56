"""Which LSN is safe to confirm: everything up to it is acked by Kafka.

Room: acks (pure). Records are tracked in groups: a group holds records that share one confirm
point. Groups are opened in commit order, acked in any order, and resolved from the front only.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

from producer.lsn import ZERO, Lsn


class Failure(NamedTuple):
    """A record that Kafka did not take: the error, and the report that came with it."""

    error: object
    report: object
    commit_lsn: Lsn | None = None
    """Of the last transaction that it may be of."""


class Acks(Protocol):
    """Who counts the records that are acked."""

    acks: int


class Group:
    """Records that share one confirm point; its bound `ack` is the delivery callback of them all.

    `pending`, `records` and `size` (bytes) go up as a record is handed to the sink, in any case before the
    sink's reports are served.
    """

    __slots__ = ("_failed", "closed", "commit_lsn", "failure", "lsn", "pending", "records", "size")

    def __init__(self, failed: list[Group] | None = None) -> None:
        self.pending = 0
        self.records = 0
        """All that were handed over."""
        self.size = 0
        self.closed = False
        self.lsn: Lsn | None = None
        self.failure: Failure | None = None
        """The first refusal among its records."""
        self.commit_lsn: Lsn | None = None
        """Where the last of its transactions commits, for what is said of a failure."""
        self._failed = failed

    def add(self, records: int, size: int) -> None:
        """So many more records, of so many bytes together, were handed over."""
        self.pending += records
        self.records += records
        self.size += size

    def ack(self, error: object | None, report: object) -> None:
        """Take one delivery report. It never raises: librdkafka would repeat it for every message."""
        self.pending -= 1
        if error is not None and self.failure is None:
            self.failure = Failure(error, report, self.commit_lsn)
            if self._failed is not None:
                self._failed.append(self)


class Tracker:
    """The groups in flight, and the highest LSN below which all are acked."""

    def __init__(self, safe: Lsn = ZERO, counts: Acks | None = None) -> None:
        self._counts = counts
        self.safe = safe
        """Everything up to here is acked. It never goes down."""
        self.resolved = 0
        """How many groups were acked whole."""
        self._groups: deque[Group] = deque()
        self._open: list[Group] = []  # rarely more than one: it keeps in_flight_bytes O(1)
        self._closed_bytes = 0
        self._failed: list[Group] = []

    def open(self) -> Group:
        """Begin a group behind all others."""
        group = Group(self._failed)
        self._groups.append(group)
        self._open.append(group)
        return group

    def close(self, group: Group, lsn: Lsn | None = None) -> None:
        """No more records come into `group`.

        `lsn`: what is safe once this group and all before it are acked; None for a part of a
        transaction, which by itself makes nothing safe.
        """
        self._open.remove(group)
        group.closed = True
        group.lsn = lsn
        self._closed_bytes += group.size

    def advance(self) -> Lsn:
        """Resolve acked groups from the front; the highest safe LSN.

        A failed group is never resolved: nothing behind it becomes safe.
        """
        groups = self._groups
        while groups:
            head = groups[0]
            if not head.closed or head.pending or head.failure is not None:
                break
            groups.popleft()
            self.resolved += 1
            self._closed_bytes -= head.size
            if self._counts is not None:
                self._counts.acks += head.records
            if head.lsn is not None and head.lsn > self.safe:
                self.safe = head.lsn
        return self.safe

    @property
    def failure(self) -> Failure | None:
        """The first delivery error in commit order, if any."""
        if not self._failed:
            return None
        return next(group.failure for group in self._groups if group.failure is not None)

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of closed groups not resolved yet, and of the open group while any of it is unacked.

        An open group that is all acked weighs nothing: or a limit below its size would stop the
        reading that must close it.
        """
        return self._closed_bytes + sum(group.size for group in self._open if group.pending)

    @property
    def idle(self) -> bool:
        """True when nothing is tracked: all that was read is acked."""
        return not self._groups
