"""What of a table is still to be read, in chunks.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Snapshot".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from producer.events import Relation
from producer.settings import Settings
from producer.sink.offsets import ChunkMark
from producer.source.catalog import Table
from producer.source.chunks import Chunk, chunks
from producer.source.wire import Connection


def can_resume(relation: Relation, settings: Settings) -> bool:
    """Whether the table's chunks may be read under different snapshots.

    A row that moves into a chunk that was read before must come by the stream: its key must tell
    that it is the same row, and the change must be in the log, and not be skipped.
    """
    logged = bool(relation.identity_columns) and not settings.skipped_operations & {"c", "u"}
    return bool(relation.key) and logged


class Unread:
    """A table, the chunks of it that wait, and the marks of those that are done."""

    def __init__(self, table: Table, marks: Mapping[Chunk, ChunkMark] | None = None) -> None:
        self.table = table
        self.marks = dict(marks or {})
        """All that the offsets topic holds of the table."""
        self.waiting: deque[Chunk] = deque()
        self.filenode: int | None = None
        """The file that the chunks are ranges of."""
        self.resumable = False
        """Chunks that are done need not be read again."""
        self.done = 0
        self.rows = 0
        """Those of the chunks that are done."""
        self._cut = False

    def cut(
        self, connection: Connection, filenode: int | None, rows: int, *, resumable: bool, one_snapshot: bool
    ) -> bool:
        """Know what waits: chunks of about so many rows, those with a mark left out. True: it was not known.

        A table whose file is another than the marks say, or that cannot be resumed, is read whole;
        what cannot be resumed is one chunk unless it is read under one snapshot.
        """
        resumable = resumable and filenode is not None
        if self._cut and (self.filenode, self.resumable) == (filenode, resumable):
            return False
        self._cut, self.filenode, self.resumable = True, filenode, resumable
        kept = {chunk: mark for chunk, mark in self.marks.items() if resumable and mark.filenode == filenode}
        self.done, self.rows = len(kept), sum(mark.rows for mark in kept.values())
        self.waiting = deque(chunks(connection, self.table, rows if resumable or one_snapshot else 0, kept))
        return True

    def next_chunk(self) -> deque[Chunk]:
        """The chunk that waits first, by itself; it waits no more."""
        return deque([self.waiting.popleft()] if self.waiting else [])
