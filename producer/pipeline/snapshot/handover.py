"""From nothing, or from where we were, to a position to stream from: slot, snapshot, marks.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Snapshot".
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from producer import crash_points, observe
from producer.errors import KafkaUnavailable, OperatorError, ProducerError, SlotInUse, SlotLost
from producer.lsn import ZERO, Lsn
from producer.pipeline import exactly_once, stages
from producer.pipeline.connector import Connector
from producer.pipeline.health import standing
from producer.pipeline.reconcile import topic_keys
from producer.pipeline.snapshot.copy import SnapshotCopy
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.snapshot.unread import Unread
from producer.pipeline.tables.published import Published
from producer.pipeline.tables.tables import Tables
from producer.sink.offsets import Loaded, Offset, OffsetsTopic
from producer.sink.protocol import Sink
from producer.source import slot, start_lock, timeline
from producer.source.catalog import Table
from producer.source.snapshot import Snapshot
from producer.source.wire import Connection, Session, connect_replication

_log = observe.logger("producer.handover")

# The modes in which tables that were not read yet are.
_COPIES = ("initial", "when_needed", "always")


@dataclass(frozen=True, slots=True)
class Source:
    """What is known once the source was looked at."""

    connection: Session
    identity: slot.Identity
    found: slot.Slot | None
    loaded: Loaded
    published: Published | None = None
    """With pgoutput only."""
    lost: SlotLost | None = None
    """Why the slot is to be given up, whatever else it looks like."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where the stream begins."""

    offset: Offset
    later: list[Unread]
    """What is to be read beside it."""


