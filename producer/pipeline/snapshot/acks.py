"""Rows of a snapshot that were handed over, until they are acked and marked.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Snapshot".
"""

from __future__ import annotations

from collections.abc import Callable

from producer import crash_points
from producer.errors import KafkaUnavailable
from producer.lsn import Lsn
from producer.observe import SnapshotProgress
from producer.pipeline.connector import Connector
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.snapshot.table_copy import ChunkCopy, TableCopy
from producer.sink.kafka import map_kafka_error
from producer.sink.protocol import Sink


class SnapshotAcks:
    """Of the tables in `unmarked`, whose rows stand at `position`.

    `meanwhile` is called while it waits.
    """

    def __init__(
        self,
        connector: Connector,
        sink: Sink,
        marks: Marks | None,
        bars: SnapshotProgress,
        position: Lsn,
        meanwhile: Callable[[], None] | None,
    ) -> None:
        self._clock = connector.clock
        self._counters = connector.counters
        self._acked = -1
        self._stop = connector.stop
        self._limit = connector.settings.max_queue_size_in_bytes
        self._retry_timeout = connector.settings.errors_retry_timeout
        self._sink = sink
        self._marks = marks
        self._bars = bars
        self._position = position
        self._meanwhile = meanwhile
        self.unmarked: list[TableCopy] = []

    def serve(self) -> None:
        """Serve acks, mark finished tables, wait while too much is in flight."""
        since = self._clock.monotonic()
        self._step()
        while self._in_flight() >= self._limit and not self._stop.requested:
            self._wait(since)

    def drain(self) -> None:
        """Wait until all that was handed over is acked, and all that is complete is marked."""
        since = self._clock.monotonic()
        self._step()
        while self._in_flight() or (self._marks is not None and not self._marks.tracker.idle):
            if self._stop.expired():
                raise KafkaUnavailable(
                    "Kafka did not take the snapshot's rows in time; they come again at the next start",
                    remedy="are the brokers up? nothing is lost: an unfinished chunk is read again",
                )
            self._wait(since)

    def _wait(self, since: float) -> None:
        self._sink.flush(0.05)
        self._step()
        timeout = self._retry_timeout
        if timeout >= 0 and (self._clock.monotonic() - since) * 1000 > timeout:
            raise KafkaUnavailable(
                "Kafka did not ack the snapshot in time",
                remedy="is bootstrap.servers right, and are the brokers up?",
            )

    def _step(self) -> None:
        self._sink.poll()
        if self._meanwhile is not None:
            self._meanwhile()
        fatal = self._sink.fatal()
        if fatal is not None:
            raise fatal
        trackers = [part.tracker for part in self._unacked()]
        for tracker in trackers if self._marks is None else (*trackers, self._marks.tracker):
            tracker.advance()
            if tracker.failure is not None:
                raise map_kafka_error(tracker.failure, "delivering the snapshot")
        for copy in list(self.unmarked):
            self._mark_done(copy)
        self._note()

    def _note(self) -> None:
        counters, now = self._counters, self._clock.monotonic()
        counters.in_flight_bytes = in_flight = self._in_flight()
        counters.condition.tended_at = now
        counters.condition.awaits_acks(now, acked=counters.acks != self._acked, waiting=in_flight > 0)
        self._acked = counters.acks

    def _mark_done(self, copy: TableCopy) -> None:
        """Data acked, then the mark: a mark never speaks of a row that may be missing."""
        done = copy.take_done()
        if done:
            crash_points.reach("chunk_acked")
        if copy.read and not copy.unacked and not copy.unread.waiting:
            self.unmarked.remove(copy)
            if copy.before_mark is not None:
                copy.before_mark()
            if self._marks is not None:
                self._marks.table(copy.unread, self._position)
        elif self._marks is not None and copy.unread.resumable:
            for part in done:
                self._marks.chunk(copy.unread, part.chunk, part.rows, self._position)
        if done:
            self._bars.chunks(copy.table.qualified_name, copy.unread.done)

    def _unacked(self) -> list[ChunkCopy]:
        return [part for copy in self.unmarked for part in copy.unacked]

    def _in_flight(self) -> int:
        return sum(part.tracker.in_flight_bytes for part in self._unacked())
