"""Where a later reading's rows go out: in the midst of the stream, behind all that is acked.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Snapshot", "Reconcile".
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from producer.events import Position
from producer.lsn import Lsn
from producer.observe import SnapshotProgress
from producer.pipeline.connector import Connector
from producer.pipeline.exactly_once import CommittedProgress
from producer.pipeline.progress import Progress
from producer.pipeline.reconcile import topic_keys
from producer.pipeline.reconcile.reconciliation import Reconciliation
from producer.pipeline.snapshot.copy import SnapshotCopy
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.snapshot.unread import Unread
from producer.pipeline.stream.upkeep import Upkeep
from producer.pipeline.tables.tables import Tables
from producer.sink.protocol import Sink
from producer.source.catalog import Table
from producer.source.snapshot import TableReader
from producer.source.wire import Connection
from producer.transcode.source_block import times

_FLUSH_SECONDS = 0.005


class Splicing:
    """Copies chunks of tables to where the stream is; `last` is the last event that was sent."""

    def __init__(
        self,
        *,
        connector: Connector,
        catalog: Connection,
        tables: Tables,
        sink: Sink,
        marks: Marks,
        bars: SnapshotProgress,
        progress: Progress,
        upkeep: Upkeep,
        last: Callable[[], Position | None],
    ) -> None:
        self._connector = connector
        self._catalog = catalog
        self._tables = tables
        self._sink = sink
        self._marks = marks
        self._bars = bars
        self._progress = progress
        self._exactly = progress if isinstance(progress, CommittedProgress) else None
        self._upkeep = upkeep
        self._last = last
        self._repairs = connector.repairs
        self._clock = connector.clock
        self._stop = connector.stop
        self._walker = connector.walker

    def splice(
        self, reader: TableReader, unread: Unread, at: Lsn, leaves_out: Callable[[bytes | None], bool] | None
    ) -> bool:
        """Copy the next chunk of a table to where the stream is; False when told to stop, or it cannot be shown."""
        # What came again after a crash would be older than the rows: nothing before them may come again.
        if self._exactly is not None:
            self._exactly.stand(self._last())
            self._exactly.end()
        while not self._progress.settled:
            if self._stop.requested:
                return False
            self._sink.flush(_FLUSH_SECONDS)
            self._upkeep.serve()
        whole = False
        names = unread.table.schema, unread.table.name
        leaves_out = self._repairs.leaves_out(names, leaves_out)
        with ExitStack() as stack:
            compared = self._compared(stack, unread.table, at, leaves_out)
            copy = SnapshotCopy(
                connector=self._connector, tables=self._tables, sink=self._sink, marks=self._marks, bars=self._bars,
                position=at, first_reading=False, leaves_out=compared.leaves_out if compared else leaves_out,
                one_chunk=True, meanwhile=self._upkeep.stay_alive,
                before_mark=compared.delete_rest if compared else None,
            )  # fmt: skip
            try:
                unseen = copy.run(self._catalog, [reader], [unread])
                whole = not self._stop.requested
            finally:
                if not whole:
                    self._progress.give_up()
        self._walker.clock(times(self._clock.time_us()))
        if whole and not unseen and not unread.waiting:
            self._repairs.done(names)
        return not unseen and not self._stop.requested

    def _compared(
        self, stack: ExitStack, table: Table, at: Lsn, leaves_out: Callable[[bytes | None], bool] | None
    ) -> Reconciliation | None:
        """The comparison of the table with its topic, where one is due: all that was handed over is acked."""
        reconciles = self._progress.position.reconcile or (table.schema, table.name) in self._repairs
        shape = self._tables.prepare(self._catalog, [table]).get(table.oid) if reconciles else None
        settings = self._connector.settings
        if shape is None or not shape.plan.key or "d" in settings.skipped_operations:
            return None
        topic_keys.demand_whole(settings, table)
        compared = Reconciliation(
            connector=self._connector, tables=self._tables, sink=self._sink, shape=shape, at=at,
            leaves_out=leaves_out, meanwhile=self._upkeep.serve,
        )  # fmt: skip
        return stack.enter_context(compared)