class Handover:
    """Brings one connector to where its stream begins."""

    def __init__(
        self, connector: Connector, source: Source, tables: Tables, sink: Sink, offsets: OffsetsTopic, marks: Marks
    ) -> None:
        self._connector = connector
        self._source = source
        self._tables = tables
        self._sink = sink
        self._offsets = offsets
        self._marks = marks

    def position(self, *, again: bool) -> Start | None:
        """Where to stream from, and what is to be read beside the stream; None when stopped before.

        `again`: everything is read, whatever was read before.

        Raises:
            SlotLost: the slot cannot give what follows our position, and snapshot.mode is not when_needed.
        """
        settings, stored, found = self._connector.settings, self._source.loaded.offset, self._source.found
        chosen = self._tables.chosen
        wants_rows = settings.snapshot_mode in _COPIES
        lost = self._source.lost or standing.lost(
            stored, self._source.identity, found, settings.slot_name, self._history
        )
        if lost is not None:
            if settings.snapshot_mode != "when_needed":
                raise lost
            return self._recover(lost)
        if stored is not None:
            # Promoted since, and nothing is missing.
            stored = replace(stored, timeline=self._source.identity.timeline)
            return self._go_on(stored, again=again, wants_rows=wants_rows)
        # Of a position that was forgotten.
        self._forget_marks()
        if found is not None:
            offset = self._offset(found.confirmed_lsn or ZERO, running=wants_rows)
            self._store(offset)
            return Start(offset, [Unread(table) for table in chosen] if wants_rows else [])
        # What could refuse a schema is asked before the slot exists; of many tables, of the first ones.
        with observe.waiting("the registry is asked for the first tables' schemas"):
            self._tables.foresee(in_order(chosen))
        return self._make_slot(wants_rows=wants_rows)

    def _go_on(self, stored: Offset, *, again: bool, wants_rows: bool) -> Start:
        """From a stored position: chunks and tables that have a mark are not read again."""
        loaded = self._source.loaded
        if again:
            self._demand_unread()
            self._forget_marks()
            loaded = replace(loaded, tables={}, chunks={})
            stored = replace(stored, snapshot="running")
            self._store(stored)
        names = {table.qualified_name for table in self._tables.chosen}
        back = {name for name, mark in loaded.tables.items() if mark.left} & names
        wanted = self._tables.unread(self._source.connection, loaded.tables.keys() - back)
        # Interrupted, or tables came into the selection since. Without a snapshot at all, none is due.
        if stored.snapshot is None or not wants_rows:
            return Start(stored, [])
        self._marks.left(loaded.tables.keys() - names)
        if back:
            # Every table that is read now is compared then: refused before anything says so.
            for table in filter(self._tables.keyed, wanted):
                topic_keys.demand_whole(self._connector.settings, table)
            self._demand_unread()
            stored = self._back(stored, [table for table in wanted if table.qualified_name in back])
        repeated = [table.qualified_name for table in wanted if not self._tables.keyed(table)]
        if repeated and stored.snapshot == "running" and not again and self._sink.transactions is None:
            _log.warning("tables without a key are read whole: rows that went out before come again", tables=repeated)
        later = [self._marks.unread(table, loaded) for table in wanted]
        self._marks.forget_others(later, loaded)
        return Start(stored, later)

    def _demand_unread(self) -> None:
        """Before a position is stored that is as it was: whoever reads the slot is ahead of it.

        Raises:
            SlotInUse: another reads the slot, or looks where to begin.
        """
        connection, name = self._source.connection, self._connector.settings.slot_name
        # Our own reader of before may not have left yet.
        slot.await_reader_gone(connection, name, self._connector.clock)
        start_lock.take(connection, self._connector.server, name)
        reader = slot.reader(connection, name)
        if reader is not None:
            raise SlotInUse(
                f"the replication slot {name} is read by pid {reader}",
                remedy="stop the other reader of the slot, or wait: we take over when it ends",
            )

    def _back(self, stored: Offset, tables: Sequence[Table]) -> Offset:
        """Tables are selected again: of what was changed meanwhile only a comparison with their topics tells."""
        names = [table.qualified_name for table in tables]
        _log.info("tables are selected again: they are read, and compared with their topics", tables=names)
        try:
            topic_keys.demand(self._sink, [self._tables.topic_of(table) for table in tables])
        except OperatorError as error:
            _log.warning(
                "rows that were deleted while their table was not selected may stay in its topic", tables=names,
                reason=error.message,
            )  # fmt: skip
        stored = replace(stored, snapshot="running", reconcile=True)
        self._store(stored)
        return stored

    def _forget_marks(self) -> None:
        connector = self._connector
        stages.forget_marks(self._offsets, self._sink, self._source.loaded, connector.clock, connector.stop)

    def copy_only(self) -> None:
        """snapshot.mode=initial_only: no slot, no position."""
        position = self._source.identity.insert_lsn or ZERO
        self._tables.foresee(in_order(self._tables.chosen))
        wanted = [Unread(table) for table in self._tables.chosen]
        first_reading = True
        while wanted and not self._connector.stop.requested:
            with contextlib.closing(self._snapshot([unread.table for unread in wanted])) as snapshot:
                wanted = self._read(wanted, position, snapshot, None, first_reading=first_reading)
            first_reading = False

    def _make_slot(self, *, wants_rows: bool) -> Start | None:
        """Slot and snapshot together; a slot whose start fails is dropped again, unless its position may be stored."""
        settings, server = self._connector.settings, self._connector.server
        start_lock.take(self._source.connection, server, settings.slot_name)
        with ExitStack() as stack:
            replication = connect_replication(server)
            stack.callback(replication.close)
            made = self._create(replication)
            crash_points.reach("slot_made")
            written = False
            try:
                offset = self._offset(made.consistent_point, running=wants_rows)
                snapshot = None
                if wants_rows:
                    snapshot = self._snapshot(self._tables.chosen, made.snapshot_name)
                    stack.callback(snapshot.close)
                replication.close()
                exactly_once.own(
                    self._sink, self._offsets, self._source.loaded, self._connector.clock, self._connector.stop
                )
                written = True
                self._store(offset)
            except BaseException as error:
                replication.close()
                # Not acked in time, it may be there all the same: without the slot the next start would be refused.
                if not (written and isinstance(error, KafkaUnavailable)):
                    self._drop_quietly(settings.slot_name)
                raise
            if self._source.published is not None:
                # Before any table's mark: one that is taken out of it while they are copied is known to have been in.
                self._source.published.remember(self._offsets)
            _log.info("the slot was made", slot=settings.slot_name, consistent_point=str(made.consistent_point))
            return Start(offset, []) if snapshot is None else self._copy(offset, snapshot)

    def _create(self, replication: Connection) -> slot.NewSlot:
        settings = self._connector.settings
        with (
            self._connector.stop.interrupts(lambda: slot.cut_short(replication)),
            observe.waiting("the slot is made once older transactions have ended", slot=settings.slot_name),
        ):
            return slot.create(
                replication, self._connector.server, settings.slot_name, settings.plugin_name,
                failover=settings.slot_failover,
            )  # fmt: skip

    def _recover(self, lost: SlotLost) -> Start:
        """snapshot.mode=when_needed: a new slot, every table is read again beside its stream, what has gone is deleted.

        Whatever ends this half way, the next start finds the slot as lost as before, or made anew.

        Raises:
            OperatorError: what a topic holds cannot be told; nothing was changed.
        """
        connection, name = self._source.connection, self._connector.settings.slot_name
        chosen = self._tables.chosen
        compared = [table for table in chosen if self._tables.keyed(table)]
        for table in compared:
            topic_keys.demand_whole(self._connector.settings, table)
        topic_keys.demand(self._sink, [self._tables.topic_of(table) for table in compared])
        start_lock.take(connection, self._connector.server, name)
        _log.warning("the slot is made anew, and every table is read again", reason=lost.message)
        slot.await_reader_gone(connection, name, self._connector.clock)
        slot.drop(connection, self._connector.server, name)
        with contextlib.closing(connect_replication(self._connector.server)) as replication:
            made = self._create(replication)
        exactly_once.own(self._sink, self._offsets, self._source.loaded, self._connector.clock, self._connector.stop)
        offset = replace(self._offset(made.consistent_point, running=True), reconcile=True)
        stages.begin_anew(
            self._offsets, self._sink, self._source.loaded, offset, self._connector.clock, self._connector.stop
        )
        self._tables.recall(self._offsets, Loaded())
        return Start(offset, [Unread(table) for table in self._tables.unread(connection, ())])

    def _history(self, line: int) -> list[timeline.Branch] | None:
        return timeline.history(self._connector.server, line)

    def _copy(self, offset: Offset, snapshot: Snapshot) -> Start | None:
        """The first reading, under the slot's own snapshot; what that cannot show is read later."""
        # Where the rows stand in the stream: everything from here on follows them.
        wanted = [Unread(table) for table in self._tables.chosen]
        unseen = self._read(wanted, offset.lsn, snapshot, self._marks)
        if self._connector.stop.requested:
            return None
        if self._connector.retention.pauses and unseen:
            left = [unread.table.qualified_name for unread in unseen]
            _log.warning(
                "the snapshot is paused, the slot holds back too much: the stream goes first", tables_left=left
            )
        if not unseen:
            crash_points.reach("snapshot_done")
            self._tables.were_read()
            offset = replace(offset, snapshot="completed")
            self._store(offset)
            _log.info("the snapshot is complete", rows=self._connector.counters.snapshot_rows, tables=len(wanted))
        return Start(offset, unseen)

    def _read(
        self,
        wanted: list[Unread],
        position: Lsn,
        snapshot: Snapshot,
        marks: Marks | None,
        *,
        first_reading: bool = True,
    ) -> list[Unread]:
        """Copy the tables; those that the snapshot cannot show any more, or has no time for, are given back."""
        retention, connection = self._connector.retention, self._source.connection
        self._connector.counters.condition.enter("snapshot", self._connector.clock.monotonic())
        tables = [unread.table for unread in wanted]
        progress = observe.snapshot_progress(
            self._connector.clock, tables=len(tables), rows=sum(table.rows for table in tables)
        )
        with contextlib.closing(progress) as bars:
            copy = SnapshotCopy(
                connector=self._connector, tables=self._tables, sink=self._sink, marks=marks, bars=bars,
                position=position, first_reading=first_reading, meanwhile=lambda: retention.watch(connection),
                gives_way=lambda: first_reading and retention.pauses,
            )  # fmt: skip
            return copy.run(connection, snapshot.readers, wanted)

    def _snapshot(self, tables: Sequence[Table], name: str | None = None) -> Snapshot:
        """With as many readers as may be, and as there are chunks for, by the planner's estimates."""
        settings = self._connector.settings
        pieces = sum(max(1, math.ceil(table.rows / settings.snapshot_chunk_rows)) for table in tables)
        return Snapshot(self._connector.server, min(settings.snapshot_max_threads, max(pieces, 1)), name)

    def _drop_quietly(self, name: str) -> None:
        try:
            # The session that is there already: a new one may be what was refused.
            connection = self._source.connection
            slot.await_reader_gone(connection, name, self._connector.clock)
            slot.drop(connection, self._connector.server, name)
        except ProducerError as error:
            _log.error("the slot of a failed start could not be dropped", slot=name, reason=error.message)

    def _offset(self, lsn: Lsn, *, running: bool) -> Offset:
        return Offset(
            lsn=lsn,
            slot=self._connector.settings.slot_name,
            system_id=self._source.identity.system_id,
            timeline=self._source.identity.timeline,
            snapshot="running" if running else None,
            consistent_point=lsn,
        )

    def _store(self, offset: Offset) -> None:
        """Write a position and wait for its ack."""
        stages.write_and_wait(self._offsets, self._sink, offset, self._connector.clock, self._connector.stop)


def in_order(tables: Iterable[Table]) -> list[Table]:
    """As they are copied: the largest first."""
    return sorted(tables, key=lambda table: table.rows, reverse=True)
