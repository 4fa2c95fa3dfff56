"""One full-table run: every selected table copied under one snapshot, and what has gone deleted from its topic.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Full table".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from producer import observe
from producer.errors import OperatorError
from producer.lsn import ZERO, Lsn
from producer.pipeline import exactly_once, stages
from producer.pipeline.connector import Connector
from producer.pipeline.full_table import interruption
from producer.pipeline.reconcile import topic_keys
from producer.pipeline.reconcile.reconciliation import Reconciliation
from producer.pipeline.snapshot.copy import Comparison, SnapshotCopy
from producer.pipeline.snapshot.handover import Source, in_order
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.snapshot.unread import Unread
from producer.pipeline.stop import Stopped
from producer.pipeline.tables.plans import Shape
from producer.pipeline.tables.tables import Tables
from producer.sink.offsets import Loaded, Offset, OffsetsTopic
from producer.sink.protocol import Sink
from producer.source import preflight, visibility
from producer.source.catalog import Table
from producer.source.run_lock import RunLock
from producer.source.snapshot import Snapshot

_log = observe.logger("producer.full_table")

_LOAD_SECONDS = 30.0
# For an answer beside the copy.
_ANSWER_SECONDS = 60.0


class FullTableRun:
    """Of one sink, and one look at the source.

    `again`: every table is copied, whatever an interrupted run has done. `started` is called once that is stored.
    """

    def __init__(
        self,
        *,
        connector: Connector,
        source: Source,
        tables: Tables,
        sink: Sink,
        offsets: OffsetsTopic,
        marks: Marks,
        again: bool,
        started: Callable[[], None],
    ) -> None:
        self._connector = connector
        self._settings = connector.settings
        self._stop = connector.stop
        self._source = source
        self._tables = tables
        self._sink = sink
        self._offsets = offsets
        self._marks = marks
        self._again = again
        self._started = started
        self._compares = "d" not in connector.settings.skipped_operations
        self._lock = RunLock(
            source.connection, connector.server, connector.clock,
            prefix=connector.settings.topic_prefix, name=connector.settings.name,
        )  # fmt: skip
        source.connection.answer_within(_ANSWER_SECONDS)

    def run(self) -> None:
        """Copy what is to be copied; the topics then hold what the tables held, unless we were told to stop.

        Raises:
            ProducerError: what ended it. Tables that are marked need not be copied again by the run's rest.
        """
        self._demand_comparable()
        self._tables.foresee(in_order(self._tables.chosen))
        # By the lock's owner only: another run may have stored its position while we looked.
        self._offsets.ensure(create=True)
        loaded = self._offsets.load(_LOAD_SECONDS, stable=self._sink.transactions is not None)
        refused = None if loaded.offset is None else interruption.among_a_stream(self._settings, loaded.offset)
        if refused is not None:
            raise refused
        exactly_once.own(self._sink, self._offsets, loaded, self._connector.clock, self._stop, self._lock.watch)
        offset, left = self._begin(loaded)
        first_reading = len(left) == len(self._tables.chosen)
        with contextlib.suppress(Stopped):
            while left and not self._stop.requested:
                offset, left = self._read(offset, left, first_reading=first_reading)
                first_reading = False
                if left:
                    _log.warning(
                        "some tables are read under a later snapshot: this run's view is of two moments",
                        tables=[table.qualified_name for table in left],
                    )
        if self._stop.requested:
            _log.info("told to stop in the midst of a full-table run: the next one goes on with what is left")
            return
        self._lock.demand()
        self._store(replace(offset, snapshot="completed"))
        counters = self._connector.counters
        _log.info(
            "the full-table run is complete", tables=len(self._tables.chosen), rows=counters.snapshot_rows,
            keys_deleted=counters.keys_deleted, position=str(offset.lsn),
        )  # fmt: skip

    def _demand_comparable(self) -> None:
        """Refuse what cannot be replaced, before anything is sent.

        Raises:
            OperatorError: a table without a key, or whose key is masked; a topic whose keys cannot be known.
        """
        # A partition's rows are its root's.
        relations = [one for one in self._tables.remember(self._source.connection) if one.logged_as is None]
        preflight.demand(preflight.keys(relations))
        if not self._compares:
            return
        topics = [self._tables.topic(relation.schema, relation.name) for relation in relations]
        for relation, topic in zip(relations, topics, strict=True):
            plan = self._tables.plans.trial(relation, topic, exact=True)
            masked = [plan.columns[place].name for place in plan.key if plan.columns[place].masked]
            if masked:
                raise OperatorError(
                    f"table {relation.qualified_name}: the key column {', '.join(masked)} is masked: the delete of a "
                    "row that has gone cannot be made from its key",
                    remedy="take the column's mask away, or name another key (message.key.columns)",
                )
        topic_keys.demand(self._sink, topics)

    def _begin(self, loaded: Loaded) -> tuple[Offset, list[Table]]:
        """Where this run begins, and what it is to copy."""
        chosen, identity, now = self._tables.chosen, self._source.identity, self._connector.clock.time_us()
        last = loaded.offset
        begun = Offset(
            lsn=ZERO if last is None else last.lsn, slot="", system_id=identity.system_id,
            timeline=identity.timeline, commit_us=now, snapshot="running",
        )  # fmt: skip
        if last is None or self._again or not interruption.goes_on(loaded, identity, now):
            return begun, list(chosen)
        done = interruption.finished(loaded, chosen)
        if not done:
            return begun, list(chosen)
        left = [table for table in chosen if table not in done]
        _log.warning(
            "the run that was interrupted is gone on with: its view is of two moments, of that run's begin and of now",
            tables_done=[table.qualified_name for table in done], tables_left=len(left),
            seconds_between=round((now - (last.commit_us or now)) / 1e6),
        )  # fmt: skip
        return last, left

    def _read(self, offset: Offset, wanted: Sequence[Table], *, first_reading: bool) -> tuple[Offset, list[Table]]:
        """Copy tables under one snapshot; those that it cannot show any more are given back."""
        connection = self._source.connection
        with ExitStack() as stack:
            snapshot = stack.enter_context(
                contextlib.closing(Snapshot(self._connector.server, self._settings.snapshot_max_threads))
            )
            # Behind all that the snapshot shows, and above every earlier run, whatever became of the server since.
            at = max(visibility.insert_lsn(connection), Lsn(offset.lsn + 1))
            offset = replace(offset, lsn=at, consistent_point=offset.consistent_point or at)
            self._store(offset)
            self._started()
            self._at_work()
            _log.info("a snapshot was taken", position=str(at), tables=len(wanted))
            progress = observe.snapshot_progress(
                self._connector.clock, tables=len(wanted), rows=sum(table.rows for table in wanted)
            )
            copy = SnapshotCopy(
                connector=self._connector, tables=self._tables, sink=self._sink, marks=self._marks,
                bars=stack.enter_context(contextlib.closing(progress)), position=at,
                first_reading=first_reading, meanwhile=self._lock.watch, compare=partial(self._compared, stack, at),
            )  # fmt: skip
            unseen = copy.run(connection, snapshot.readers, [Unread(table) for table in wanted])
            if not self._stop.requested:
                exactly_once.commit(self._sink, self._connector.clock, self._stop)
        return offset, [unread.table for unread in unseen]

    def _compared(self, stack: ExitStack, at: Lsn, shape: Shape) -> Comparison | None:
        """The table's comparison, its topic read; None: the topic holds nothing that could have gone."""
        if not self._compares:
            return None
        compared = Reconciliation(
            connector=self._connector, tables=self._tables, sink=self._sink, shape=shape, at=at, leaves_out=None,
            meanwhile=self._between,
        )  # fmt: skip
        return None if stack.enter_context(compared).empty else compared

    def _between(self) -> None:
        """While a topic is read, or deletes are on their way.

        Raises:
            Stopped: told to.
        """
        if self._stop.requested:
            raise Stopped
        self._sink.poll()
        self._lock.watch()
        self._at_work()

    def _at_work(self) -> None:
        """For whoever asks how we are: the reading of a topic ends by itself where Kafka is away."""
        self._connector.counters.condition.enter("snapshot", self._connector.clock.monotonic())

    def _store(self, offset: Offset) -> None:
        """Write the run's state and wait for its ack."""
        stages.write_and_wait(self._offsets, self._sink, offset, self._connector.clock, self._stop)
