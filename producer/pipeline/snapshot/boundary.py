"""Where the Kafka transactions of a first reading end: between chunks, so that a mark speaks of all that was committed.

Room: pipeline (IO: Kafka, through the sink it is given). docs/DESIGN.md, "Exactly once".
"""

from __future__ import annotations

from collections.abc import Iterable

from producer.pipeline import exactly_once
from producer.pipeline.connector import Connector
from producer.pipeline.snapshot.table_copy import ChunkCopy, TableCopy
from producer.sink.protocol import Sink


class SnapshotBoundary:
    """Says when a transaction is to end, and what waits for it.

    A chunk that has begun goes on to its end, and so does a table that cannot be resumed: its rows
    and its mark are one transaction. Of any other chunk only the first row is read, and held: it
    tells that the row which is held before it is not the last one.
    """

    def __init__(self, connector: Connector, sink: Sink) -> None:
        self._clock = connector.clock
        self._stop = connector.stop
        self._sink = sink
        self._seconds = connector.settings.transaction_boundary_interval_ms / 1000
        self._committed_at = connector.clock.monotonic()
        self.hurried = False
        """It is to end as soon as it can: the rest is read later."""

    @classmethod
    def of(cls, connector: Connector, sink: Sink) -> SnapshotBoundary | None:
        """One, where records are sent in transactions."""
        return None if sink.transactions is None else cls(connector, sink)

    @property
    def due(self) -> bool:
        """Whether a transaction is to end."""
        return self.hurried or self._clock.monotonic() - self._committed_at >= self._seconds

    def in_order(self, running: Iterable[TableCopy]) -> list[TableCopy]:
        """Those that others wait for first: a reader that is free goes on with them."""
        return sorted(running, key=lambda copy: not _whole(copy))

    def holds(self, copy: TableCopy, part: ChunkCopy) -> bool:
        """Whether nothing of the chunk is to be sent yet."""
        return self.due and not part.begun and not _whole(copy)

    def reached(self, unmarked: Iterable[TableCopy]) -> bool:
        """Whether a transaction is to end, and nothing was sent in part."""
        return self.due and not any(_in_part(copy) for copy in unmarked)

    def commit(self) -> None:
        """End it: all that was sent is acked, and marked.

        Raises:
            ProducerError: as `exactly_once.commit`.
        """
        exactly_once.commit(self._sink, self._clock, self._stop)
        self._committed_at = self._clock.monotonic()


def _whole(copy: TableCopy) -> bool:
    """Whether the table was begun, and can only be sent whole."""
    return copy.begun and not copy.unread.resumable


def _in_part(copy: TableCopy) -> bool:
    if _whole(copy) and not copy.read:
        return True
    return any(part.begun and not part.complete for part in copy.unacked)
