"""Chunks of a table: ranges of its pages, so that several readers can copy it at once, and a crash costs one of them.

Room: source (IO: PostgreSQL). PostgreSQL manual, "System Columns" (ctid), "Database Physical Storage".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from psycopg import sql

from producer.source.catalog import Table
from producer.source.wire import Connection

# Before 14 a range of pages is read by a scan of the whole table.
_TID_RANGE_SCAN_SINCE = 140000
# Of a table that was never analysed.
_ROWS_A_PAGE = 50
_PAGES = b"SELECT pg_relation_size(%s) / current_setting('block_size')::int"


@dataclass(frozen=True, slots=True)
class Chunk:
    """The pages from `first` to before `end`; without an end, all that follow."""

    first: int
    end: int | None
    pages: int | None = field(default=None, compare=False)
    """How many the table had when it was cut. What later pages hold is younger: the stream has it."""

    @property
    def whole(self) -> bool:
        """True for one that holds every row."""
        return self.first == 0 and self.end is None

    def condition(self) -> sql.Composable:
        """What a query's WHERE says of it."""
        low = sql.SQL("ctid >= {}").format(sql.Literal(f"({self.first},0)"))
        until = self.pages if self.end is None else self.end
        if until is None:
            return low
        return sql.SQL("{} AND ctid < {}").format(low, sql.Literal(f"({until},0)"))


def chunks(connection: Connection, table: Table, rows: int, done: Iterable[Chunk] = ()) -> list[Chunk]:
    """What `done` leaves of the table, in chunks of about so many rows.

    A single one when 0, and for one that can only be read as a whole. The number of pages is that
    of now: what was added after the snapshot is not shown by it.
    """
    if not rows or table.partitioned or connection.info.server_version < _TID_RANGE_SCAN_SINCE:
        return [Chunk(0, None)]
    found = connection.execute(_PAGES, (table.oid,)).fetchone()
    pages = int(str(found[0])) if found is not None and found[0] is not None else 0
    known = table.rows or pages * _ROWS_A_PAGE
    each = max(1, rows * pages // max(known, 1))
    return [chunk for gap in gaps(done) for chunk in _cut(gap, each, pages)]


def gaps(done: Iterable[Chunk]) -> list[Chunk]:
    """The ranges that these chunks leave, in order."""
    found = []
    first = 0
    for chunk in sorted(done, key=lambda chunk: chunk.first):
        if chunk.first > first:
            found.append(Chunk(first, chunk.first))
        if chunk.end is None:
            return found
        first = max(first, chunk.end)
    return [*found, Chunk(first, None)]


def _cut(gap: Chunk, each: int, pages: int) -> list[Chunk]:
    firsts = list(range(gap.first, pages if gap.end is None else gap.end, each)) or [gap.first]
    ends = [*firsts[1:], gap.end]
    return [Chunk(first, end, max(pages, first)) for first, end in zip(firsts, ends, strict=True)]
