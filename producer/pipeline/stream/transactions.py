"""One transaction's records: from the plugin's messages to what is handed to the sink.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Life of a record".
"""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import KafkaException

from producer import crash_points
from producer.acks import Group
from producer.clock import Clock
from producer.decode.wal2json import Begin, Commit, LogicalMessage, Record, RowShape, Truncate
from producer.errors import ConversionError, DecodeError
from producer.events import Position
from producer.lsn import ZERO, Lsn
from producer.pipeline.connector import Connector
from producer.pipeline.progress import Committed, Progress
from producer.pipeline.reconcile.comparisons import Comparisons
from producer.pipeline.reconcile.emptied import Emptied
from producer.pipeline.side.messages import Messages
from producer.pipeline.side.transactions import TransactionMetadata
from producer.pipeline.snapshot.later import LaterReadings
from producer.pipeline.stream.completion import Completion
from producer.pipeline.stream.dialects import Dialect
from producer.pipeline.stream.discard import Discard
from producer.pipeline.stream.misfits import Misfits, decoded
from producer.pipeline.stream.poison import Poison, Salvaged
from producer.pipeline.stream.truncates import Truncates
from producer.pipeline.tables.tables import Tables
from producer.sink.protocol import PARTITIONER, RECORD_BYTES, Headers, Outlet
from producer.source.replication import XLOG_HEADER
from producer.source.wire import Connection
from producer.transcode.fast_path import OTHER as GENERAL
from producer.transcode.plan import FormError
from producer.transcode.walker import DELETE, KEY_CHANGE, OTHER, RECORD, SHAPE

# A group holds about so many records: a part of a big transaction, or many small ones.
_GROUP_RECORDS = 1000
# Where a record names its action: `{"action":"I"`.
_ACTION = 11
_INSERT = ord("I")
_EVENTS = (RECORD, DELETE, KEY_CHANGE)


