"""A table was emptied: one event, in the form that its topic takes.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Reconcile".
"""

from __future__ import annotations

from collections.abc import Iterator

from producer.decode.wal2json import Truncate
from producer.events import Position
from producer.lsn import Lsn
from producer.pipeline.connector import Connector
from producer.pipeline.reconcile.comparisons import Comparisons
from producer.pipeline.reconcile.emptied import Emptied
from producer.pipeline.snapshot.later import LaterReadings
from producer.pipeline.tables.plans import Shape
from producer.pipeline.tables.tables import Tables
from producer.sink.protocol import Outlet
from producer.source.wire import Connection
from producer.transcode.source_block import Parts, times, truncate_value


class Truncates:
    """Of one stream."""

    def __init__(
        self,
        connector: Connector,
        catalog: Connection,
        tables: Tables,
        sink: Outlet,
        later: LaterReadings,
        emptied: Emptied,
        comparisons: Comparisons,
    ) -> None:
        self._clock = connector.clock
        self._block = connector.block
        self._walker = connector.walker
        self._catalog = catalog
        self._tables = tables
        self._sink = sink
        self._later = later
        self._emptied = emptied
        self._comparisons = comparisons
        self._root_at: Lsn | None = None
        """Where a table was emptied last: its partitions are with it."""

    def shape(self, record: Truncate, xid: int) -> Shape | None:
        """Of the table whose event is due; None: none is, or its partition has to be compared. Between two events.

        Raises:
            ConversionError: the table is gone.
            UnsupportedEvent: which keys of a partition are gone cannot be told.
        """
        if not self._tables.wants(self._catalog, record.schema, record.table):
            return None
        if self._tables.is_partition(self._catalog, record.schema, record.table):
            # Emptied with its root, whose event says it all; or alone.
            if record.lsn != self._root_at:
                self._comparisons.truncated((record.schema, record.table), record.lsn, xid)
            return None
        self._root_at = record.lsn
        shape = self._tables.current(self._catalog, record.schema, record.table)
        self._later.truncated(shape.plan.topic, xid)
        if self._emptied.compacted(shape.plan.topic):
            self._emptied.settle()
        return shape

    def records(
        self, shape: Shape, parts: Parts, lsn: Lsn, at: Position
    ) -> Iterator[tuple[int, bytes | None, bytes | None]]:
        """Partition, key and value of the event's records, all at one position."""
        source = self._block.whole(parts, schema=shape.relation.schema, table=shape.relation.name, lsn=lsn, position=at)
        block = self._walker.blocks.block(shape.plan.names, at.ordinal)
        if self._emptied.compacted(shape.plan.topic):
            # It refuses a null key: each key that it holds is deleted.
            yield from self._emptied.records(shape, source, block)
            return
        value = truncate_value(shape.plan.value_frame, source, block, times(self._clock.time_us()))
        for partition in range(self._sink.partitions_of(shape.plan.topic)):
            yield partition, None, value
