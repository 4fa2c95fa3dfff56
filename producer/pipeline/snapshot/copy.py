"""The snapshot: every selected table's rows go out, before the stream or behind a crash.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Snapshot".
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from confluent_kafka import KafkaException

from producer import crash_points, observe
from producer.errors import ConversionError
from producer.events import Position
from producer.lsn import Lsn
from producer.observe import Recorded, SnapshotProgress
from producer.pipeline.connector import Connector
from producer.pipeline.snapshot import poison as poison_copy
from producer.pipeline.snapshot.acks import SnapshotAcks
from producer.pipeline.snapshot.boundary import SnapshotBoundary
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.snapshot.table_copy import ChunkCopy, TableCopy
from producer.pipeline.snapshot.unread import Unread, can_resume
from producer.pipeline.tables.plans import Shape
from producer.pipeline.tables.tables import Tables
from producer.sink.protocol import RECORD_BYTES, Sink
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


class Comparison(Protocol):
    """A table's rows compared with its topic."""

    def leaves_out(self, key: bytes | None) -> bool:
        """A row was read; whether it is not to be sent."""

    def delete_rest(self) -> None:
        """The rows are acked: delete what was not among them."""


class SnapshotCopy:
    """Copies tables under one snapshot, chunk by chunk: readers in turn, one thread.

    It takes all that waits of its tables, or beside a stream `one_chunk` of each; `meanwhile` is called while
    it waits. `leaves_out` names keys whose rows are not sent. `before_mark` is called when a table's rows are
    acked, and it is not marked yet: such a table is read whole. `compare` begins to compare a table with its
    topic, as its copy begins, and gives both; None: nothing can have gone. Once it `gives_way` the rest is given
    back; in Kafka transactions, once what has begun is sent whole.

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
        before_mark: Callable[[], None] | None = None,
        compare: Callable[[Shape], Comparison | None] | None = None,
        gives_way: Callable[[], bool] | None = None,
        one_chunk: bool = False,
    ) -> None:
        self._settings = settings = connector.settings
        self._clock = connector.clock
        self._stop = connector.stop
        self._counters = connector.counters
        self._tables = tables
        self._walker = connector.walker
        self._path = CopyPath(connector.walker)
        self._sink = sink
        self._block = connector.block
        self._marks = marks
        self._bars = bars = Recorded(bars, connector.counters)
        self._position = position
        self._first_reading = first_reading
        self._leaves_out = leaves_out
        self._before_mark = before_mark
        self._compare = compare
        self._one_chunk = one_chunk
        self._compared = before_mark is not None or compare is not None
        self._gives_way = gives_way or (lambda: False)
        self._dead_letters = connector.dead_letters
        self._bytes_a_turn = min(settings.max_queue_size_in_bytes, _BYTES_A_TURN)
        self._boundary = None if self._one_chunk else SnapshotBoundary.of(connector, sink)
        self._acks = SnapshotAcks(connector, sink, marks, bars, position, meanwhile)
        self._final: TableCopy | None = None
        self._emitted = 0
        self._marker = ""
        self._micros = connector.clock.time_us()

    def run(self, connection: Connection, readers: Sequence[TableReader], wanted: Sequence[Unread]) -> list[Unread]:
        """Copy the tables; those that the snapshot cannot show any more are given back.

        Returns when every row is acked, and every chunk or table marked, or when told to stop.
        """
        waiting = deque(sorted(wanted, key=lambda unread: unread.table.rows, reverse=True))
        for unread in waiting if self._first_reading else ():
            self._counters.awaits(unread.table.qualified_name, unread.table.rows)
        unseen: list[Unread] = []
        running: list[TableCopy] = []
        free = list(readers)
        poll = select.poll()
        self._walker.clock(times(self._micros))
        while (waiting or running) and not self._stop.requested and not self._given_way():
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
            self._acks.serve()
            if self._boundary is not None and self._boundary.reached(self._acks.unmarked):
                self._acks.drain()
                self._boundary.commit()
            if not moved and running:
                poll.poll(_WAIT_MS)
        unseen += self._left(running, waiting)
        if not self._stop.requested and self._final is not None:
            self._release(self._final, "last")
        self._acks.drain()
        return unseen

    def _given_way(self) -> bool:
        """Whether the rest is given back. In Kafka transactions what has begun goes on to its end: it would come twice.

        What was sent of it cannot be taken back: the marks of what is done are in the same transaction.
        """
        gives_way = self._gives_way()
        if self._boundary is None:
            return gives_way
        self._boundary.hurried = gives_way
        return gives_way and self._boundary.reached(self._acks.unmarked)

    def _left(self, running: list[TableCopy], waiting: Iterable[Unread]) -> list[Unread]:
        """What is not read, and not to be read by us."""
        if self._stop.requested:
            return []
        self._acks.unmarked = [copy for copy in self._acks.unmarked if copy not in running]
        return [*(Unread(copy.table, copy.unread.marks) for copy in running), *waiting]

    def _employ(
        self,
        connection: Connection,
        reader: TableReader,
        waiting: deque[Unread],
        running: list[TableCopy],
        unseen: list[Unread],
    ) -> bool:
        """Give the reader a chunk of a table that is being copied, or else the next table; False: there is none."""
        for copy in running if self._boundary is None else self._boundary.in_order(running):
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
            resumable=not self._compared and can_resume(shape.relation, self._settings),
            one_snapshot=not self._one_chunk,
        )  # fmt: skip
        if begun:
            self._bars.begin(table.qualified_name, table.rows, unread.done, unread.done + len(unread.waiting))
        copy = TableCopy(
            unread, shape, select, unread.next_chunk() if self._one_chunk else unread.waiting,
            self._counters.snapshots[table.qualified_name], self._counters,
        )  # fmt: skip
        copy.leaves_out, copy.before_mark = self._leaves_out, self._before_mark
        compared = None if self._compare is None else self._compare(shape)
        if compared is not None:
            copy.leaves_out, copy.before_mark = compared.leaves_out, compared.delete_rest
        self._acks.unmarked.append(copy)
        if copy.read:
            # Only its mark was missing.
            self._end(copy)
            return None
        copy.begin(reader)
        return copy

    def _turn(self, copy: TableCopy, part: ChunkCopy) -> int:
        """Move some of the rows that the chunk's reader has; how many."""
        holds = self._boundary is not None and self._boundary.holds(copy, part)
        if holds:
            moved = self._rows(part, part.reader.rows(1, 1)) if part.held is None else 0
            if part.held is not None and self._final is not None:
                self._release(self._final, "last_in_data_collection")
                self._final = None
        elif self._dead_letters.tolerant or copy.leaves_out is not None:
            moved = self._rows(part, part.reader.rows(_ROWS_A_TURN, self._bytes_a_turn))
        elif not copy.rows:
            moved = self._rows(part, part.reader.rows(_FIRST_ROWS, self._bytes_a_turn))
        else:
            moved = self._plain_rows(copy, part)
        if part.held is not None and copy.last is not None:
            self._release(copy, "true" if copy.rows else "first_in_data_collection")
        if moved:
            crash_points.reach("mid_copy")
            self._bars.advance(copy.table.qualified_name, moved)
            self._counters.snapshot_rows += moved
        return moved

    def _plain_rows(self, copy: TableCopy, part: ChunkCopy) -> int:
        """Rows that are neither first nor last, and all go out; how many were read."""
        self._mark("true" if self._first_reading else "incremental")
        path = self._path
        reader = part.reader
        code = EMPTY
        held = int(part.held is not None)
        moved = 0
        # A second time when nothing was here yet.
        for _ in range(2):
            try:
                code = path.run(
                    reader.get, self._sink.produce, part.group.ack, copy.shape.plan, self._position, part.held,
                    _ROWS_A_TURN, self._bytes_a_turn,
                )  # fmt: skip
            except FormError as error:
                refusal = poison_copy.refused(self._walker, copy.shape, error, self._position)
                raise self._stopped(refusal, copy) from error
            except (KafkaException, BufferError) as error:
                refused = poison_copy.unsent(self._walker, copy.shape, error)
                if isinstance(refused, ConversionError):
                    refused = self._stopped(refused, copy)
                raise refused from error
            finally:
                part.group.add(path.records, path.size + path.records * RECORD_BYTES)
                part.held = path.held
                self._emitted += path.records
                moved += path.records
                part.sent(path.records)
            if code != EMPTY or moved:
                break
            reader.take_in()
        if code == ENDED:
            reader.finish()
        return moved + int(part.held is not None) - held

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
            if copy.leaves_out is not None and copy.leaves_out(self._walker.key):
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
            raise poison_copy.refused(self._walker, copy.shape, error, self._position) from error

    def _stopped(self, error: ConversionError, copy: TableCopy) -> ConversionError:
        """What ends the snapshot at a row that the walker has walked."""
        return self._dead_letters.stop(error, copy.shape.relation.key, Position(self._position, 0))

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
            # Asked in any case: the row is there, whether or not it goes out.
            if copy.leaves_out is None or not copy.leaves_out(made.key):
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
