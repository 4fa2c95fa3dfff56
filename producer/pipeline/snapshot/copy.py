"""The snapshot: every selected table's rows go out, before the stream or behind a crash.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Snapshot".
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import KafkaException

from producer import observe
from producer.errors import ConversionError, KafkaUnavailable, ProducerError
from producer.events import Position
from producer.lsn import Lsn
from producer.observe import SnapshotProgress
from producer.pipeline.connector import Connector
from producer.pipeline.snapshot import poison as poison_copy
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.snapshot.table_copy import ChunkCopy, TableCopy
from producer.pipeline.snapshot.unread import Unread, can_resume
from producer.pipeline.tables.tables import Tables
from producer.sink.kafka import map_kafka_error
from producer.sink.protocol import RECORD_BYTES, Sink
from producer.source.catalog import Table
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

    It takes all that waits of its tables; beside a stream, which `meanwhile` keeps alive while it
    waits, a chunk of each. `leaves_out` names keys whose rows are not sent.

    The markers of `source.snapshot` need to know what is last: so each chunk's last row is held
    until its table has another one, and the last table's until it is known to be the last. A chunk
    whose row is held is not done.
    """

    def __init__(
        self,
        *,
        connector: Connector,
        tables: Tables,
        sink: Sink,
        marks: Marks | None,
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
        self._marks = marks
        self._block = connector.block
        self._bars = bars
        self._position = position
        self._first_reading = first_reading
        self._leaves_out = leaves_out
        self._meanwhile = meanwhile
        self._one_chunk = meanwhile is not None
        self._dead_letters = connector.dead_letters
        self._bytes_a_turn = min(settings.max_queue_size_in_bytes, _BYTES_A_TURN)
        self._unmarked: list[TableCopy] = []
        self._final: TableCopy | None = None
        self._emitted = 0
        self._marker = ""
        self._micros = connector.clock.time_us()

    def run(self, connection: Connection, readers: Sequence[TableReader], wanted: Sequence[Unread]) -> list[Unread]:
        """Copy the tables; those that the snapshot cannot show any more are given back.

        Returns when every row is acked, and every chunk or table marked, or when told to stop.
        """
        waiting = deque(sorted(wanted, key=lambda unread: unread.table.rows, reverse=True))
        unseen: list[Unread] = []
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
                for part in list(copy.at_work):
                    moved += self._turn(copy, part)
                    if part.reader.table is None:
                        copy.end(part)
                        poll.unregister(part.reader.fileno)
                        free.append(part.reader)
                if copy.read:
                    running.remove(copy)
                    self._end(copy)
            self._walker.clock(times(self._clock.time_us()))
            self._serve()
            if not moved and running:
                poll.poll(_WAIT_MS)
        if not self._stop.requested and self._final is not None:
            self._release(self._final, "last")
        self._drain()
        return unseen

    def _employ(
        self,
        connection: Connection,
        reader: TableReader,
        waiting: deque[Unread],
        running: list[TableCopy],
        unseen: list[Unread],
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
        self, connection: Connection, reader: TableReader, unread: Unread, unseen: list[Unread]
    ) -> TableCopy | None:
        table = unread.table
        found = reader.lock(table)
        if found in ("changed", "busy"):
            why = "was rewritten after the snapshot was taken"
            if found == "busy":
                why = "is locked by somebody who waits to change it"
            _log.warning(f"the table {why}: read again", table=table.qualified_name)
            unseen.append(unread)
            return None
        shape = self._tables.prepare(connection, [table]).get(table.oid)
        if found == "gone" or shape is None:
            _log.info("the table is gone", table=table.qualified_name)
            unread.waiting.clear()
            if self._marks is not None:
                self._marks.forget(unread)
            return None
        self._tables.install(shape)
        select = self._settings.snapshot_select(table.schema, table.name)
        begun = unread.cut(
            reader.connection, reader.filenode, self._settings.snapshot_chunk_rows if select is None else 0,
            resumable=can_resume(shape.relation, self._settings), one_snapshot=not self._one_chunk,
        )  # fmt: skip
        if begun:
            self._bars.begin(table.qualified_name, table.rows, unread.done, unread.done + len(unread.waiting))
        copy = TableCopy(unread, shape, select, unread.next_chunk() if self._one_chunk else unread.waiting)
        self._unmarked.append(copy)
        if copy.read:
            # Only its mark was missing.
            self._end(copy)
            return None
        copy.begin(reader)
        return copy

    def _turn(self, copy: TableCopy, part: ChunkCopy) -> int:
        """Move some of the rows that the chunk's reader has; how many."""
        if self._dead_letters.tolerant or self._leaves_out is not None:
            moved = self._rows(part, part.reader.rows(_ROWS_A_TURN, self._bytes_a_turn))
        elif not copy.rows:
            moved = self._rows(part, part.reader.rows(_FIRST_ROWS, self._bytes_a_turn))
        else:
            moved = self._plain_rows(copy, part)
        if part.held is not None and copy.last is not None:
            self._release(copy, "true" if copy.rows else "first_in_data_collection")
        if moved:
            self._bars.advance(copy.table.qualified_name, moved)
            self._counters.snapshot_rows += moved
        return moved

    def _plain_rows(self, copy: TableCopy, part: ChunkCopy) -> int:
        """Rows that are neither first nor last, and all go out."""
        self._mark("true" if self._first_reading else "incremental")
        path = self._path
        reader = part.reader
        code = EMPTY
        moved = 0
        # A second time when nothing was here yet.
        for _ in range(2):
            try:
                code = path.run(
                    reader.get, self._sink.produce, part.group.ack, copy.shape.plan, self._position, part.held,
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
                part.group.pending += path.records
                part.group.size += path.size + path.records * RECORD_BYTES
                part.held = path.held
                self._emitted += path.records
                moved += path.records
                part.sent(path.records)
            if code != EMPTY or moved:
                break
            reader.take_in()
        if code == ENDED:
            reader.finish()
        return moved

    def _rows(self, part: ChunkCopy, rows: Sequence[memoryview]) -> int:
        for row in rows:
            if self._dead_letters.tolerant and not self._carried(part, bytes(row)):
                continue
            if part.held is not None:
                self._emit(part, "true" if part.copy.rows else "first_in_data_collection")
            part.held = bytes(row)
        return len(rows)

    def _end(self, copy: TableCopy) -> None:
        """All rows that wait of the table are read; its last one may be the snapshot's last."""
        if not copy.unread.waiting:
            self._bars.finish(copy.table.qualified_name)
        if copy.last is None:
            return
        if self._final is not None:
            self._release(self._final, "last_in_data_collection")
        self._final = copy

    def _release(self, copy: TableCopy, marker: str) -> None:
        """Send the row behind all others of the table so far: what comes next is known."""
        part, copy.last = copy.last, None
        assert part is not None
        self._emit(part, marker)
        part.close()

    def _emit(self, part: ChunkCopy, marker: str) -> None:
        """Send the row that the chunk holds."""
        copy, row = part.copy, part.held
        assert row is not None
        if not self._emitted and marker != "last":
            marker = "first"
        self._mark(marker if self._first_reading else "incremental")
        try:
            self._walk(copy, row)
            if self._leaves_out is not None and self._leaves_out(self._walker.key):
                return
            self._sink.send(copy.shape.plan.topic, self._walker.key, self._walker.value, part.group)
        except ConversionError as error:
            raise self._stopped(error, copy) from error
        self._emitted += 1
        part.sent(1)

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

    def _carried(self, part: ChunkCopy, row: bytes) -> bool:
        """Whether the row can be a record; else it is a dead letter.

        Tried before the row behind it is known: the markers of first and last are for rows that go out.
        """
        copy = part.copy
        plan = copy.shape.plan
        try:
            self._walk(copy, row)
            self._dead_letters.demand_fit(plan.topic, self._walker.key, self._walker.value, spare=_MARKER_BYTES)
        except ConversionError as error:
            made = poison_copy.letter(self._dead_letters, self._walker, copy.shape, row, error, self._position)
            self._sink.send(made.topic, made.key, made.value, part.group, headers=made.headers)
            part.sent(0)
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
        """Wait until all that was handed over is acked, and all that is complete is marked."""
        since = self._clock.monotonic()
        self._acks()
        while self._in_flight() or (self._marks is not None and not self._marks.tracker.idle):
            if self._stop.expired():
                raise KafkaUnavailable(
                    "Kafka did not take the snapshot's rows in time; they come again at the next start",
                    remedy="are the brokers up? nothing is lost: an unfinished chunk is read again",
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
        for tracker in [part.tracker for part in self._unacked()] + ([self._marks.tracker] if self._marks else []):
            tracker.advance()
            if tracker.failure is not None:
                raise map_kafka_error(tracker.failure, "delivering the snapshot")
        for copy in list(self._unmarked):
            self._mark_done(copy)

    def _mark_done(self, copy: TableCopy) -> None:
        """Data acked, then the mark: a mark never speaks of a row that may be missing."""
        done = copy.take_done()
        if copy.read and not copy.unacked and not copy.unread.waiting:
            self._unmarked.remove(copy)
            if self._marks is not None:
                self._marks.table(copy.unread, self._position)
        elif self._marks is not None and copy.unread.resumable:
            for part in done:
                self._marks.chunk(copy.unread, part.chunk, part.rows, self._position)
        if done:
            self._bars.chunks(copy.table.qualified_name, copy.unread.done)

    def _unacked(self) -> list[ChunkCopy]:
        return [part for copy in self._unmarked for part in copy.unacked]

    def _in_flight(self) -> int:
        return sum(part.tracker.in_flight_bytes for part in self._unacked())

    def _refused(self, copy: TableCopy, error: FormError) -> ConversionError:
        column = self._walker.column
        columns = copy.shape.relation.columns
        name = columns[column].name if 0 <= column < len(columns) else "?"
        return ConversionError(
            f"table {copy.table.qualified_name}, column {name}, in the snapshot at {self._position}: {error.reason}",
            remedy=error.remedy,
            column=name,
        )
