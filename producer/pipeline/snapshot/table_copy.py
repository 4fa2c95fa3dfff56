"""One table of a snapshot on its way: its chunks, who reads them, and which of its rows are acked.

Room: pipeline (pure).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from producer.acks import Group, Tracker
from producer.pipeline.tables.plans import Shape
from producer.source.catalog import Table
from producer.source.chunks import Chunk
from producer.source.snapshot import TableReader

_GROUP_ROWS = 1000


class TableCopy:
    """Its chunks are read in any order, by whichever reader is free; it is complete when all are."""

    def __init__(self, table: Table, shape: Shape, select: str | None, chunks: Iterable[Chunk]) -> None:
        self.table = table
        self.shape = shape
        self.select = select
        """What is read in place of its own rows."""
        self.waiting = deque(chunks)
        self.at_work: list[TableReader] = []
        self.holders: set[TableReader] = set()
        """The readers that hold its lock, which they do to their end."""
        self.shared = True
        """Others may join; not while somebody waits to change the table."""
        self.tracker = Tracker()
        self.group: Group = self.tracker.open()
        self.held: bytes | None = None
        """The row behind all others so far: its marker is known only when the next one comes."""
        self.rows = 0
        self.complete = False
        """Every row was handed to the sink."""

    @property
    def read(self) -> bool:
        """True when all its rows are here."""
        return not self.waiting and not self.at_work

    def open_to(self, reader: TableReader) -> bool:
        """Whether the reader can take one of its chunks."""
        return bool(self.waiting) and (self.shared or reader in self.holders)

    def begin(self, reader: TableReader) -> None:
        """Have the reader, which holds its lock, copy the next chunk."""
        self.holders.add(reader)
        self.at_work.append(reader)
        reader.begin(self.table, self.shape.relation, self.select, self.waiting.popleft())

    def sent(self, rows: int) -> None:
        """So many more rows were handed to the sink. Begin another group when this one is large."""
        self.rows += rows
        if self.group.pending >= _GROUP_ROWS:
            self.tracker.close(self.group)
            self.group = self.tracker.open()

    def close(self) -> None:
        """Every row was handed over."""
        self.tracker.close(self.group)
        self.complete = True
