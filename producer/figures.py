"""Figures of a running connector: plain values that its one thread sets, and that another may read at any moment.

Room: figures (IO: time, to say when an error was told). Nothing is locked: what is read together may be a moment
apart. No value of any row is here.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from producer.clock import Clock, SystemClock

Phase = Literal["starting", "snapshot", "streaming", "reconnecting", "standby"]

BUCKETS_MS = (
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000,
    14_400_000, 86_400_000,
)  # fmt: skip
"""Upper limits: a stream that is caught up takes milliseconds, one that was away may be days behind."""

# What was told of an error once is counted when it comes again.
_MOST_TOLD = 12


class EventCounts(Protocol):
    """Events of one table that were handed to Kafka."""

    def by_op(self) -> dict[str, int]:
        """How many of each `op`."""
        ...


class Histogram:
    """How often what was measured lay in each of BUCKETS_MS; the last place is for what is above all."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_MS) + 1)
        self.sum = 0

    def observe(self, milliseconds: int, times: int) -> None:
        """Take so many measurements of the same size."""
        self.counts[bisect_left(BUCKETS_MS, milliseconds)] += times
        self.sum += milliseconds * times


class Lag:
    """From a transaction's commit in the source to the ack of all of it by Kafka.

    It is measured where acks are served, for each group: by the last of its transactions, and counted once for each
    that holds events.
    """

    def __init__(self) -> None:
        self.histogram = Histogram()
        self.peak_ms: int | None = None
        """The longest since somebody has taken it away."""
        self._unacked: deque[tuple[int, int, int]] = deque()
        self._sent = 0

    def forget(self) -> None:
        """A session begins: what was in flight comes again."""
        self._unacked.clear()
        self._sent = 0

    def sent(self, end: int, commit_us: int, transactions: int) -> None:
        """So many transactions with events were handed over in this session.

        The last one committed at `commit_us`, and ends at the LSN `end`.
        """
        if transactions > self._sent:
            self._unacked.append((end, commit_us, transactions - self._sent))
            self._sent = transactions

    def acked(self, safe: int, time_us: Callable[[], int]) -> None:
        """Everything up to the LSN `safe` is acked."""
        unacked = self._unacked
        if not unacked or unacked[0][0] > safe:
            return
        now_us = time_us()
        while unacked and unacked[0][0] <= safe:
            _, commit_us, transactions = unacked.popleft()
            # Two machines, two clocks.
            passed = max(0, now_us - commit_us) // 1000
            self.histogram.observe(passed, transactions)
            self.peak_ms = max(passed, self.peak_ms or 0)

    def unacked_ms(self, now_us: int) -> int:
        """How long ago the first transaction committed of those that were read and are not acked; 0: there is none."""
        try:
            commit_us = self._unacked[0][1]
        except IndexError:
            return 0
        return max(0, now_us - commit_us) // 1000


class Calls:
    """Questions to a server, counted by several threads."""

    def __init__(self) -> None:
        self.by_outcome = {"answered": 0, "refused": 0, "failed": 0}
        self._lock = threading.Lock()

    def note(self, outcome: Literal["answered", "refused", "failed"]) -> None:
        """One more."""
        with self._lock:
            self.by_outcome[outcome] += 1


@dataclass(slots=True)
class TableSnapshot:
    """How far the copy of a table is."""

    expected_rows: int
    """The planner's estimate."""
    rows: int = 0
    """Handed to Kafka since this copy began."""
    sent: int = 0
    """The same since the process began."""
    chunks: int = 0
    chunks_done: int = 0
    state: Literal["waiting", "copying", "read"] = "waiting"

    def add(self, rows: int) -> None:
        """So many more were handed over."""
        self.rows += rows
        self.sent += rows


@dataclass(slots=True)
class Told:
    """An error as it was told."""

    kind: str
    message: str
    remedy: str
    time_us: int
    times: int = 1


class Errors:
    """What was told last, and how often each kind of fault came."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.faults: dict[str, int] = {}
        """Temporary ones, by kind."""
        self.told: deque[Told] = deque(maxlen=_MOST_TOLD)

    def fault(self, kind: str, message: str, remedy: str) -> None:
        """A temporary one: counted and told."""
        self.faults[kind] = self.faults.get(kind, 0) + 1
        self.tell(kind, message, remedy)

    def tell(self, kind: str, message: str, remedy: str) -> None:
        """Remember an error; one that was told before is told again."""
        time_us = self._clock.time_us()
        for one in self.told:
            if (one.kind, one.message) == (kind, message):
                one.time_us = time_us
                one.times += 1
                # The last is what was told last; the first gives way to what is new.
                self.told.remove(one)
                self.told.append(one)
                return
        self.told.append(Told(kind, message, remedy, time_us))


class Condition:
    """What the connector does, and when it did it last. Times are the clock's monotonic seconds."""

    def __init__(self) -> None:
        self.phase: Phase = "starting"
        self.since: float | None = None
        """When the phase began."""
        self.failing_since: float | None = None
        """When the first of the faults came that are not over."""
        self.tended_at: float | None = None
        """When the loop last looked after everything."""
        self.heard_at: float | None = None
        """When the server last showed that it serves our stream."""
        self.patience = 0.0
        """wal_sender_timeout, in seconds; 0: none, or there is no stream."""
        self.unacked_since: float | None = None
        """When Kafka acked something last, while it owes us acks."""

    def enter(self, phase: Phase, now: float) -> None:
        """Another phase begins. Copying and streaming say that faults are over; waiting for a slot is none."""
        if phase in ("snapshot", "streaming", "standby"):
            self.failing_since = None
        elif phase == "reconnecting" and self.failing_since is None:
            self.failing_since = now
        if phase != self.phase or self.since is None:
            self.phase = phase
            self.since = now
        self.tended_at = now
        self.heard_at = now
        self.unacked_since = None

    def awaits_acks(self, now: float, *, acked: bool, waiting: bool) -> None:
        """Whether Kafka has acked something since this was last said, and whether it still owes us acks."""
        if not waiting:
            self.unacked_since = None
        elif acked or self.unacked_since is None:
            self.unacked_since = now
