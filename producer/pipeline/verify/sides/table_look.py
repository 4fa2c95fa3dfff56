"""A table looked at under a snapshot of its own: hashes that PostgreSQL computes, or the rows of some buckets.

Room: pipeline (IO: PostgreSQL). PostgreSQL manual, "Transaction Isolation", "COPY"; docs/DESIGN.md, "Verify".
The snapshot ends with the look: nothing is waited for while it holds back vacuum.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from psycopg import sql

from producer.errors import PostgresUnavailable
from producer.events import Relation
from producer.pipeline.verify.moment import Moment
from producer.pipeline.verify.sides.texts import bucket_of, expression, half, hash_of
from producer.pipeline.verify.sides.topic_state import Sums
from producer.schema.types import Modes
from producer.settings import Settings
from producer.source import catalog, visibility
from producer.source.catalog import Table
from producer.source.chunks import Chunk
from producer.source.snapshot import TableReader
from producer.source.wire import Connection, Server, connect, explained

_TRIES = 20
_PAUSE_SECONDS = 0.5
_ROWS = 1000
_BYTES = 4_000_000
_WAIT_MS = 500
_WHOLE = Chunk(0, None)

Rows = Callable[[Moment, list[memoryview]], None]
"""Takes rows of a moment in COPY's text format as they come."""


@dataclass(frozen=True, slots=True)
class Hashing:
    """How PostgreSQL tells rows and keys apart: by expressions over the columns of the table."""

    row: sql.Composable
    """The hash of a row's text."""
    bucket: sql.Composable
    """The bucket of its key."""

    @classmethod
    def of(cls, relation: Relation, modes: Modes, masked: Collection[str], buckets: int) -> Hashing | None:
        """None: some column's text cannot be made by PostgreSQL as the topic has it."""
        by_name = {column.name: column for column in relation.columns}
        sent = [None if c.name in masked else expression(c, modes) for c in relation.sent_columns]
        keys = [expression(by_name[name], modes) for name in relation.key]
        known = [one for one in sent if one is not None]
        named = [one for one in keys if one is not None]
        if len(known) < len(sent) or len(named) < len(keys) or not sent:
            return None
        return cls(hash_of(known), bucket_of(hash_of(named), buckets))


class TableLook:
    """Looks at one table, again and again, each time at another moment."""

    def __init__(self, server: Server, settings: Settings, table: Table, relation: Relation) -> None:
        """`relation` is the table as its rows are compared: no other shape of it is looked at."""
        self._server = server
        self._settings = settings
        self._table = table
        self._relation = relation
        self._own = sql.SQL("{} {}").format(
            sql.SQL("" if table.partitioned else "ONLY"), sql.Identifier(table.schema, table.name)
        )

    def sums(self, hashing: Hashing) -> tuple[Moment, Sums]:
        """One sequential scan: for each bucket a row count and two numbers."""
        query = sql.SQL(
            "SELECT bucket, count(*), sum({first}), sum({second}) "
            "FROM (SELECT {bucket} AS bucket, {row} AS hash FROM {own} OFFSET 0) hashed GROUP BY bucket"
        ).format(
            first=half(sql.SQL("hash"), 0), second=half(sql.SQL("hash"), 1), bucket=hashing.bucket, row=hashing.row,
            own=self._own,
        )  # fmt: skip
        with self._moment() as (reader, moment), explained(self._server, f"hashing {self._table.qualified_name}"):
            found = reader.connection.execute(query).fetchall()
        return moment, {_int(bucket): (_int(rows), _int(a), _int(b)) for bucket, rows, a, b in found}

    def rows(self, hashing: Hashing | None, buckets: Collection[int] | None, take: Rows) -> Moment:
        """The rows whose keys are in these buckets; None: all rows."""
        chosen = None
        with self._moment() as (reader, moment):
            if hashing is not None and buckets is not None:
                columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in self._relation.read_columns)
                where = sql.SQL("{} = ANY ({}::int[])").format(hashing.bucket, sql.Literal(list(buckets)))
                query = sql.SQL("SELECT {} FROM {} WHERE {}").format(columns, self._own, where)
                chosen = query.as_string(reader.connection)
            reader.begin(self._table, self._relation, chosen, _WHOLE)
            poll = select.poll()
            poll.register(reader.fileno, select.POLLIN)
            while reader.table is not None:
                found = reader.rows(_ROWS, _BYTES)
                if found:
                    take(moment, found)
                elif reader.table is not None:
                    poll.poll(_WAIT_MS)
        return moment

    @contextlib.contextmanager
    def _moment(self) -> Iterator[tuple[TableReader, Moment]]:
        """A session that holds the table's lock under a new snapshot.

        Raises:
            PostgresUnavailable: the table was changed, or its lock is not to be had.
        """
        for _ in range(_TRIES):
            with contextlib.closing(connect(self._server)) as connection:
                with explained(self._server, "asking for the end of the log"):
                    # One plain scan: what is spared in time would be taken from the source's other work.
                    connection.execute(b"SET max_parallel_workers_per_gather = 0")
                    before = visibility.insert_lsn(connection)
                reader = TableReader(connection, self._server)
                found = reader.lock(self._table)
                if found == "same":
                    with explained(self._server, f"reading table {self._table.qualified_name}"):
                        snapshot = visibility.snapshot(connection)
                        end = visibility.insert_lsn(connection)
                        self._demand_same(connection)
                    yield reader, Moment(snapshot, before, end)
                    return
            if found == "gone":
                break
            time.sleep(_PAUSE_SECONDS)
        raise PostgresUnavailable(
            f"table {self._table.qualified_name} is {'gone' if found == 'gone' else 'being changed by somebody else'}",
            remedy="verify again when that is done",
        )

    def _demand_same(self, connection: Connection) -> None:
        now = catalog.relations(connection, [self._table], self._settings).get(self._table.oid)
        if now != self._relation:
            raise PostgresUnavailable(
                f"table {self._table.qualified_name} was altered while it was compared", remedy="verify again"
            )


def _int(value: object) -> int:
    return int(str(value))
