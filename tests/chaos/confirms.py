"""Did the slot ever run ahead of the acks? Looked at during the run, judged after it.

A look reads the slot's confirmed_flush_lsn first, the topics' ends afterwards. What Kafka acked is
below an end read later. So: every stream event whose commit LSN is below the confirmed LSN of a look
must occur first at an offset below the end of that look. A commit LSN is read from the event itself;
that every committed event is in the topics at all is the judge's count of the lost.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import psycopg

from producer.errors import ProducerError
from producer.sink.consume import LogReader, Place, consumer_config
from producer.sink.reader import table_topics
from tests.harness import Source, wait_for

_SLOT = (
    "SELECT confirmed_flush_lsn - '0/0', active_pid FROM pg_replication_slots "
    "WHERE slot_name = '{}' AND confirmed_flush_lsn IS NOT NULL"
)


class Look(NamedTuple):
    """The slot's confirmed LSN, and where each topic ended at once afterwards."""

    confirmed: int
    ends: dict[Place, int]
    killed: bool


class Confirms(threading.Thread):
    """Looks a few times each second, and when asked."""

    def __init__(self, source: Source, prefix: str, every_seconds: float = 0.2) -> None:
        super().__init__(daemon=True, name="confirms")
        self._source = source
        self._topics = table_topics(prefix)
        self._ended = threading.Event()
        self._every_seconds = every_seconds
        self._known: dict[Place, int] = {}
        self._lock = threading.Lock()
        self.looks: list[Look] = []

    def run(self) -> None:
        """Look, until told to end; servers may be away."""
        while not self._ended.wait(self._every_seconds):
            with contextlib.suppress(psycopg.Error, ProducerError):
                self.look()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join(30)

    def look_after_kill(self) -> bool:
        """What a killed producer has confirmed, once the server has taken its last word."""
        wait_for(lambda: self.slot()[1] is None, 60, "the slot's reader ends")
        with contextlib.suppress(ProducerError):
            self.look(killed=True)
            return True
        return False  # Kafka is away: a later look sees the same confirmed LSN, or a higher one

    def slot(self) -> tuple[int, int | None]:
        """The slot's confirmed LSN and its reader's pid; 0 where there is no slot or no server."""
        with contextlib.suppress(psycopg.OperationalError):
            for confirmed, pid in self._source.rows(_SLOT.format(self._source.slot)):
                return int(confirmed), pid
            return 0, None
        return 0, -1

    def records(self) -> int:
        """How many records the topics hold, as far as Kafka tells."""
        with contextlib.suppress(ProducerError):
            self._ends()
        return sum(self._known.values())

    def reached(self, lsn: int, seconds: float, alive: Callable[[], object]) -> float | None:
        """How long it took until `lsn` was confirmed; None when it was not in time. `alive` may raise."""
        began = time.monotonic()
        while self.slot()[0] < lsn:
            alive()
            if time.monotonic() - began > seconds:
                return None
            time.sleep(0.05)
        return time.monotonic() - began

    def look(self, *, killed: bool = False) -> Look:
        """One look.

        Raises:
            ProducerError: Kafka is away.
        """
        confirmed = self.slot()[0]
        look = Look(confirmed, self._ends(), killed)
        self.looks.append(look)
        return look

    def _ends(self) -> dict[Place, int]:
        """The ends; a broker that has only just started may not know them all, but none goes back."""
        with self._lock:
            reader = LogReader(consumer_config(self._source.stack.bootstrap_servers, {"log_level": "0"}), 3)
            try:
                found = {
                    (name, partition)
                    for name, partitions in reader.topics().items()
                    if self._topics.fullmatch(name)
                    for partition in partitions
                }
                for place, (_, high) in reader.watermarks(sorted(found | self._known.keys())).items():
                    self._known[place] = max(high, self._known.get(place, 0))
            finally:
                reader.close()
            return dict(self._known)
