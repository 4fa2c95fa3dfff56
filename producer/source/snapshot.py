"""Reading tables under one exported snapshot, several at a time, without a thread.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Snapshot Synchronization Functions", "COPY".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Literal, cast

import psycopg
from psycopg import errors, sql
from psycopg.pq import ExecStatus

from producer.errors import PostgresUnavailable
from producer.events import Relation
from producer.source.catalog import Table
from producer.source.chunks import Chunk
from producer.source.overrides import subselect
from producer.source.wire import Connection, Server, connect, explain, explained

# Somebody who waits to change the table may wait for us: the rows of such a table are read later.
_LOCK_TIMEOUT = "5s"

Found = Literal["same", "changed", "busy", "gone"]


class TableReader:
    """One session under the snapshot: copies one table after the other.

    Used from one thread: `begin`, `get`, `take_in` and `rows` do not wait for the server.
    """

    def __init__(self, connection: Connection, server: Server, snapshot_name: str | None = None) -> None:
        """Begin to read under `snapshot_name`, or under a snapshot that the first `lock` takes when None."""
        self.connection = connection
        """Asked here, what takes the table's lock does not stand in line behind those who wait for ours."""
        self._server = server
        self.get: Callable[[int], tuple[int, memoryview]] = self._first
        """As the driver's own, which it soon is: size and row, 0 when none has come, -1 behind the last."""
        self.fileno = connection.fileno()
        self.table: Table | None = None
        self.filenode: int | None = None
        """The file of the table that was locked last; None: its rows are not those of one file that we know."""
        with explained(server, "importing the snapshot"):
            connection.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if snapshot_name is not None:
                connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot_name)))

    def lock(self, table: Table, timeout: str = _LOCK_TIMEOUT) -> Found:
        """Hold the table's shape until the end, and see whether the snapshot can show its rows.

        DDL is not MVCC-safe: a table rewritten or truncated after the snapshot was taken reads as
        empty under it. The file that the snapshot saw must be the file of now.
        """
        name = _name(table)
        with explained(self._server, f"reading table {table.qualified_name}"):
            try:
                with self.connection.transaction():
                    self.connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(timeout)))
                    self.connection.execute(sql.SQL("SELECT FROM {} {} LIMIT 0").format(_only(table), name))
            except (errors.UndefinedTable, errors.InvalidSchemaName):
                return "gone"
            except errors.LockNotAvailable:
                return "busy"
            if table.partitioned:
                row = self.connection.execute(_PARTITIONS_SAME, (table.oid,)).fetchone()
            else:
                row = self.connection.execute(_SAME_FILE, (name.as_string(self.connection), table.oid)).fetchone()
        self.filenode = row[1] if row is not None and isinstance(row[1], int) else None
        # A table that the snapshot does not know was made after it: the stream holds all its rows.
        return "same" if row is None or row[0] else "changed"

    def begin(self, table: Table, relation: Relation, select: str | None, chunk: Chunk) -> None:
        """Start copying a chunk: the columns that are read, in their order, in COPY's text format.

        With `select` its rows, not the table's own.
        """
        own: sql.Composable = sql.SQL("{} {}").format(_only(table), _name(table))
        conditions: list[sql.Composable] = []
        if table.through is not None:
            conditions.append(sql.SQL("tableoid = {}").format(sql.Literal(table.oid)))
        if not chunk.whole:
            conditions.append(chunk.condition())
        if conditions:
            own = sql.SQL("{} WHERE {}").format(own, sql.SQL(" AND ").join(conditions))
        statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(
            sql.SQL(", ").join(sql.Identifier(column.name) for column in relation.read_columns),
            own if select is None else subselect(select),
        )
        # The server answers with its first bufferful of rows: a plan that finds them late may take for ever.
        try:
            self.connection.pgconn.send_query(statement.as_bytes(self.connection))
        except psycopg.Error as error:
            raise self._failed(table, None, str(error)) from error
        self.get, self.table = self._first, table

    def _first(self, asynchronous: int) -> tuple[int, memoryview]:
        """`get`, as long as the server has not begun to answer."""
        pgconn = self.connection.pgconn
        if pgconn.is_busy():
            return 0, memoryview(b"")
        result = pgconn.get_result()
        if result is None or result.status != ExecStatus.COPY_OUT:
            state = None if result is None else result.error_field(_SQLSTATE)
            message = pgconn.error_message if result is None else result.error_message
            while pgconn.get_result() is not None:
                pass
            raise self._failed(cast("Table", self.table), state, message)
        self.get = pgconn.get_copy_data
        return self.get(asynchronous)

    def rows(self, most: int, most_bytes: int) -> list[memoryview]:
        """Rows that have arrived, up to a number or about so many bytes; none when none are here yet.

        After the last row `table` is None.
        """
        found: list[memoryview] = []
        total = 0
        asked = False
        while len(found) < most and total < most_bytes:
            size, row = self.get(1)
            if size > 0:
                found.append(row)
                total += size
            elif size < 0:
                self.finish()
                break
            elif found or asked:
                break
            else:
                asked = True
                self.take_in()
        return found

    def take_in(self) -> None:
        """Read what has come from the socket; returns at once."""
        try:
            self.connection.pgconn.consume_input()
        except psycopg.Error as error:
            raise self._failed(cast("Table", self.table), None, str(error)) from error

    def finish(self) -> None:
        """End the copying, behind the last row: `table` is None from then on."""
        table = cast("Table", self.table)
        pgconn = self.connection.pgconn
        result = pgconn.get_result()
        while result is not None:
            if result.status != ExecStatus.COMMAND_OK:
                raise self._failed(table, result.error_field(_SQLSTATE), result.error_message)
            result = pgconn.get_result()
        self.table = None

    def _failed(self, table: Table, state: bytes | None, message: bytes | str) -> Exception:
        text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
        return explain(state.decode() if state else None, text, self._server, f"copying {table.qualified_name}")

    def close(self) -> None:
        """Leave the snapshot."""
        self.connection.close()


