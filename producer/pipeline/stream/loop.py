"""The hot loop: messages in, records out, acks to confirms; one thread, no queue.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Life of a record".
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from producer import observe
from producer.lsn import ZERO, Lsn
from producer.pipeline.connector import Connector
from producer.pipeline.exactly_once import CommittedProgress
from producer.pipeline.progress import Progress
from producer.pipeline.reconcile.comparisons import Comparisons
from producer.pipeline.reconcile.emptied import Emptied
from producer.pipeline.snapshot.later import LaterReadings
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.snapshot.unread import Unread
from producer.pipeline.stream.completion import Completion
from producer.pipeline.stream.dialects import Dialect
from producer.pipeline.stream.splicing import Splicing
from producer.pipeline.stream.transactions import Transactions
from producer.pipeline.stream.upkeep import Upkeep
from producer.pipeline.tables.published import Published
from producer.pipeline.tables.tables import Tables
from producer.sink.protocol import Sink
from producer.source import visibility
from producer.source.replication import KEEPALIVE, XLOG_DATA, ReplicationStream, data_start, sent_us
from producer.source.wire import Connection, explained
from producer.transcode.fast_path import EMPTY, ENDED, OTHER
from producer.transcode.source_block import times

_log = observe.logger("producer.stream")

# Acks are served, and limits looked at, after this many records.
_TEND_EVERY = 1000
# A reader that is always waiting doubles the walsender's cost: let a little gather first.
_GATHER_SECONDS = 0.001
# A stream that is less far behind does not wait for larger batches, but this long for each.
_BEHIND_US = 250_000
_FLUSH_SECONDS = 0.005
# Unless somebody has said how long it is to wait.
_LINGER_KEYS = frozenset({"linger.ms", "queue.buffering.max.ms"})
_WAIT_MS_BUSY = 5
_WAIT_MS_IDLE = 200
# How far we look ahead for rows that must be read again, to read them together.
_AHEAD_MESSAGES = 500
_AHEAD_BYTES = 1_000_000
# How often we look for tables that appeared in the selection.
_LOOK_SECONDS = 4.0


class StreamLoop:
    """Reads one replication stream until told to stop, or until `target` is reached."""

    def __init__(
        self,
        *,
        connector: Connector,
        stream: ReplicationStream,
        dialect: Dialect,
        catalog: Connection,
        tables: Tables,
        published: Published | None,
        sink: Sink,
        progress: Progress,
        previous_commit: Lsn | None,
        target: Lsn | None,
        status_seconds: float,
        started: Callable[[], None],
        marks: Marks,
        wanted: Sequence[Unread],
    ) -> None:
        settings = connector.settings
        self._connector = connector
        self._bars = observe.snapshot_progress(
            connector.clock, tables=len(wanted), rows=sum(unread.table.rows for unread in wanted)
        )
        start, end = progress.position.lsn, target or ZERO
        self._backlog = observe.Backlog(connector.clock, start, end) if end > start else None
        self._retention = connector.retention
        self._server = connector.server
        self._clock = connector.clock
        self._stop = connector.stop
        self._walker = connector.walker
        self._stream = stream
        self._sink = sink
        self._progress = progress
        self._exactly = progress if isinstance(progress, CommittedProgress) else None
        self._ending = False
        """The Kafka transaction is to end where the transaction that is open does: each message is looked at."""
        self._target = target
        self._started: Callable[[], None] | None = started
        self._wait_ms_idle = min(_WAIT_MS_IDLE, settings.heartbeat_interval_ms or _WAIT_MS_IDLE)
        self._limit = settings.max_queue_size_in_bytes
        # Looked at often enough that big rows cannot overshoot the limit by much.
        self._serve_bytes = self._limit // 8
        self._ahead: deque[bytes] = deque()
        self._kept_alive: Lsn | None = None
        """The end of a keep-alive that came too soon after another."""
        self._ended = False
        self._reached = False
        self._flushed_at = 0.0
        self._hurries = not settings.producer_override.keys() & _LINGER_KEYS
        self._tables = tables
        self._marks = marks
        self._published = published
        self._catalog = catalog
        self._looked_at = self._clock.monotonic()
        self._later = LaterReadings(
            server=connector.server,
            clock=connector.clock,
            catalog=catalog,
            wanted=wanted,
            marks=marks,
            topic=tables.topic_of,
            keyed=tables.keyed,
            unseen=connector.unseen,
            splice=lambda *of: self._splicing.splice(*of),
            ready=lambda table, others: published is None or published.ready(catalog, table, others),
        )
        self._repairs = connector.repairs
        for unread in wanted:
            # Whoever is read whole needs no repair.
            self._repairs.done((unread.table.schema, unread.table.name))
        for table in tables.chosen:
            if (table.schema, table.name) in self._repairs:
                self._later.want(Unread(table))
        self._upkeep = Upkeep(
            connector=connector,
            stream=stream,
            catalog=catalog,
            sink=sink,
            progress=progress,
            status_seconds=status_seconds,
            cut=lambda: self._transactions.cut(),
            last=lambda: self._transactions.last,
            asks=lambda: self._target is not None or self._later.pending,
        )
        self._splicing = Splicing(
            connector=connector, catalog=catalog, tables=tables, sink=sink, marks=marks, bars=self._bars,
            progress=progress, upkeep=self._upkeep, last=lambda: self._transactions.last,
        )  # fmt: skip
        self._comparisons = Comparisons(
            connector, catalog, tables, sink, marks, progress, self._later, self._upkeep.settle, self._upkeep.serve
        )
        self._transactions = Transactions(
            connector=connector,
            catalog=catalog,
            tables=tables,
            sink=sink,
            progress=progress,
            dialect=dialect,
            completion=Completion(
                connector.server,
                connector.clock,
                catalog,
                settings.unchanged_toast_handling,
                settings.unavailable_value_placeholder,
                lambda: dialect.ahead(self._look_ahead(), self._transactions.record_head),
                self._later,
            ),
            previous_commit=previous_commit,
            later=self._later,
            until=None if self._exactly is None else self._exactly.resumed,
            emptied=Emptied(connector, tables, sink, self._upkeep.settle, self._upkeep.await_acks, self._upkeep.serve),
            comparisons=self._comparisons,
        )

    def run(self) -> None:
        """Stream until stopped, until the target, or until another table is to be captured.

        Everything read was handed to the sink when it returns.

        Raises:
            ProducerError: what ended it; nothing unacked was confirmed.
        """
        try:
            self._run()
        finally:
            self._transactions.cut()
            if self._exactly is not None:
                # A message that ended it has sent nothing, but a BEGIN perhaps.
                self._exactly.stand(self._transactions.last)
                if self._transactions.half_announced:
                    self._exactly.give_up()

    def _run(self) -> None:
        stream, transactions = self._stream, self._transactions
        since_tend = 0
        self._comparisons.lost()
        if self._published is not None:
            self._comparisons.returned(self._published)
        self._walker.clock(times(self._clock.time_us()))
        while not self._stop.requested and not self._reached:
            # Before anything is read: what has come while we were stopped is a successor's.
            stream.refuse_lapse()
            ahead = bool(self._ahead)
            code, taken = transactions.run(
                self._next_ahead if ahead else stream.get,
                1 if self._ending else _TEND_EVERY - since_tend,
                max(1, self._serve_bytes - transactions.unserved_bytes),
            )
            since_tend += taken
            if taken or code == OTHER:
                self._upkeep.heard = True
            if taken and self._started is not None:
                # The server talks: what failed before is over.
                self._started()
                self._started = None
            if code == OTHER:
                self._take(transactions.message)
            elif code == ENDED or (self._ended and code == EMPTY and not ahead):
                raise stream.ended()
            elif code == EMPTY and not ahead:
                if stream.wait(0):
                    continue
                self._tend(quiet=not since_tend)
                busy = since_tend or not self._progress.settled
                if not (busy and self._hurry()) and since_tend:
                    time.sleep(_GATHER_SECONDS)
                since_tend = 0
                stream.wait(_WAIT_MS_BUSY if busy else self._wait_ms_idle)
                self._walker.clock(times(self._clock.time_us()))
            ended = self._ending and not transactions.open
            if ended or since_tend >= _TEND_EVERY or transactions.unserved_bytes >= self._serve_bytes:
                since_tend = 0
                self._tend()
                self._walker.clock(times(self._clock.time_us()))
        if not self._later.pending:
            # The last table may have been read since it was tended to.
            self._progress.snapshot_completed()

    def _hurry(self) -> bool:
        """Have Kafka's client send what lingers, unless the stream is behind; False when there was no need."""
        now = self._clock.monotonic()
        last = self._transactions.message
        # By the server's clock both times: ours may be another.
        behind = last[:1] == b"w" and sent_us(last) - self._transactions.commit_us > _BEHIND_US
        if behind or not self._hurries or now - self._flushed_at < _FLUSH_SECONDS:
            return False
        self._flushed_at = now
        self._sink.flush(_GATHER_SECONDS)
        return True

    def _take(self, message: bytes) -> None:
        """A message that is not plain."""
        if message[0] == XLOG_DATA:
            self._transactions.take(message)
        elif message[0] == KEEPALIVE:
            self._keepalive(message)

    def _next_ahead(self, _asynchronous: int) -> tuple[int, memoryview]:
        """The next of the messages that were looked at before their turn."""
        if not self._ahead:
            return 0, memoryview(b"")
        message = self._ahead.popleft()
        return len(message), memoryview(message)

    def close(self) -> None:
        """Give up what is being read beside the stream."""
        self._later.close()
        self._bars.close()
        if self._backlog is not None:
            self._backlog.close()

    def _look_ahead(self) -> Sequence[bytes]:
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

    def _keepalive(self, message: bytes) -> None:
        wal_end = self._stream.keepalive(message)
        if self._transactions.open:
            return
        self._transactions.cut()
        if self._later.due(wal_end):
            self._later.splice()
        reached = self._target is not None and wal_end >= self._target and not self._later.pending
        urgent = self._stream.reply_requested or reached
        self._kept_alive = None if self._progress.kept_alive(wal_end, urgent=urgent) else wal_end
        if reached:
            self._reached = True

    def _offer_again(self) -> None:
        """Take a keep-alive that came too soon; a transaction that was committed since is beyond it."""
        wal_end, transactions = self._kept_alive, self._transactions
        if wal_end is None or transactions.open:
            return
        if transactions.committed >= wal_end or self._progress.kept_alive(wal_end, urgent=False):
            self._kept_alive = None

    def _tend(self, *, quiet: bool = False) -> None:
        """Serve acks, confirm what is safe, keep the connection alive, wait while too much is in flight."""
        transactions = self._transactions
        if self._published is not None:
            # Before anything is stored or confirmed behind what the server left out.
            self._published.demand()
        transactions.cut()
        transactions.unserved_bytes = 0
        self._stream.note(transactions.committed)
        if self._backlog is not None:
            # Within a big transaction, only its rows' own places tell how far we are.
            last = transactions.message
            self._backlog.at(max(self._stream.received, data_start(last) if last[:1] == b"w" else ZERO))
        if self._target is not None and not transactions.open and transactions.committed >= self._target:
            self._reached = not self._later.pending
        self._offer_again()
        self._upkeep.serve()
        self._upkeep.watch()
        self._look_for_tables()
        if self._later.pending:
            if not self._retention.pauses:
                self._later.consider(max(self._stream.received, transactions.committed))
        else:
            self._bars.close()
            self._tables.were_read()
            self._progress.snapshot_completed()
        while self._progress.tracker.in_flight_bytes >= self._limit and not self._stop.requested:
            self._sink.flush(0.05)
            self._upkeep.serve()
            self._upkeep.watch()
        if self._exactly is not None:
            self._exactly.stand(transactions.last)
            due = self._exactly.due(transactions.within, quiet=quiet)
            self._ending = due == "at its end"
            if due == "now":
                self._upkeep.commit(self._exactly)

    def _look_for_tables(self) -> None:
        """Whoever comes into the selection is copied and streamed, whoever leaves it marked: by beginning again."""
        now = self._clock.monotonic()
        if now - self._looked_at < _LOOK_SECONDS or self._transactions.open:
            return
        self._looked_at = now
        with explained(self._server, "looking for new tables"):
            shown = visibility.snapshot(self._catalog)
            came, left = self._tables.moved(self._catalog)
            altered = self._published is not None and self._published.changed(self._catalog)
        self._comparisons.lost()
        unseen = self._connector.unseen
        unseen.difference_update([xid for xid in unseen if not visibility.unfinished(xid, shown)])
        if self._target is None:
            if came:
                _log.info("tables appeared in the selection", tables=[table.qualified_name for table in came])
            if left:
                # What is changed until they are back, which may be at once, is in no stream.
                self._marks.left(left)
                _log.info("tables left the selection", tables=sorted(left))
            self._reached |= bool(came or left)
        if altered and self._target is None:
            _log.info("the publication, or the identity of a table in it, has changed")
            self._reached = True
