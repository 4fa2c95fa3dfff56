"""The hot loop: messages in, records out, acks to confirms; one thread, no queue.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Life of a record".
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import KafkaException

from producer import observe
from producer.acks import Group
from producer.clock import Clock
from producer.decode import wal2json
from producer.decode.wal2json import Begin, Commit, LogicalMessage, RowShape, Truncate
from producer.errors import ConversionError, DecodeError, KafkaUnavailable
from producer.events import Position, Relation
from producer.lsn import Lsn
from producer.observe import Counters
from producer.pipeline.completion import ColumnGone, Completion, Headers
from producer.pipeline.progress import Committed, Progress
from producer.pipeline.stop import Stop
from producer.pipeline.tables import Shape, Tables
from producer.settings import Settings
from producer.sink.kafka import map_kafka_error
from producer.sink.protocol import Sink
from producer.source.replication import KEEPALIVE, XLOG_DATA, XLOG_HEADER, ReplicationStream
from producer.source.wire import Connection
from producer.transcode.plan import FormError
from producer.transcode.source_block import Parts, SourceBlock, times, truncate_value
from producer.transcode.walker import DELETE, KEY_CHANGE, OTHER, RECORD, SHAPE, Walker

_log = observe.logger("producer.stream")

# Acks are served, and limits looked at, after this many records.
_TEND_EVERY = 1000
# A part of a big transaction: its bytes are released when it is acked; it confirms nothing.
_PART_RECORDS = 1000
# A reader that is always waiting doubles the walsender's cost: let a little gather first.
_GATHER_SECONDS = 0.001
_WAIT_MS_BUSY = 5
_WAIT_MS_IDLE = 200
# Replies to a server that asks in a tight loop while it shuts down.
_REPLY_SECONDS = 0.1
# How far we look ahead for rows that must be read again, to read them together.
_AHEAD_MESSAGES = 500
_AHEAD_BYTES = 1_000_000


class StreamLoop:
    """Reads one replication stream until told to stop, or until `target` is reached."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        stop: Stop,
        counters: Counters,
        stream: ReplicationStream,
        catalog: Connection,
        tables: Tables,
        walker: Walker,
        sink: Sink,
        progress: Progress,
        block: SourceBlock,
        previous_commit: Lsn | None,
        target: Lsn | None,
        status_seconds: float,
        completion: Callable[[Callable[[], Iterable[bytes]]], Completion],
        started: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._stop = stop
        self._counters = counters
        self._stream = stream
        self._catalog = catalog
        self._tables = tables
        self._walker = walker
        self._sink = sink
        self._progress = progress
        self._block = block
        self._previous_commit = previous_commit
        self._target = target
        self._status_seconds = status_seconds
        self._started: Callable[[], None] | None = started
        self._limit = settings.max_queue_size_in_bytes
        # Looked at often enough that big rows cannot overshoot the limit by much.
        self._serve_bytes = self._limit // 8
        self._unserved_bytes = 0
        self._completion = completion(self.look_ahead)
        self._ahead: deque[bytes] = deque()
        self._ended = False
        self._headers: Headers = []
        self._begin: Begin | None = None
        self._parts: Parts | None = None
        self._group: Group | None = None
        self._ordinal = 0
        self._reached = False
        self._resolved = 0
        self._resolved_at = clock.monotonic()

    def run(self) -> None:
        """Stream until stopped (returns with everything read handed to the sink) or until the target.

        Raises:
            ProducerError: what ended it; nothing unacked was confirmed.
        """
        get = self._stream.get
        since_tend = 0
        gather = False
        self._walker.clock(times(self._clock.time_us()))
        while not self._stop.requested and not self._reached:
            if self._ahead:
                size, message = 1, memoryview(self._ahead.popleft())
            elif self._ended:
                raise self._stream.ended()
            else:
                size, message = get(1)
            if size > 0:
                if self._started is not None:
                    # The server talks: what failed before is over.
                    self._started()
                    self._started = None
                if message[0] == XLOG_DATA:
                    self._record(bytes(message))
                elif message[0] == KEEPALIVE:
                    self._keepalive(message)
                since_tend += 1
                if since_tend >= _TEND_EVERY or self._unserved_bytes >= self._serve_bytes:
                    since_tend = 0
                    gather = True
                    self._tend()
                    self._walker.clock(times(self._clock.time_us()))
            elif size == 0:
                if self._stream.wait(0):
                    continue
                self._tend()
                if gather:
                    gather = False
                    time.sleep(_GATHER_SECONDS)
                busy = since_tend or not self._progress.settled
                since_tend = 0
                self._stream.wait(_WAIT_MS_BUSY if busy else _WAIT_MS_IDLE)
                self._walker.clock(times(self._clock.time_us()))
            else:
                raise self._stream.ended()

    def look_ahead(self) -> Sequence[bytes]:
        """The messages that have arrived already, kept for their turn."""
        get, ahead = self._stream.get, self._ahead
        waiting = sum(map(len, ahead))
        while len(ahead) < _AHEAD_MESSAGES and waiting < _AHEAD_BYTES and not self._ended:
            size, message = get(1)
            if size > 0:
                ahead.append(bytes(message))
                waiting += size
            elif size < 0:
                self._ended = True
            elif not self._stream.wait(0):
                break
        return ahead

    def _record(self, message: bytes) -> None:
        if self._begin is not None:
            result = self._walk(message)
            if result != OTHER:
                return
        record = wal2json.decode(message, XLOG_HEADER)
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
            case LogicalMessage():
                pass

    def _walk(self, message: bytes) -> int:
        walker = self._walker
        try:
            result = walker.row(message, XLOG_HEADER, self._ordinal + 1)
        except FormError as error:
            result = self._again(message, error)
        else:
            if result == SHAPE:
                result = self._again(message, None)
            elif walker.suspects and result not in (OTHER, DELETE):
                result = self._unhide(message)
        if result == RECORD:
            self._ordinal += 1
            if self._headers:
                self._send_with_headers(walker.topic, walker.key, walker.value, self._headers)
                self._headers = []
            else:
                self._send(walker.topic, walker.key, walker.value)
        elif result == DELETE:
            self._ordinal += 1
            self._send(walker.topic, walker.key, walker.value)
            self._tombstone(walker.topic, walker.key)
        elif result == KEY_CHANGE:
            self._key_change()
        return result

    def _again(self, message: bytes, error: FormError | None) -> int:
        """The row does not fit its plan: find its shape, then walk it once more."""
        record = wal2json.decode(message, XLOG_HEADER)
        if not isinstance(record, RowShape):
            return OTHER
        shape, missing = self._tables.reshape(self._catalog, record)
        if missing:
            try:
                message, self._headers = self._completion.unchanged(message, XLOG_HEADER, shape, missing, record.lsn)
            except ColumnGone:
                shape, missing = self._tables.reshape(self._catalog, record, look=True)
                if missing:
                    message, self._headers = self._completion.stand_ins(message, XLOG_HEADER, shape, missing)
        result = self._walk_again(message, shape, record.lsn, error)
        return self._unhide(message) if self._walker.suspects and result != DELETE else result

    def _unhide(self, message: bytes) -> int:
        """A number is null that may be a NaN: read it again, walk the completed row."""
        lsn = Lsn(self._walker.lsn)
        shape = self._tables.walked(self._walker.plan())
        message, headers = self._completion.hidden(message, XLOG_HEADER, shape, lsn)
        self._headers = self._headers + headers
        return self._walk_again(message, shape, lsn, None)

    def _walk_again(self, message: bytes, shape: Shape, lsn: Lsn, error: FormError | None) -> int:
        try:
            result = self._walker.row(message, XLOG_HEADER, self._ordinal + 1)
        except FormError as second:
            raise self._refused(shape.relation, lsn, second) from (error or second)
        if result in (SHAPE, OTHER):
            raise DecodeError(
                f"a row of {shape.relation.qualified_name} at {lsn} does not match the shape that it names",
                remedy="report it with the plugin's version; table.exclude.list leaves the table out",
            )
        return result

    def _refused(self, relation: Relation, lsn: Lsn, error: FormError) -> ConversionError:
        column = self._walker.column
        name = relation.columns[column].name if 0 <= column < len(relation.columns) else "?"
        return ConversionError(
            f"table {relation.qualified_name}, column {name}, at {lsn}: {error.reason}", remedy=error.remedy
        )

    def _send(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        group = self._group
        assert group is not None
        size = (len(key) if key else 0) + (len(value) if value else 0)
        try:
            self._sink.produce(topic, value, key, -1, group.ack)
        except (KafkaException, BufferError) as error:
            raise map_kafka_error(error, f"topic {topic}, a record of {size} bytes at {self._at()}") from error
        self._progress.tracker.add(group, size)
        self._unserved_bytes += size
        if group.pending >= _PART_RECORDS:
            self._progress.tracker.close(group)
            self._group = self._progress.tracker.open()

    def _tombstone(self, topic: str, key: bytes | None) -> None:
        if key is not None and self._settings.tombstones_on_delete:
            self._send(topic, key, None)

    def _key_change(self) -> None:
        """A change of the key: delete of the old, tombstone, create of the new, in this order."""
        walker = self._walker
        topic, old, new = walker.topic, walker.old_key, walker.key
        assert old is not None
        assert new is not None
        self._ordinal += 2
        headers, self._headers = self._headers, []
        self._send_with_headers(topic, old, walker.old_value, [("__debezium.newkey", new)])
        self._tombstone(topic, old)
        self._send_with_headers(topic, new, walker.value, [("__debezium.oldkey", old), *headers])

    def _send_with_headers(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        group = self._group
        assert group is not None
        self._sink.send(topic, key, value, group, headers=headers)

    def _open(self, begin: Begin) -> None:
        self._begin = begin
        self._ordinal = 0
        self._group = self._progress.tracker.open()
        self._parts = parts = self._block.transaction(
            record_head=begin.record_head,
            xid=begin.xid,
            commit_lsn=begin.commit_lsn,
            commit_us=begin.commit_us,
            previous=self._previous_commit,
        )
        self._walker.begin(
            record_head=parts.record_head,
            source_head=parts.source_head,
            sequence_head=parts.sequence_head,
            source_times=parts.source_times,
            source_transaction=parts.source_transaction,
            source_commit=parts.source_commit,
        )

    def _close(self, commit: Commit) -> None:
        begin, group = self._begin, self._group
        if begin is None or group is None:
            raise DecodeError(f"a commit at {commit.commit_lsn} without its begin", remedy="report it")
        self._begin = self._group = None
        self._previous_commit = commit.commit_lsn
        self._counters.events += self._ordinal
        self._counters.transactions += 1
        self._stream.note(commit.next_lsn)
        self._progress.committed(Committed(commit.next_lsn, commit.commit_lsn, begin.xid, begin.commit_us))
        self._progress.tracker.close(group, commit.next_lsn)
        if self._target is not None and commit.next_lsn >= self._target:
            self._reached = True

    def _truncate(self, record: Truncate) -> None:
        """One event a table, to every partition of its topic with the same position."""
        assert self._parts is not None
        assert self._begin is not None
        assert self._group is not None
        self._ordinal += 1
        shape = self._tables.current(self._catalog, record.schema, record.table)
        source = self._block.whole(
            self._parts,
            schema=shape.relation.schema,
            table=shape.relation.name,
            lsn=record.lsn,
            position=Position(self._begin.commit_lsn, self._ordinal),
        )
        value = truncate_value(shape.plan.value_frame, source, times(self._clock.time_us()))
        for partition in range(self._sink.partitions_of(shape.plan.topic)):
            self._sink.send(shape.plan.topic, None, value, self._group, partition=partition)

    def _keepalive(self, message: memoryview) -> None:
        wal_end = self._stream.keepalive(message)
        if self._begin is not None:
            return
        reached = self._target is not None and wal_end >= self._target
        self._progress.kept_alive(wal_end, urgent=self._stream.reply_requested or reached)
        if reached:
            self._reached = True

    def _tend(self) -> None:
        """Serve acks, confirm what is safe, keep the connection alive, wait while too much is in flight."""
        self._unserved_bytes = 0
        self._serve()
        while self._progress.tracker.in_flight_bytes >= self._limit and not self._stop.requested:
            self._sink.wait(0.05)
            self._serve()

    def _serve(self) -> None:
        progress, stream = self._progress, self._stream
        self._sink.poll()
        safe = progress.step()
        if progress.failure is not None:
            raise map_kafka_error(progress.failure, "delivering records")
        fatal = self._sink.fatal()
        if fatal is not None:
            raise fatal
        self._refuse_stall()
        silent = stream.silent_seconds
        if (
            safe > stream.confirmed
            or silent >= self._status_seconds
            or (stream.reply_requested and silent >= _REPLY_SECONDS)
        ):
            stream.confirm(safe)
        elif self._target is not None and silent >= _REPLY_SECONDS:
            stream.confirm(safe, ask=True)

    def _refuse_stall(self) -> None:
        """A broker that acks nothing is a temporary fault, and errors.retry.timeout its limit."""
        tracker, timeout = self._progress.tracker, self._settings.errors_retry_timeout
        now = self._clock.monotonic()
        if tracker.resolved != self._resolved or not tracker.in_flight_bytes:
            self._resolved = tracker.resolved
            self._resolved_at = now
        elif 0 <= timeout < (now - self._resolved_at) * 1000:
            raise KafkaUnavailable(
                f"Kafka has acked nothing for {now - self._resolved_at:.0f} s",
                remedy="are the brokers up, and bootstrap.servers right?",
            )

    def _at(self) -> str:
        begin = self._begin
        return f"commit LSN {begin.commit_lsn}, ordinal {self._ordinal}" if begin else "no transaction"
