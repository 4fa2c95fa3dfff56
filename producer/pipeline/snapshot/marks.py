"""Marks in the offsets topic: which tables, and which chunks of a table, need not be read again.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Snapshot".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from producer.acks import Tracker
from producer.lsn import ZERO, Lsn
from producer.pipeline.snapshot.unread import Unread
from producer.sink.offsets import ChunkMark, Loaded, OffsetsTopic, TableMark
from producer.source.catalog import Table
from producer.source.chunks import Chunk
from producer.source.slot import Identity


class Marks:
    """Writes the marks of one session. Data acked, then the mark: it never speaks of a row that may be missing."""

    def __init__(self, offsets: OffsetsTopic, identity: Identity, tables: Mapping[str, TableMark]) -> None:
        self._offsets = offsets
        self._identity = identity
        self._tables = dict(tables)
        self.tracker = Tracker()
        """The marks under way."""

    def unread(self, table: Table, loaded: Loaded) -> Unread:
        """What is left of a table. Marks of another server's file, or of another timeline's, are forgotten."""
        found = Unread(table)
        ours = self._identity.system_id, self._identity.timeline
        for pages, mark in loaded.chunks.get(table.qualified_name, {}).items():
            if (mark.system_id, mark.timeline) == ours:
                found.marks[Chunk(*pages)] = mark
            else:
                self._write_chunk(table.qualified_name, Chunk(*pages), None)
        return found

    def forget_others(self, wanted: Collection[Unread], loaded: Loaded) -> None:
        """Chunks' marks of tables that are not to be read were left behind when those were complete."""
        for name in loaded.chunks.keys() - {unread.table.qualified_name for unread in wanted}:
            for pages in loaded.chunks[name]:
                self._write_chunk(name, Chunk(*pages), None)

    def chunk(self, unread: Unread, chunk: Chunk, rows: int, position: Lsn) -> None:
        """The chunk's rows, which stand at `position`, are acked."""
        assert unread.filenode is not None
        mark = ChunkMark(
            rows=rows, position=position, filenode=unread.filenode,
            system_id=self._identity.system_id, timeline=self._identity.timeline,
        )  # fmt: skip
        unread.marks[chunk] = mark
        self._write_chunk(unread.table.qualified_name, chunk, mark)

    def table(self, unread: Unread, position: Lsn) -> None:
        """All rows of the table are acked: one mark takes the place of its chunks'."""
        mark = TableMark(rows=unread.rows, position=position, filenode=unread.filenode)
        self._write_table(unread.table.qualified_name, mark)
        self.forget(unread)

    def left(self, names: Iterable[str]) -> None:
        """Tables that are not selected any more, read or not: when they come back, they are compared."""
        for name in names:
            mark = self._tables.get(name) or TableMark(rows=0, position=ZERO, filenode=0)
            if not mark.left:
                self._write_table(name, replace(mark, left=True))

    def unmark(self, table: Table) -> None:
        """The table is to be read again."""
        self._write_table(table.qualified_name, None)

    def forget(self, unread: Unread) -> None:
        """The marks of the table's chunks say nothing any more."""
        for chunk in unread.marks:
            self._write_chunk(unread.table.qualified_name, chunk, None)
        unread.marks.clear()

    def _write_table(self, table: str, mark: TableMark | None) -> None:
        if mark is None:
            self._tables.pop(table, None)
        else:
            self._tables[table] = mark
        group = self.tracker.open()
        self._offsets.write_mark(table, mark, group)
        self.tracker.close(group)

    def _write_chunk(self, table: str, chunk: Chunk, mark: ChunkMark | None) -> None:
        group = self.tracker.open()
        self._offsets.write_chunk(table, (chunk.first, chunk.end), mark, group)
        self.tracker.close(group)