def _only(table: Table) -> sql.SQL:
    """A table's own rows, without those of tables that inherit from it; a partitioned one has no own."""
    return sql.SQL("" if table.partitioned or table.through is not None else "ONLY")


def _name(table: Table) -> sql.Identifier:
    return sql.Identifier(*(table.through or (table.schema, table.name)))


_SQLSTATE = ord("C")
# Another table may bear the name since: of that one, no file is known.
_SAME_FILE = (
    b"SELECT relfilenode = pg_relation_filenode(oid), "
    b"CASE WHEN oid = to_regclass(%s) THEN pg_relation_filenode(oid)::bigint END FROM pg_class WHERE oid = %s"
)
_PARTITIONS_SAME = (
    b"SELECT coalesce(bool_and(relfilenode = pg_relation_filenode(oid)), true), NULL FROM pg_class "
    b"WHERE oid IN (SELECT relid FROM pg_partition_tree(%s) WHERE isleaf)"
)


class Snapshot:
    """Readers that see one state of the database."""

    def __init__(self, server: Server, readers: int, snapshot_name: str | None = None) -> None:
        """Open the readers under `snapshot_name`, or under a snapshot of now when None."""
        self._stack = ExitStack()
        self.readers: Sequence[TableReader] = ()
        try:
            if snapshot_name is None:
                snapshot_name = self._export(server)
            opened = []
            for _ in range(readers):
                connection = connect(server)
                self._stack.callback(connection.close)
                opened.append(TableReader(connection, server, snapshot_name))
            self.readers = opened
        except BaseException:
            self.close()
            raise

    def _export(self, server: Server) -> str:
        keeper = connect(server)
        self._stack.callback(keeper.close)
        with explained(server, "exporting a snapshot"):
            keeper.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            row = keeper.execute(b"SELECT pg_export_snapshot()").fetchone()
        if row is None:
            raise PostgresUnavailable("PostgreSQL exported no snapshot", remedy="run again")
        return str(row[0])

    def close(self) -> None:
        """End all the readers' sessions."""
        self._stack.close()
