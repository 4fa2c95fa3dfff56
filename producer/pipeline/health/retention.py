"""How much WAL the slot holds back on the source: watched, forecast, and given up before the disk is full.

Room: pipeline (IO: PostgreSQL). PostgreSQL manual, "pg_replication_slots" (safe_wal_size).
Every loop that may wait calls `watch`; where no session is open, `glance`: it is while Kafka is
away that a slot grows.
"""

from __future__ import annotations

from collections import deque

from producer import observe
from producer.clock import Clock
from producer.errors import ProducerError, RetentionExceeded
from producer.observe import Counters
from producer.settings import Settings
from producer.source import slot
from producer.source.slot import Slot
from producer.source.wire import Connection, Server, connect, explained

_log = observe.logger("producer.retention")

# Between two looks; and between two lines that say the same.
_LOOK_SECONDS = 3.0
_REPEAT_SECONDS = 300.0
# The growth of the log is measured over so long.
_WINDOW_SECONDS = 60.0
# A WAL budget that lasts no longer than this is warned of.
_NEAR_SECONDS = 3600.0


def seconds_left(safe_bytes: int | None, bytes_per_second: float) -> float | None:
    """When max_slot_wal_keep_size is used up, at this rate; None: never, or there is no such limit."""
    if safe_bytes is None or bytes_per_second <= 0:
        return None
    return max(safe_bytes, 0) / bytes_per_second


class Retention:
    """Looks at the slot every few seconds; says what it sees in `counters`."""

    def __init__(self, settings: Settings, server: Server, clock: Clock, counters: Counters) -> None:
        self._name = settings.slot_name
        self._limit = settings.slot_max_retained_bytes
        self._action = settings.slot_retention_action
        self._has_slot = settings.reads_log
        self._server = server
        self._clock = clock
        self._counters = counters
        self._looked_at = clock.monotonic() - _LOOK_SECONDS
        self._ends: deque[tuple[float, int]] = deque()
        """Where the log ended, and when: a measure of its growth."""
        self._told: dict[str, float] = {}
        self.over = False
        """The slot holds back more than it may."""

    @property
    def pauses(self) -> bool:
        """Whether tables are not to be copied for now: the stream goes first."""
        return self.over and self._action == "pause_snapshot"

    def watch(self, connection: Connection) -> None:
        """Look, when it is time to.

        Raises:
            RetentionExceeded: the slot is to be given up.
        """
        now = self._clock.monotonic()
        if not self._has_slot or now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        with explained(self._server, "looking at the slot"):
            found = slot.find(connection, self._name)
        if found is not None:
            self._judge(found, now)

    def glance(self) -> None:
        """Look by a session of its own, where one can be had; raises as `watch`."""
        if self._limit is None or not self._has_slot or self._clock.monotonic() - self._looked_at < _LOOK_SECONDS:
            return
        try:
            with connect(self._server) as connection:
                self.watch(connection)
        except RetentionExceeded:
            raise
        except ProducerError:
            # Whatever it is, the next start of a session finds it too.
            self._looked_at = self._clock.monotonic()

    def give_up(self) -> None:
        """Drop the slot: nobody of us reads it any more. A failure is told and left to the operator."""
        try:
            with connect(self._server) as connection:
                slot.await_reader_gone(connection, self._name, self._clock)
                slot.drop(connection, self._server, self._name)
        except ProducerError as error:
            _log.error("the slot could not be dropped", slot=self._name, reason=error.message, remedy=error.remedy)
        else:
            _log.warning("the slot was dropped", slot=self._name)

    def _judge(self, found: Slot, now: float) -> None:
        counters = self._counters
        counters.slot_retained_bytes = found.retained_bytes
        counters.slot_lag_bytes = found.lag_bytes
        counters.slot_wal_status = found.wal_status
        counters.slot_safe_bytes = found.safe_bytes
        counters.slot_seconds_left = self._forecast(found, now)
        refused = slot.lost(found)
        if refused is not None:
            raise refused
        self._warn_of_budget(found, now)
        retained = found.retained_bytes
        if self._limit is None or retained is None:
            return
        over = retained > self._limit
        if self.over and not over:
            _log.info("the slot holds back less than slot.max.retained.bytes again", retained_bytes=retained)
        self.over = over
        if not over:
            self._told.pop("limit", None)
        elif self._action == "drop_slot":
            raise RetentionExceeded(
                f"the replication slot {self._name} held back {retained} bytes of WAL, more than "
                f"slot.max.retained.bytes={self._limit}: it is given up (slot.retention.action=drop_slot)",
                remedy="find out why it did not advance (Kafka away, a consumer of its own too slow, a long snapshot); "
                + slot.RECOVER,
            )
        elif self._due("limit", now):
            _log.warning(
                "the slot holds back more WAL than slot.max.retained.bytes",
                slot=self._name, retained_bytes=retained, limit=self._limit, action=self._action,
                remedy="is Kafka away, or a snapshot long? slot.retention.action says what else is to be done",
            )  # fmt: skip

    def _forecast(self, found: Slot, now: float) -> float | None:
        """By the growth of the last minute."""
        end = found.log_end
        if end is None:
            return None
        self._ends.append((now, end))
        while now - self._ends[0][0] > _WINDOW_SECONDS:
            self._ends.popleft()
        began, start = self._ends[0]
        return None if now <= began else seconds_left(found.safe_bytes, (end - start) / (now - began))

    def _warn_of_budget(self, found: Slot, now: float) -> None:
        left = self._counters.slot_seconds_left
        danger = found.wal_status == "unreserved" or (left is not None and left < _NEAR_SECONDS)
        if not danger:
            self._told.pop("budget", None)
        elif self._due("budget", now):
            _log.warning(
                "the WAL budget of the slot is nearly used up: then the server gives it up",
                slot=self._name, wal_status=found.wal_status, safe_bytes=found.safe_bytes,
                seconds_left=None if left is None else round(left),
                remedy="raise max_slot_wal_keep_size, or find out why the slot does not advance",
            )  # fmt: skip

    def _due(self, what: str, now: float) -> bool:
        """Whether to say it (again)."""
        if now - self._told.get(what, now - _REPEAT_SECONDS) < _REPEAT_SECONDS:
            return False
        self._told[what] = now
        return True
