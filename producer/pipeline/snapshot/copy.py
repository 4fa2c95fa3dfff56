"""The snapshot: every selected table's rows go out, before the stream or behind a crash.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Snapshot".
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import KafkaException

from producer import observe
from producer.acks import Group, Tracker
from producer.errors import ConversionError, KafkaUnavailable
from producer.events import Position
from producer.lsn import Lsn
from producer.observe import SnapshotProgress
from producer.pipeline.connector import Connector
from producer.pipeline.snapshot import poison as poison_copy
from producer.pipeline.tables.plans import Shape
from producer.pipeline.tables.tables import Tables
from producer.sink.kafka import map_kafka_error
from producer.sink.offsets import OffsetsTopic, TableMark
from producer.sink.protocol import RECORD_BYTES, Sink
from producer.source.catalog import Table
from producer.source.snapshot import TableReader
from producer.source.wire import Connection
from producer.transcode.plan import FormError
from producer.transcode.source_block import times

_log = observe.logger("producer.snapshot")

_ROWS_A_TURN = 500
_BYTES_A_TURN = 4_000_000
_GROUP_ROWS = 1000
_WAIT_MS = 50
# By how much source.snapshot's longest marker is longer than another.
_MARKER_BYTES = 32


class _Copy:
    """One table on its way."""

    def __init__(self, table: Table, shape: Shape, reader: TableReader) -> None:
        self.table = table
        self.shape = shape
        self.reader = reader
        self.tracker = Tracker()
        self.group: Group = self.tracker.open()
        self.held: bytes | None = None
        """The row behind all others so far: its marker is known only when the next one comes."""
        self.rows = 0
        self.complete = False
        """Every row was handed to the sink."""

    def cut(self) -> None:
        """Begin another group when this one is large: what is acked need not be held."""
        if self.group.pending >= _GROUP_ROWS:
            self.tracker.close(self.group)
            self.group = self.tracker.open()


def in_order(tables: Iterable[Table]) -> list[Table]:
    """As they are copied: the largest first."""
    return sorted(tables, key=lambda table: table.rows, reverse=True)


class SnapshotCopy:
    """Copies tables under one snapshot: readers in turn, one thread.

    `leaves_out` names keys whose rows are not sent; `meanwhile` is called while it waits.

    The markers of `source.snapshot` need to know what is last: so each table's last row, and
    the last table's, are held until it is known.
    """

    def __init__(
        self,
        *,
        connector: Connector,
        tables: Tables,
        sink: Sink,
        offsets: OffsetsTopic | None,
        bars: SnapshotProgress,
        position: Lsn,
        first_reading: bool,
        leaves_out: Callable[[bytes | None], bool] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        self._settings = settings = connector.settings
        self._clock = connector.clock
        self._stop = connector.stop
        self._counters = connector.counters
        self._tables = tables
        self._walker = connector.walker
        self._sink = sink
        self._offsets = offsets
        self._block = connector.block
        self._bars = bars
        self._position = position
        self._first_reading = first_reading
        self._leaves_out = leaves_out
        self._meanwhile = meanwhile
        self._dead_letters = connector.dead_letters
        self._bytes_a_turn = min(settings.max_queue_size_in_bytes, _BYTES_A_TURN)
        self._unmarked: list[_Copy] = []
        self._marks = Tracker()
        self._final: tuple[_Copy, bytes] | None = None
        self._emitted = 0
        self._marker = ""
        self._micros = connector.clock.time_us()

    def run(self, connection: Connection, readers: Sequence[TableReader], wanted: Sequence[Table]) -> list[Table]:
        """Copy the tables; those that the snapshot cannot show any more are given back.

        Returns when every row is acked and every table marked, or when told to stop.
        """
        waiting = deque(in_order(wanted))
        unseen: list[Table] = []
        running: list[_Copy] = []
        free = list(readers)
        poll = select.poll()
        self._walker.clock(times(self._micros))
        while (waiting or running) and not self._stop.requested:
            while free and waiting:
                copy = self._begin(connection, free[-1], waiting.popleft(), unseen)
                if copy is not None:
                    free.pop()
                    running.append(copy)
                    poll.register(copy.reader.fileno, select.POLLIN)
            moved = 0
            for copy in list(running):
                moved += self._turn(copy)
                if copy.reader.table is None:
                    running.remove(copy)
                    poll.unregister(copy.reader.fileno)
                    free.append(copy.reader)
                    self._end(copy)
            self._walker.clock(times(self._clock.time_us()))
            self._serve()
            if not moved and running:
                poll.poll(_WAIT_MS)
        if not self._stop.requested and self._final is not None:
            copy, row = self._final
            self._final = None
            self._emit(copy, row, "last")
            self._complete(copy)
        self._drain()
        return unseen

    def _begin(self, connection: Connection, reader: TableReader, table: Table, unseen: list[Table]) -> _Copy | None:
        found = reader.lock(table)
        if found in ("changed", "busy"):
            _log.warning("the table was rewritten after the snapshot was taken: read again", table=table.qualified_name)
            unseen.append(table)
            return None
        shape = self._tables.prepare(connection, [table]).get(table.oid)
        if found == "gone" or shape is None:
            _log.info("the table is gone", table=table.qualified_name)
            return None
        self._tables.install(shape)
        reader.begin(table, shape.relation, self._settings.snapshot_select(table.schema, table.name))
        self._bars.begin(table.qualified_name, table.rows)
        copy = _Copy(table, shape, reader)
        self._unmarked.append(copy)
        return copy

    def _turn(self, copy: _Copy) -> int:
        rows = copy.reader.rows(_ROWS_A_TURN, self._bytes_a_turn)
        if not rows:
            return 0
        name = copy.table.qualified_name
        for row in rows:
            if self._dead_letters.tolerant and not self._carried(copy, bytes(row)):
                continue
            if copy.held is not None:
                self._emit(copy, copy.held, "true" if copy.rows else "first_in_data_collection")
            copy.held = bytes(row)
        self._bars.advance(name, len(rows))
        self._counters.snapshot_rows += len(rows)
        return len(rows)

    def _end(self, copy: _Copy) -> None:
        """All rows of the table are read; its last one may be the snapshot's last."""
        self._bars.finish(copy.table.qualified_name)
        if copy.held is None:
            self._complete(copy)
            return
        if self._final is not None:
            before, row = self._final
            self._emit(before, row, "last_in_data_collection")
            self._complete(before)
        self._final = (copy, copy.held)

    def _emit(self, copy: _Copy, row: bytes, marker: str) -> None:
        if not self._emitted and marker != "last":
            marker = "first"
        self._mark(marker if self._first_reading else "incremental")
        try:
            self._walk(copy, row)
            if self._leaves_out is not None and self._leaves_out(self._walker.key):
                return
            size = self._produce(copy)
        except ConversionError as error:
            raise self._dead_letters.stop(error, copy.shape.relation.key, Position(self._position, 0)) from error
        copy.tracker.add(copy.group, size + RECORD_BYTES)
        copy.rows += 1
        self._emitted += 1
        copy.cut()

    def _walk(self, copy: _Copy, row: bytes) -> None:
        try:
            self._walker.copy_row(row, copy.shape.plan, self._position)
        except FormError as error:
            raise self._refused(copy, error) from error

    def _produce(self, copy: _Copy) -> int:
        key, value = self._walker.key, self._walker.value
        assert value is not None
        size = len(value) + (len(key) if key else 0)
        try:
            self._sink.produce(copy.shape.plan.topic, value, key, -1, copy.group.ack)
        except (KafkaException, BufferError) as error:
            raise map_kafka_error(
                error, f"topic {copy.shape.plan.topic}, a row of {copy.table.qualified_name} of {size} bytes"
            ) from error
        return size

    def _carried(self, copy: _Copy, row: bytes) -> bool:
        """Whether the row can be a record; else it is a dead letter.

        Tried before the row behind it is known: the markers of first and last are for rows that go out.
        """
        plan = copy.shape.plan
        try:
            self._walk(copy, row)
            self._dead_letters.demand_fit(plan.topic, self._walker.key, self._walker.value, spare=_MARKER_BYTES)
        except ConversionError as error:
            made = poison_copy.letter(self._dead_letters, self._walker, copy.shape, row, error, self._position)
            self._sink.send(made.topic, made.key, made.value, copy.group, headers=made.headers)
            copy.cut()
            return False
        return True

    def _mark(self, marker: str) -> None:
        if marker == self._marker:
            return
        self._marker = marker
        parts = self._block.snapshot(micros=self._micros, marker=marker, position=self._position)
        parts.begin(self._walker)

    def _complete(self, copy: _Copy) -> None:
        """Every row of the table was handed over: it is marked when they are acked."""
        copy.tracker.close(copy.group)
        copy.complete = True

    def _serve(self) -> None:
        """Serve acks, mark finished tables, wait while too much is in flight."""
        since = self._clock.monotonic()
        self._acks()
        while self._in_flight() >= self._settings.max_queue_size_in_bytes and not self._stop.requested:
            self._wait(since)

    def _drain(self) -> None:
        """Wait until all that was handed over is acked, and every complete table marked."""
        since = self._clock.monotonic()
        while self._in_flight() or not self._marks.idle or any(copy.complete for copy in self._unmarked):
            if self._stop.expired():
                raise KafkaUnavailable(
                    "Kafka did not take the snapshot's rows in time; they come again at the next start",
                    remedy="are the brokers up? nothing is lost: an unfinished table is read again",
                )
            self._wait(since)

    def _wait(self, since: float) -> None:
        self._sink.wait(0.05)
        self._acks()
        timeout = self._settings.errors_retry_timeout
        if timeout >= 0 and (self._clock.monotonic() - since) * 1000 > timeout:
            raise KafkaUnavailable(
                "Kafka did not ack the snapshot in time",
                remedy="is bootstrap.servers right, and are the brokers up?",
            )

    def _acks(self) -> None:
        self._sink.poll()
        if self._meanwhile is not None:
            self._meanwhile()
        fatal = self._sink.fatal()
        if fatal is not None:
            raise fatal
        for tracker in (*(copy.tracker for copy in self._unmarked), self._marks):
            tracker.advance()
            if tracker.failure is not None:
                raise map_kafka_error(tracker.failure, "delivering the snapshot")
        for copy in [copy for copy in self._unmarked if copy.complete and copy.tracker.idle]:
            self._unmarked.remove(copy)
            self._write_mark(copy)

    def _write_mark(self, copy: _Copy) -> None:
        """Data acked, then the mark: a mark never speaks of a row that may be missing."""
        if self._offsets is None:
            return
        group = self._marks.open()
        mark = TableMark(rows=copy.rows, position=self._position, filenode=copy.table.filenode)
        self._offsets.write_mark(copy.table.qualified_name, mark, group)
        self._marks.close(group)

    def _in_flight(self) -> int:
        return sum(copy.tracker.in_flight_bytes for copy in self._unmarked)

    def _refused(self, copy: _Copy, error: FormError) -> ConversionError:
        column = self._walker.column
        columns = copy.shape.relation.columns
        name = columns[column].name if 0 <= column < len(columns) else "?"
        return ConversionError(
            f"table {copy.table.qualified_name}, column {name}, in the snapshot at {self._position}: {error.reason}",
            remedy=error.remedy,
            column=name,
        )
