"""The data, and how each system is set to work on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

from bench.measure import Cost, Watch, run
from dev.stack import Stack
from producer.decode import wal2json

PG_BIN = Path("/usr/lib/postgresql/15/bin")
DATABASE = "bench"
ORDERS = """
CREATE TABLE orders (id bigserial PRIMARY KEY, customer int, status text, quantity int, amount numeric(12,2),
  reference text, note text, created timestamptz DEFAULT now(), updated timestamp DEFAULT now(), tags text[],
  extra jsonb)
"""
INSERT = """
INSERT INTO orders (customer, status, quantity, amount, reference, note, tags, extra)
SELECT i, 'shipped', i %% 5, i / 7.0, 'ref-' || i, repeat('x', 70), ARRAY['red', 'green', 'big blue'],
       '{"a": 1, "b": "text", "c": [1, 2, 3]}' FROM generate_series(1, %s) i
"""
_COLUMNS = "id, customer, status, quantity, amount, reference, note, created, updated, tags, extra"


class Workbench:
    """A database, and the systems that read it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._round = 0
        self.drop()
        with self.connect("postgres") as admin:
            admin.execute(f"CREATE DATABASE {DATABASE}".encode())
        with self.connect() as connection:
            connection.execute(ORDERS.encode())

    def drop(self) -> None:
        """Leave no slot and no database behind."""
        with self.connect("postgres") as admin:
            admin.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s", (DATABASE,)
            )
            admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)".encode())

    def connect(self, dbname: str = DATABASE) -> psycopg.Connection[tuple[object, ...]]:
        """A superuser's session in autocommit mode."""
        return psycopg.connect(self._stack.postgres_dsn(dbname), autocommit=True)

    def insert(self, rows: int, each: int) -> None:
        """So many rows, so many a transaction."""
        with self.connect() as connection:
            for _ in range(rows // each):
                connection.execute(INSERT.encode(), (each,))

    def backlog(self, rows: int) -> str:
        """Two slots at one point, then the rows behind them; the LSN where they end."""
        self._round += 1
        self.producer("--once")
        with self.connect() as connection:
            connection.execute("SELECT pg_create_logical_replication_slot('reference', 'wal2json')")
        self.insert(rows, 1000)
        with self.connect() as connection:
            row = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        assert row is not None
        return str(row[0])

    def recvlogical(self, end: str) -> Cost:
        """The reference for the stream: the same options, to /dev/null."""
        options = wal2json.options([("public", "orders")])
        command = [
            str(PG_BIN / "pg_recvlogical"), "-d", self._stack.postgres_dsn(DATABASE), "--slot", "reference",
            "--start", "--endpos", end, "-f", "/dev/null",
            *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
        ]  # fmt: skip
        cost = run(command, dict(os.environ), backends=self._walsenders(), broker=None)
        with self.connect() as connection:
            connection.execute("SELECT pg_drop_replication_slot('reference')")
        return cost

    def producer(self, *arguments: str, mode: str = "no_data") -> Cost:
        """`pg-producer run`: timed from the line that says that it begins."""
        since = "snapshot of a table begins" if mode == "initial_only" else "streaming"
        prefix = f"bench{os.getpid()}{'s' if mode == 'initial_only' else ''}"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PRODUCER_")},
            **self._stack.environment(DATABASE),
            "PRODUCER_TOPIC_PREFIX": prefix,
            "PRODUCER_SNAPSHOT_MODE": mode,
        }
        command = [sys.executable, "-m", "producer", "run", *arguments]
        backends = self._walsenders() if mode == "no_data" else self._copiers("pg-producer")
        return run(command, environment, since=since, backends=backends, broker=self._stack.pid("kafka"))

    def copy(self) -> Cost:
        """The reference for the snapshot: COPY to /dev/null."""
        command = [
            str(PG_BIN / "psql"), self._stack.postgres_dsn(DATABASE) + " application_name=bench-copy", "-qc",
            f"COPY (SELECT {_COLUMNS} FROM orders) TO STDOUT",
        ]  # fmt: skip
        return run(command, dict(os.environ), backends=self._copiers("bench-copy"), broker=None)

    def _walsenders(self) -> Watch:
        return Watch(lambda: self._pids("SELECT pid FROM pg_stat_replication"))

    def _copiers(self, name: str) -> Watch:
        query = (
            f"SELECT pid FROM pg_stat_activity WHERE application_name LIKE '{name}%' "
            "AND backend_type = 'client backend'"
        )
        return Watch(lambda: self._pids(query))

    def _pids(self, query: str) -> Sequence[int]:
        with self.connect("postgres") as connection:
            return [int(str(row[0])) for row in connection.execute(query.encode()).fetchall()]
