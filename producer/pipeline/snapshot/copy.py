"""The snapshot: every selected table's rows go out, before the stream or behind a crash.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Snapshot".
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import KafkaException

from producer import crash_points, observe
from producer.acks import Tracker
from producer.errors import ConversionError, KafkaUnavailable, ProducerError
from producer.events import Position
from producer.lsn import Lsn
from producer.observe import SnapshotProgress
from producer.pipeline.connector import Connector
from producer.pipeline.snapshot import poison as poison_copy
from producer.pipeline.snapshot.table_copy import TableCopy
from producer.pipeline.tables.tables import Tables
from producer.sink.kafka import map_kafka_error
from producer.sink.offsets import OffsetsTopic, TableMark
from producer.sink.protocol import RECORD_BYTES, Sink
from producer.source.catalog import Table
from producer.source.chunks import chunks
from producer.source.snapshot import TableReader
from producer.source.wire import Connection
from producer.transcode.copy_path import CopyPath
from producer.transcode.fast_path import EMPTY, ENDED
from producer.transcode.plan import FormError
from producer.transcode.source_block import times

_log = observe.logger("producer.snapshot")

_ROWS_A_TURN = 1000
_BYTES_A_TURN = 4_000_000
# A table's first row has a marker of its own: so many are read until it has gone out.
_FIRST_ROWS = 2
_WAIT_MS = 50
# By how much source.snapshot's longest marker is longer than another.
_MARKER_BYTES = 32
# A reader that joins another in its table does not wait for somebody who waits to change it.
_JOIN_LOCK_TIMEOUT = "100ms"


def in_order(tables: Iterable[Table]) -> list[Table]:
    """As they are copied: the largest first."""
    return sorted(tables, key=lambda table: table.rows, reverse=True)


class SnapshotCopy:
    """Copies tables under one snapshot, chunk by chunk: readers in turn, one thread.

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
        self._path = CopyPath(connector.walker)
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
        self._unmarked: list[TableCopy] = []
        self._marks = Tracker()
        self._final: tuple[TableCopy, bytes] | None = None
        self._emitted = 0
        self._marker = ""
        self._micros = connector.clock.time_us()

    def run(self, connection: Connection, readers: Sequence[TableReader], wanted: Sequence[Table]) -> list[Table]:
        """Copy the tables; those that the snapshot cannot show any more are given back.

        Returns when every row is acked and every table marked, or when told to stop.
        """
        waiting = deque(in_order(wanted))
        unseen: list[Table] = []
        running: list[TableCopy] = []
        free = list(readers)
        poll = select.poll()
        self._walker.clock(times(self._micros))
        while (waiting or running) and not self._stop.requested:
            for reader in list(free):
                if self._employ(connection, reader, waiting, running, unseen):
                    free.remove(reader)
                    poll.register(reader.fileno, select.POLLIN)
            moved = 0
            for copy in list(running):
                for reader in list(copy.at_work):
                    moved += self._turn(copy, reader)
                    if reader.table is None:
                        copy.at_work.remove(reader)
                        poll.unregister(reader.fileno)
                        free.append(reader)
                if copy.read:
                    running.remove(copy)
                    self._end(copy)
            self._walker.clock(times(self._clock.time_us()))
            self._serve()
            if not moved and running:
                poll.poll(_WAIT_MS)
        if not self._stop.requested and self._final is not None:
            copy, row = self._final
            self._final = None
            self._emit(copy, row, "last")
            copy.close()
        self._drain()
        return unseen

    def _employ(
        self,
        connection: Connection,
        reader: TableReader,
        waiting: deque[Table],
        running: list[TableCopy],
        unseen: list[Table],
    ) -> bool:
        """Give the reader a chunk of a table that is being copied, or else the next table; False: there is none."""
        for copy in running:
            if copy.open_to(reader):
                if reader in copy.holders or reader.lock(copy.table, _JOIN_LOCK_TIMEOUT) == "same":
                    copy.begin(reader)
                    return True
                copy.shared = False
        while waiting:
            begun = self._begin(connection, reader, waiting.popleft(), unseen)
            if begun is not None:
                running.append(begun)
                return True
        return False

    def _begin(
        self, connection: Connection, reader: TableReader, table: Table, unseen: list[Table]
    ) -> TableCopy | None:
        found = reader.lock(table)
        if found in ("changed", "busy"):
            why = "was rewritten after the snapshot was taken"
            if found == "busy":
                why = "is locked by somebody who waits to change it"
            _log.warning(f"the table {why}: read again", table=table.qualified_name)
            unseen.append(table)
            return None
        shape = self._tables.prepare(connection, [table]).get(table.oid)
        if found == "gone" or shape is None:
            _log.info("the table is gone", table=table.qualified_name)
            return None
        self._tables.install(shape)
        select = self._settings.snapshot_select(table.schema, table.name)
        parts = chunks(connection, table, self._settings.snapshot_chunk_rows if select is None else 0)
        copy = TableCopy(table, shape, select, parts)
        self._bars.begin(table.qualified_name, table.rows)
        self._unmarked.append(copy)
        copy.begin(reader)
        return copy

    def _turn(self, copy: TableCopy, reader: TableReader) -> int:
        """Move some of the rows that the reader has; how many."""
        if self._dead_letters.tolerant or self._leaves_out is not None:
            moved = self._rows(copy, reader.rows(_ROWS_A_TURN, self._bytes_a_turn))
        elif not copy.rows:
            moved = self._rows(copy, reader.rows(_FIRST_ROWS, self._bytes_a_turn))
        else:
            moved = self._plain_rows(copy, reader)
        if moved:
            crash_points.reach("mid_copy")
            self._bars.advance(copy.table.qualified_name, moved)
            self._counters.snapshot_rows += moved
        return moved

    def _plain_rows(self, copy: TableCopy, reader: TableReader) -> int:
        """Rows that are neither first nor last, and all go out."""
        self._mark("true" if self._first_reading else "incremental")
        path = self._path
        code = EMPTY
        moved = 0
        # A second time when nothing was here yet.
        for _ in range(2):
            try:
                code = path.run(
                    reader.get, self._sink.produce, copy.group.ack, copy.shape.plan, self._position, copy.held,
                    _ROWS_A_TURN, self._bytes_a_turn,
                )  # fmt: skip
            except FormError as error:
                raise self._stopped(self._refused(copy, error), copy) from error
            except (KafkaException, BufferError) as error:
                refused = self._unsent(copy, error)
                if isinstance(refused, ConversionError):
                    refused = self._stopped(refused, copy)
                raise refused from error
            finally:
                copy.group.pending += path.records
                copy.group.size += path.size + path.records * RECORD_BYTES
                copy.held = path.held
                self._emitted += path.records
                moved += path.records
                copy.sent(path.records)
            if code != EMPTY or moved:
                break
            reader.take_in()
        if code == ENDED:
            reader.finish()
        return moved

    def _rows(self, copy: TableCopy, rows: Sequence[memoryview]) -> int:
        for row in rows:
            if self._dead_letters.tolerant and not self._carried(copy, bytes(row)):
                continue
            if copy.held is not None:
                self._emit(copy, copy.held, "true" if copy.rows else "first_in_data_collection")
            copy.held = bytes(row)
        return len(rows)

    def _end(self, copy: TableCopy) -> None:
        """All rows of the table are read; its last one may be the snapshot's last."""
        self._bars.finish(copy.table.qualified_name)
        if copy.held is None:
            copy.close()
            return
        if self._final is not None:
            before, row = self._final
            self._emit(before, row, "last_in_data_collection")
            before.close()
        self._final = (copy, copy.held)

    def _emit(self, copy: TableCopy, row: bytes, marker: str) -> None:
        if not self._emitted and marker != "last":
            marker = "first"
        self._mark(marker if self._first_reading else "incremental")
        try:
            self._walk(copy, row)
            if self._leaves_out is not None and self._leaves_out(self._walker.key):
                return
            self._sink.send(copy.shape.plan.topic, self._walker.key, self._walker.value, copy.group)
        except ConversionError as error:
            raise self._stopped(error, copy) from error
        self._emitted += 1
        copy.sent(1)

    def _walk(self, copy: TableCopy, row: bytes) -> None:
        try:
            self._walker.copy_row(row, copy.shape.plan, self._position)
        except FormError as error:
            raise self._refused(copy, error) from error

    def _stopped(self, error: ConversionError, copy: TableCopy) -> ConversionError:
        """What ends the snapshot at a row that the walker has walked."""
        return self._dead_letters.stop(error, copy.shape.relation.key, Position(self._position, 0))

    def _unsent(self, copy: TableCopy, error: Exception) -> ProducerError:
        key, value = self._walker.key, self._walker.value
        size = (len(value) if value else 0) + (len(key) if key else 0)
        topic = copy.shape.plan.topic
        return map_kafka_error(error, f"topic {topic}, a row of {copy.table.qualified_name} of {size} bytes")

    def _carried(self, copy: TableCopy, row: bytes) -> bool:
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
            copy.sent(0)
            return False
        return True

    def _mark(self, marker: str) -> None:
        if marker == self._marker:
            return
        self._marker = marker
        parts = self._block.snapshot(micros=self._micros, marker=marker, position=self._position)
        self._walker.begin(parts)

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
        self._sink.flush(0.05)
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
            crash_points.reach("table_acked")
            self._unmarked.remove(copy)
            self._write_mark(copy)

    def _write_mark(self, copy: TableCopy) -> None:
        """Data acked, then the mark: a mark never speaks of a row that may be missing."""
        if self._offsets is None:
            return
        group = self._marks.open()
        mark = TableMark(rows=copy.rows, position=self._position, filenode=copy.table.filenode)
        self._offsets.write_mark(copy.table.qualified_name, mark, group)
        self._marks.close(group)

    def _in_flight(self) -> int:
        return sum(copy.tracker.in_flight_bytes for copy in self._unmarked)

    def _refused(self, copy: TableCopy, error: FormError) -> ConversionError:
        column = self._walker.column
        columns = copy.shape.relation.columns
        name = columns[column].name if 0 <= column < len(columns) else "?"
        return ConversionError(
            f"table {copy.table.qualified_name}, column {name}, in the snapshot at {self._position}: {error.reason}",
            remedy=error.remedy,
            column=name,
        )
