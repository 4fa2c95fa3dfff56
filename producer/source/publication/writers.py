"""Those who wrote to a table before it was published, and have not ended: what they did is not in the stream.

Room: source (IO: PostgreSQL). PostgreSQL manual, "pg_locks", "pg_prepared_xacts".
Whether a change is published is decided by the catalogue of its own moment, not of its commit's: of a
transaction that wrote before ALTER PUBLICATION and commits behind it, those changes are left out. A snapshot
shows them once it has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import cast

from producer.source import visibility
from producer.source.wire import Connection

# One look at pg_locks: a transaction that is prepared between two would be in neither.
_WRITING = b"""
WITH RECURSIVE l AS (
    SELECT * FROM pg_catalog.pg_locks
), parts (root, relid) AS (
    SELECT t, t FROM unnest(%s::bigint[]::oid[]) t
    UNION ALL
    SELECT p.root, i.inhrelid FROM parts p JOIN pg_catalog.pg_class c ON c.oid = p.relid AND c.relkind = 'p'
      JOIN pg_catalog.pg_inherits i ON i.inhparent = p.relid
)
SELECT DISTINCT p.root::bigint, x.transactionid::text::bigint
  FROM parts p
  JOIN l w ON w.locktype = 'relation' AND w.relation = p.relid AND w.granted
       AND w.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
       AND w.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  JOIN l x ON x.locktype = 'transactionid' AND x.granted AND x.mode = 'ExclusiveLock'
       AND x.virtualtransaction = w.virtualtransaction AND x.pid IS NOT DISTINCT FROM w.pid
"""
# Asked behind that one: who was a session's then is prepared now, or has ended, or was seen.
_PREPARED = (
    b"SELECT transaction::text::bigint FROM pg_catalog.pg_prepared_xacts WHERE database = current_database()::name"
)
# Minor releases of May 2025: decoding forgets in time what an older transaction had it believe.
_FORGETS_SINCE = {13: 21, 14: 18, 15: 13, 16: 9, 17: 5}


def believes(version: int) -> bool:
    """Whether a transaction that is older than ALTER PUBLICATION makes decoding miss what younger ones do, too."""
    major, minor = divmod(version, 10000)
    return major < 18 and minor < _FORGETS_SINCE.get(major, minor + 1)


class Writers:
    """Of the tables of one stream that are still to be read. `touch` takes tables out of the publication and puts
    them in again, at once, which decoding does not overlook; None: the server needs none of it."""

    def __init__(self, touch: Callable[[Collection[int]], None] | None) -> None:
        self._touch = touch
        self._wait_for: dict[int, set[int]] = {}
        self._touched: set[int] = set()
        self._gone: set[int] = set()

    def gone(self, connection: Connection, table: int, others: Collection[int] = ()) -> bool:
        """Whether those who wrote to the table when it was first asked for have ended: a snapshot of now shows all.

        `others` are tables that will be asked for: one look for all.
        """
        new = {table, *others} - self._wait_for.keys() - self._gone
        if table in new:
            self._look(connection, new)
        taken = visibility.snapshot(connection)
        ended = {
            oid for oid, xids in self._wait_for.items() if not any(visibility.unfinished(xid, taken) for xid in xids)
        }
        for oid in ended:
            del self._wait_for[oid]
        touched = ended if self._touch is None else ended & self._touched
        self._gone |= touched
        again = ended - touched
        if again and self._touch is not None:
            # What was committed before the touch may have been missed: it must be visible, too.
            self._touch(again)
            self._touched |= again
            self._look(connection, again)
        return table in self._gone

    def _look(self, connection: Connection, tables: Collection[int]) -> None:
        writing = cast("list[tuple[int, int]]", connection.execute(_WRITING, (list(tables),)).fetchall())
        prepared = cast("list[tuple[int]]", connection.execute(_PREPARED).fetchall())
        for table in tables:
            self._wait_for[table] = {xid for oid, xid in writing if oid == table} | {xid for (xid,) in prepared}