class Transactions:
    """Takes the messages of one stream in their order; knows the transaction that is open."""

    def __init__(
        self,
        *,
        connector: Connector,
        catalog: Connection,
        tables: Tables,
        sink: Outlet,
        progress: Progress,
        dialect: Dialect,
        completion: Completion,
        previous_commit: Lsn | None,
        later: LaterReadings,
        emptied: Emptied,
        comparisons: Comparisons,
        until: Position | None = None,
    ) -> None:
        """`until`: the last event of those that come again and are not to be sent."""
        self._discard: Discard | None = None
        if until is not None:
            self._discard = sink = Discard(sink, until)
        self._outside = ZERO if until is None or until.ordinal else until.commit_lsn
        """The last logical message outside of a transaction."""
        self._clock: Clock = connector.clock
        self._block = connector.block
        self._walker = connector.walker
        self._tombstones = connector.settings.tombstones_on_delete
        self._catalog = catalog
        self._tables = tables
        self._sink = sink
        self._progress = progress
        self._later = later
        self._skips = connector.skips
        self._dialect = dialect
        self._fast = dialect.fast_path(connector, previous_commit)
        self._messages = Messages(connector, sink, progress.tracker)
        self._metadata = TransactionMetadata(connector, sink)
        self._dead_letters = connector.dead_letters
        self._poison = Poison(
            walker=connector.walker, catalog=catalog, tables=tables, completion=completion,
            dead_letters=connector.dead_letters, tombstones=self._tombstones,
        )  # fmt: skip
        self._misfits = Misfits(walker=connector.walker, catalog=catalog, tables=tables, completion=completion)
        self._truncates = Truncates(connector, catalog, tables, sink, later, emptied, comparisons)
        self._group: Group | None = None
        """What was handed to the sink since `cut`."""
        self._grouped = 0
        """The end of the last transaction that a group was closed with."""
        self._lag = connector.counters.lag
        self._lag.forget()
        self.unserved_bytes = 0
        """Handed to the sink since its acks were served last."""

    @property
    def open(self) -> bool:
        """True between a begin and its commit."""
        return self._fast.open

    @property
    def committed(self) -> Lsn:
        """The end of the last transaction that is complete."""
        return Lsn(self._fast.committed)

    @property
    def within(self) -> Lsn | None:
        """Where the transaction that is open commits."""
        return Lsn(self._fast.commit_lsn) if self._fast.open else None

    @property
    def last(self) -> Position | None:
        """The last event that was sent, where it lies behind all that is complete. Ask between two messages."""
        if self._discard is not None:
            return self._discard.until
        if self._fast.open and self._fast.ordinal:
            return self._position()
        return Position(self._outside, 0) if self._outside > self._fast.committed else None

    @property
    def half_announced(self) -> bool:
        """True when the BEGIN of the transaction that is open was sent, and no event of it."""
        return self._metadata.wanted and self._fast.open and not self._metadata.due and not self._fast.ordinal

    @property
    def commit_us(self) -> int:
        """When the transaction that was read last committed, microseconds since 1970."""
        return self._fast.commit_us

    @property
    def record_head(self) -> bytes:
        """What stands in each row of the transaction that is open, between action and LSN."""
        return self._fast.parts.record_head

    @property
    def message(self) -> bytes:
        """The last message that `run` looked at."""
        return self._fast.message

    def run(self, get: Callable[[int], tuple[int, memoryview]], most: int, most_bytes: int) -> tuple[int, int]:
        """Take messages as long as they are plain: why it ended, as FastPath says, and how many there were."""
        fast = self._fast
        named = self._skips.last >= fast.commit_lsn
        fast.bypass = self._metadata.wanted or self._later.reading is not None or self._discard is not None or named
        group = self._opened()
        try:
            code = fast.run(get, self._sink.produce, group.ack, most, most_bytes)
        except (FormError, KafkaException, BufferError):
            # The general path takes the message again, and says what is wrong with it.
            code = GENERAL
        finally:
            group.add(fast.records, fast.size + fast.records * RECORD_BYTES)
            self.unserved_bytes += fast.size
        return code, fast.messages

    def cut(self) -> None:
        """Close the group: its transactions that are complete can be confirmed once it is acked."""
        group, fast = self._group, self._fast
        if group is None:
            return
        self._group = None
        end = None
        if fast.committed > self._grouped:
            self._grouped = fast.committed
            end = Lsn(fast.committed)
            behind = None if fast.committed_lsn < 0 else Lsn(fast.committed_lsn)
            self._progress.committed(Committed(end, behind, fast.committed_xid, fast.committed_us))
            self._lag.sent(end, fast.committed_us, fast.delivered)
        group.commit_lsn = Lsn(fast.commit_lsn)
        self._progress.tracker.close(group, end)

    def _opened(self) -> Group:
        """The group that records are counted in."""
        if self._group is None:
            self._group = self._progress.tracker.open()
        return self._group

    def take(self, message: bytes) -> None:
        """One message, its XLogData header before it.

        Raises:
            DecodeError, ConversionError, UnsupportedEvent: it cannot be carried.
        """
        try:
            self._take(message)
        except DecodeError as error:
            if not self._fast.open:
                raise
            # It takes one ordinal, as far as that can be told.
            self._skips.demand(self._next_position(), error)
            self._fast.ordinal += 1

    def _take(self, message: bytes) -> None:
        for part in self._dialect.parts(message, self.record_head):
            if self._fast.open and self._discard is not None and not self._discard.behind(self._position()):
                self._discard = None
            if not isinstance(part, bytes):
                self._record(part)
            elif not (self._fast.open and self._row(part)):
                self._record(decoded(part))

    def _row(self, message: bytes) -> bool:
        """Take a row of the transaction that is open; False: it is none."""
        self._misfits.row = message
        try:
            result = self._walk(message)
        except ConversionError as error:
            self._set_aside(error)
            return True
        self._dialect.walked(result)
        return result != OTHER

    def _record(self, record: Record) -> None:
        match record:
            case Begin():
                self._open(record)
            case Commit():
                self._close(record)
            case Truncate():
                self._truncate(record)
            case RowShape():
                raise DecodeError(
                    f"a row of {record.schema}.{record.table} at {record.lsn} outside of any transaction",
                    remedy="this is a fault of the plugin or of the producer: report it",
                )
            case LogicalMessage() if self._messages.wanted(record):
                self._message(record)

    def _walk(self, message: bytes) -> int:
        walker = self._walker
        result: int
        try:
            result = walker.row(message, XLOG_HEADER, self._fast.ordinal + 1)
        except FormError as error:
            result = self._misfits.fit(message, self._fast.ordinal + 1, error)
        else:
            if result == SHAPE:
                result = self._misfits.fit(message, self._fast.ordinal + 1, None)
            elif walker.suspects and result not in (OTHER, DELETE):
                result = self._misfits.unhide(message, self._fast.ordinal + 1)
        if self._metadata.due and result in _EVENTS:
            self._metadata.begin(self._opened)
        if result == RECORD:
            headers = self._misfits.take_headers()
            if not self._skips.leaves_out(self._next_position(), walker.topic):
                self._send(walker.topic, walker.key, walker.value, headers)
                self._count("c" if message[XLOG_HEADER + _ACTION] == _INSERT else "u")
            self._fast.ordinal += 1
        elif result == DELETE:
            if not self._skips.leaves_out(self._next_position(), walker.topic):
                self._send(walker.topic, walker.key, walker.value)
                self._tombstone(walker.topic, walker.key)
                self._count("d")
            self._fast.ordinal += 1
        elif result == KEY_CHANGE:
            self._key_change()
        reading = self._later.reading
        # Of a row that is none of ours the walker knows nothing: topic and key are those of the row before.
        if reading is not None and result in _EVENTS and reading.topic == walker.topic:
            keys = (walker.key, walker.old_key if result == KEY_CHANGE else None)
            reading.note(self._fast.xid, keys, insert=message[XLOG_HEADER + _ACTION] == _INSERT)
        return result

    def _set_aside(self, error: ConversionError) -> None:
        """A row that no record can carry takes its ordinals all the same: positions do not depend on tolerance."""
        headers, position = self._misfits.take_headers(), self._next_position()
        named = self._skips.leaves_out(position, error.message)
        self._send_salvaged(self._poison.row(self._misfits.row, error, position, headers, named=named))

    def _send_salvaged(self, salvaged: Salvaged) -> None:
        self._metadata.begin(self._opened)
        if self._later.reading is not None:
            # What became of the row cannot be told from its key alone.
            self._later.reading.disturbed = True
        for record in salvaged.records:
            self._send(record.topic, record.key, record.value, record.headers)
            if record.op:
                self._count(record.op, salvaged.table)
        self._fast.ordinal += salvaged.ordinals

    def _count(self, op: str, table: str | None = None) -> None:
        """An event went out; of the table that was walked last, where none is named."""
        if self._discard is None:
            self._walker.counts_of(self._walker.plan().table if table is None else table).add(op)

    def _send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        partition: int = PARTITIONER,
    ) -> None:
        group = self._opened()
        before = group.size
        self._sink.send(topic, key, value, group, headers=headers, partition=partition)
        self.unserved_bytes += group.size - before
        if group.pending >= _GROUP_RECORDS:
            self.cut()

    def _tombstone(self, topic: str, key: bytes | None) -> None:
        if key is not None and self._tombstones:
            self._send(topic, key, None)

    def _key_change(self) -> None:
        """A change of the key: delete of the old, tombstone, create of the new, in this order."""
        walker = self._walker
        topic, old, new = walker.topic, walker.old_key, walker.key
        assert old is not None
        assert new is not None
        created = [("__debezium.oldkey", old), *self._misfits.headers]
        # Known before the delete has gone out: what of the two can be sent is for one place to say.
        self._dead_letters.demand_fit(topic, new, walker.value, created)
        self._misfits.take_headers()
        if not self._skips.leaves_out(self._next_position(), topic):
            self._send(topic, old, walker.old_value, [("__debezium.newkey", new)])
            self._tombstone(topic, old)
            self._count("d")
        crash_points.reach("key_change")
        if not self._skips.leaves_out(self._next_position(1), topic):
            self._send(topic, new, walker.value, created)
            self._count("c")
        self._fast.ordinal += 2

    def _open(self, begin: Begin) -> None:
        if self._later.due(begin.commit_lsn):
            self.cut()
            self._later.splice()
        self._metadata.open(begin)
        self._fast.begin(
            record_head=begin.record_head, xid=begin.xid, commit_lsn=begin.commit_lsn, next_lsn=begin.next_lsn,
            commit_us=begin.commit_us,
        )  # fmt: skip

    def _close(self, commit: Commit) -> None:
        if not self._fast.open:
            raise DecodeError(f"a commit at {commit.commit_lsn} without its begin", remedy="report it")
        self._metadata.close(self._opened())
        self._fast.commit(commit.next_lsn)

    def _message(self, record: LogicalMessage) -> None:
        """An event of its transaction; or, between transactions, one by itself."""
        if not record.transactional:
            if self._discard is not None and Position(record.lsn, 0) <= self._discard.until:
                return
            # It has a group of its own, behind what was read before it.
            self.cut()
            self._outside = record.lsn
            if self._skips.leaves_out(Position(record.lsn, 0), record.prefix):
                return
            previous = self._fast.committed_lsn
            self.unserved_bytes += self._messages.send_outside(record, Lsn(previous) if previous >= 0 else None)
            return
        if not self._fast.open:
            raise DecodeError(f"a logical message of a transaction at {record.lsn} outside of any", remedy="report it")
        self._metadata.begin(self._opened)
        skipped = self._skips.leaves_out(self._next_position(), record.prefix)
        self._fast.ordinal += 1
        if not skipped:
            self._send(*self._messages.record(record, self._fast.parts, self._position()))
            self._count("m", "")

    def _truncate(self, record: Truncate) -> None:
        """One event a table."""
        if not self._fast.open:
            raise DecodeError(f"a truncate at {record.lsn} outside of any transaction", remedy="report it")
        try:
            shape = self._truncates.shape(record, self._fast.xid)
        except ConversionError as error:
            if self._skips.leaves_out(self._next_position(), f"{record.schema}.{record.table}"):
                self._fast.ordinal += 1
            else:
                self._send_salvaged(self._poison.truncate(record, error, self._next_position()))
            return
        if shape is None:
            return
        self._metadata.begin(self._opened)
        skipped = self._skips.leaves_out(self._next_position(), shape.plan.topic)
        self._fast.ordinal += 1
        if not skipped:
            for partition, key, value in self._truncates.records(shape, self._fast.parts, record.lsn, self._position()):
                self._send(shape.plan.topic, key, value, partition=partition)
            self._count("t", shape.plan.table)

    def _position(self) -> Position:
        """Of the event that was counted last."""
        return Position(Lsn(self._fast.commit_lsn), self._fast.ordinal)

    def _next_position(self, after: int = 0) -> Position:
        """Of the event at hand, or of one behind it."""
        return Position(Lsn(self._fast.commit_lsn), self._fast.ordinal + 1 + after)
