"""One table of a snapshot on its way: its chunks, who reads them, and which of their rows are acked.

Room: pipeline (pure).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from producer.acks import Acks, Group, Tracker
from producer.figures import TableSnapshot
from producer.pipeline.snapshot.unread import Unread
from producer.pipeline.tables.plans import Shape
from producer.source.chunks import Chunk
from producer.source.snapshot import TableReader

_GROUP_ROWS = 1000


class ChunkCopy:
    """One chunk: done when its rows are acked, the last one of them included."""

    def __init__(self, copy: TableCopy, chunk: Chunk, reader: TableReader, acks: Acks) -> None:
        self.copy = copy
        self.chunk = chunk
        self.reader = reader
        self.tracker = Tracker(counts=acks)
        self.group: Group = self.tracker.open()
        self.held: bytes | None = None
        """The row behind all others of the chunk so far: its marker is known only when another one comes."""
        self.rows = 0
        self.begun = False
        """Something of it was handed to the sink."""
        self.complete = False
        """Every row was handed to the sink."""

    def sent(self, rows: int) -> None:
        """So many more rows were handed to the sink. Begin another group when this one is large."""
        self.rows += rows
        self.copy.rows += rows
        self.copy.progress.add(rows)
        if self.group.pending:
            self.begun = self.copy.begun = True
        if self.group.pending >= _GROUP_ROWS:
            self.tracker.close(self.group)
            self.group = self.tracker.open()

    def close(self) -> None:
        """Every row was handed over."""
        self.held = None
        self.tracker.close(self.group)
        self.complete = True


class TableCopy:
    """Chunks of a table are read in any order, by whichever reader is free."""

    def __init__(
        self,
        unread: Unread,
        shape: Shape,
        select: str | None,
        waiting: deque[Chunk],
        progress: TableSnapshot,
        acks: Acks,
    ) -> None:
        self.progress = progress
        self._acks = acks
        self.unread = unread
        self.table = unread.table
        self.shape = shape
        self.select = select
        """What is read in place of its own rows."""
        self.waiting = waiting
        self.at_work: list[ChunkCopy] = []
        self.unacked: list[ChunkCopy] = []
        """Those that are begun and not done."""
        self.holders: set[TableReader] = set()
        """The readers that hold its lock, which they do to their end."""
        self.shared = True
        """Others may join; not while somebody waits to change the table."""
        self.last: ChunkCopy | None = None
        """A chunk that is read, and holds the row behind all others of the table so far."""
        self.rows = 0
        self.begun = False
        self.leaves_out: Callable[[bytes | None], bool] | None = None
        """Called with each row's key; whether the row is not to be sent."""
        self.before_mark: Callable[[], None] | None = None
        """Called when its rows are acked, and it is not marked yet."""

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
        part = ChunkCopy(self, self.waiting.popleft(), reader, self._acks)
        self.at_work.append(part)
        self.unacked.append(part)
        reader.begin(self.table, self.shape.relation, self.select, part.chunk)

    def end(self, part: ChunkCopy) -> None:
        """All rows of the chunk are read. Its last one is held: no other chunk of the table has one yet."""
        self.at_work.remove(part)
        if part.held is None:
            part.close()
        else:
            self.last = part

    def take_done(self) -> list[ChunkCopy]:
        """The chunks whose rows are all acked by now, each once."""
        done = [part for part in self.unacked if part.complete and part.tracker.idle]
        for part in done:
            self.unacked.remove(part)
            self.unread.done += 1
            self.unread.rows += part.rows
        return done
