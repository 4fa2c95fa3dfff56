"""Waiting until the running producer has passed a point of the log: what was committed before it is in the topics.

Room: pipeline (IO: PostgreSQL). PostgreSQL manual, "pg_replication_slots". The slot is looked at, never taken.
"""

from __future__ import annotations

import time

from producer import observe
from producer.clock import Clock
from producer.errors import NotSettled
from producer.lsn import Lsn
from producer.pipeline.verify.moment import Moment
from producer.source import slot, visibility
from producer.source.slot import Slot
from producer.source.wire import Connection, Server, explained

_log = observe.logger("producer.verify")

_PAUSE_SECONDS = 0.1
# A producer that has lost its connection comes back.
_AWAY_SECONDS = 20.0
_STALL_SECONDS = 120.0


class Passing:
    """Looks at one slot. A confirmed LSN is one that all records before it are acked for."""

    def __init__(self, connection: Connection, server: Server, name: str | None, clock: Clock) -> None:
        """`name`: the slot's; None: the log is not read, tables are only copied."""
        self._connection = connection
        self._server = server
        self._name = name
        self._clock = clock
        self._seen = False
        """A reader of the slot was seen."""
        self._said = False
        self.behind: int | None = None
        """By how many bytes of log the slot was behind, where nobody reads it; None: it was not."""

    def start(self) -> Moment:
        """The moment of now, without a table."""
        with explained(self._server, "asking for the end of the log"):
            before = visibility.insert_lsn(self._connection)
            return Moment(visibility.snapshot(self._connection), before, before)

    def passed(self, point: Lsn) -> None:
        """Return when the producer has passed the point, or when none is running.

        Raises:
            NotSettled: it does not come nearer.
        """
        if self._name is None:
            self._say("what was changed since the last run counts as a difference", "pg-producer run")
            return
        began = seen_at = self._clock.monotonic()
        reached: Lsn | None = None
        while True:
            found = self._find(self._name)
            now = self._clock.monotonic()
            confirmed = None if found is None else found.confirmed_lsn
            if confirmed is not None and confirmed >= point:
                self.behind = None
                return
            if found is not None and found.active_pid is not None:
                self._seen, seen_at = True, now
            elif not self._seen or now - seen_at > _AWAY_SECONDS:
                self._say(
                    f"nobody reads the slot {self._name}: what was changed since counts as a difference",
                    "for a comparison with what is to come, run the producer meanwhile, or `pg-producer run --once` "
                    "before",
                )
                self.behind = 0 if confirmed is None else point - confirmed
                return
            if confirmed is not None and (reached is None or confirmed > reached):
                reached, began = confirmed, now
            if now - began > _STALL_SECONDS:
                raise NotSettled(
                    f"the producer that reads the slot {self._name} stands at {confirmed} for {_STALL_SECONDS:.0f} s; "
                    f"the comparison waits for {point}",
                    remedy="is it still copying tables, or is Kafka slow? See `pg-producer status`; verify again when "
                    "it has caught up",
                )
            time.sleep(_PAUSE_SECONDS)

    def _find(self, name: str) -> Slot | None:
        with explained(self._server, "looking at the slot"):
            return slot.find(self._connection, name)

    def _say(self, words: str, remedy: str) -> None:
        """Once, whatever the number of tables."""
        if not self._said:
            self._said = True
            _log.warning(words, remedy=remedy)
