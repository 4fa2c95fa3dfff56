"""From nothing, or from where we were, to a position to stream from: slot, snapshot, marks.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Snapshot".
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from producer import observe
from producer.clock import Clock
from producer.errors import ProducerError, SlotLost
from producer.lsn import ZERO, Lsn
from producer.pipeline import stages
from producer.pipeline.connector import Connector
from producer.pipeline.snapshot.copy import SnapshotCopy, in_order
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.snapshot.unread import Unread
from producer.pipeline.tables.tables import Tables
from producer.sink.offsets import Loaded, Offset, OffsetsTopic
from producer.sink.protocol import Sink
from producer.source import slot
from producer.source.snapshot import Snapshot
from producer.source.wire import Connection, connect_replication

_log = observe.logger("producer.handover")


@dataclass(frozen=True, slots=True)
class Source:
    """What is known once the source was looked at."""

    connection: Connection
    identity: slot.Identity
    found: slot.Slot | None
    loaded: Loaded


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
        """
        stored, found = self._source.loaded.offset, self._source.found
        chosen = self._tables.chosen
        wants_rows = self._connector.settings.snapshot_mode in ("initial", "always")
        if stored is not None:
            self._compare(stored)
            return self._go_on(stored, again=again, wants_rows=wants_rows)
        # Of a position that was forgotten.
        self._forget_marks()
        if found is not None:
            offset = self._offset(found.confirmed_lsn or ZERO, running=wants_rows)
            self._store(offset)
            return Start(offset, [Unread(table) for table in chosen] if wants_rows else [])
        # What could refuse a schema is asked before the slot exists; of many tables, of the first ones.
        self._tables.foresee(in_order(chosen))
        return self._make_slot(wants_rows=wants_rows)

    def _go_on(self, stored: Offset, *, again: bool, wants_rows: bool) -> Start:
        """From a stored position: chunks and tables that have a mark are not read again."""
        loaded = self._source.loaded
        if again:
            self._forget_marks()
            loaded = replace(loaded, tables={}, chunks={})
            stored = replace(stored, snapshot="running")
            self._store(stored)
        wanted = self._tables.unread(self._source.connection, loaded.tables.keys())
        # Interrupted, or tables came into the selection since. Without a snapshot at all, none is due.
        if stored.snapshot is None or not wants_rows:
            return Start(stored, [])
        repeated = [table.qualified_name for table in wanted if not self._tables.keyed(table)]
        if repeated and stored.snapshot == "running" and not again:
            _log.warning("tables without a key are read whole: rows that went out before come again", tables=repeated)
        later = [self._marks.unread(table, loaded) for table in wanted]
        self._marks.forget_others(later, loaded)
        return Start(stored, later)

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
            with contextlib.closing(self._snapshot(len(wanted))) as snapshot:
                wanted = self._read(wanted, position, snapshot, None, first_reading=first_reading)
            first_reading = False

    def _make_slot(self, *, wants_rows: bool) -> Start | None:
        """Slot and snapshot together; a slot whose start fails is dropped again."""
        settings, server = self._connector.settings, self._connector.server
        with ExitStack() as stack:
            replication = connect_replication(server)
            stack.callback(replication.close)
            made = slot.create(replication, server, settings.slot_name, settings.plugin_name)
            try:
                offset = self._offset(made.consistent_point, running=wants_rows)
                snapshot = None
                if wants_rows:
                    snapshot = self._snapshot(len(self._tables.chosen), made.snapshot_name)
                    stack.callback(snapshot.close)
                replication.close()
                self._store(offset)
            except BaseException:
                replication.close()
                self._drop_quietly(settings.slot_name)
                raise
            _log.info("the slot was made", slot=settings.slot_name, consistent_point=str(made.consistent_point))
            return Start(offset, []) if snapshot is None else self._copy(offset, snapshot)

    def _copy(self, offset: Offset, snapshot: Snapshot) -> Start | None:
        """The first reading, under the slot's own snapshot; what that cannot show is read later."""
        # Where the rows stand in the stream: everything from here on follows them.
        wanted = [Unread(table) for table in self._tables.chosen]
        unseen = self._read(wanted, offset.lsn, snapshot, self._marks)
        if self._connector.stop.requested:
            return None
        if not unseen:
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
        """Copy the tables; those that the snapshot cannot show any more are given back."""
        with self._bars() as bars:
            copy = SnapshotCopy(
                connector=self._connector, tables=self._tables, sink=self._sink, marks=marks, bars=bars,
                position=position, first_reading=first_reading,
            )  # fmt: skip
            return copy.run(self._source.connection, snapshot.readers, wanted)

    def _snapshot(self, tables: int, name: str | None = None) -> Snapshot:
        readers = min(self._connector.settings.snapshot_max_threads, max(tables, 1))
        return Snapshot(self._connector.server, readers, name)

    def _drop_quietly(self, name: str) -> None:
        try:
            # The session that is there already: a new one may be what was refused.
            connection = self._source.connection
            await_reader_gone(connection, name, self._connector.clock)
            slot.drop(connection, self._connector.server, name)
        except ProducerError as error:
            _log.error("the slot of a failed start could not be dropped", slot=name, reason=error.message)

    def _compare(self, stored: Offset) -> None:
        """Refuse a slot that cannot give what follows our position.

        Raises:
            SlotLost: gone, moved forward, or of another server.
        """
        name = self._connector.settings.slot_name
        remedy = (
            "`pg-producer slot drop` (it forgets the stored position too), then run again: a new snapshot is "
            "taken; changes between the stored position and now are not in the log any more"
        )
        if stored.system_id and stored.system_id != self._source.identity.system_id:
            raise SlotLost(
                f"the stored position {stored.lsn} belongs to another server (system id {stored.system_id}, "
                f"here {self._source.identity.system_id})",
                remedy=remedy,
            )
        if self._source.found is None:
            raise SlotLost(
                f"the replication slot {name} is gone, and the stored position is {stored.lsn}", remedy=remedy
            )
        confirmed = self._source.found.confirmed_lsn or ZERO
        if confirmed > stored.lsn:
            raise SlotLost(
                f"the replication slot {name} stands at {confirmed}, ahead of our position {stored.lsn}: "
                "somebody moved it or made it anew, and what lies between is gone",
                remedy=remedy,
            )

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

    @contextlib.contextmanager
    def _bars(self) -> Iterator[observe.SnapshotProgress]:
        bars = sys.stderr.isatty() and self._connector.settings.log_format == "text"
        with observe.snapshot_progress(self._connector.clock, bars=bars) as progress:
            yield progress


def await_reader_gone(connection: Connection, name: str, clock: Clock) -> None:
    """Wait a moment for our own walsender to notice that we have left."""
    deadline = clock.monotonic() + 5
    while clock.monotonic() < deadline:
        found = slot.find(connection, name)
        if found is None or found.active_pid is None:
            return
        connection.execute(b"SELECT pg_sleep(0.05)")
