"""Chunks of a table: ranges of its pages, so that several readers can copy it at once.

Room: source (IO: PostgreSQL). PostgreSQL manual, "System Columns" (ctid), "Database Physical Storage".
"""

from __future__ import annotations

from dataclasses import dataclass

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

    @property
    def whole(self) -> bool:
        """True for one that holds every row."""
        return self.first == 0 and self.end is None

    def condition(self) -> sql.Composable:
        """What a query's WHERE says of it."""
        low = sql.SQL("ctid >= {}").format(sql.Literal(f"({self.first},0)"))
        if self.end is None:
            return low
        return sql.SQL("{} AND ctid < {}").format(low, sql.Literal(f"({self.end},0)"))


def chunks(connection: Connection, table: Table, rows: int) -> list[Chunk]:
    """The table in chunks of about so many rows; a single one when 0, and for one that can only be read as a whole.

    The number of pages is that of now: what was added after the snapshot is not shown by it.
    """
    if not rows or table.partitioned or connection.info.server_version < _TID_RANGE_SCAN_SINCE:
        return [Chunk(0, None)]
    found = connection.execute(_PAGES, (table.oid,)).fetchone()
    pages = int(str(found[0])) if found is not None and found[0] is not None else 0
    known = table.rows or pages * _ROWS_A_PAGE
    each = max(1, rows * pages // max(known, 1))
    firsts = list(range(0, pages, each)) or [0]
    return [Chunk(first, end) for first, end in zip(firsts, [*firsts[1:], None], strict=True)]
