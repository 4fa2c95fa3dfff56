"""The data, and how each system is set to work on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

import psycopg

from bench import kafka
from bench.measure import Cost, run
from dev.install import PG_BIN
from dev.stack import Stack
from producer.decode import wal2json
from tests.harness import Row, Source

ORDERS = """
CREATE TABLE orders (id bigserial PRIMARY KEY, customer int, status text, quantity int, amount numeric(12,2),
  reference text, note text, created timestamptz DEFAULT now(), updated timestamp DEFAULT now(), tags text[],
  extra jsonb) WITH (autovacuum_enabled = false)
"""
INSERT = """
INSERT INTO orders (customer, status, quantity, amount, reference, note, tags, extra)
SELECT i, 'shipped', i %% 5, i / 7.0, 'ref-' || i, repeat('x', 70), ARRAY['red', 'green', 'big blue'],
       '{"a": 1, "b": "text", "c": [1, 2, 3]}' FROM generate_series(1, %s) i
"""
_COLUMNS = "id, customer, status, quantity, amount, reference, note, created, updated, tags, extra"
_REFERENCE = "bench_reference"


class Workbench:
    """A database of its own, and the systems that read it; everything is gone afterwards."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        # The process's number: two benchmarks at once are slow, but neither deletes the other's.
        self.name = f"bench_{os.getpid()}"
        self._reference = f"{_REFERENCE}_{os.getpid()}"
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(kafka.forget, self._stack, self.name)
            self._source = Source(self._stack, self.name)
            undo.callback(self._source.drop)
            self._admin = undo.enter_context(psycopg.connect(self._stack.postgres_dsn(), autocommit=True))
            self._source.execute(ORDERS)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def insert(self, rows: int, each: int) -> None:
        """So many rows, so many a transaction."""
        with self._source.connect() as connection:
            for done in range(0, rows, each):
                connection.execute(INSERT.encode(), (min(each, rows - done),))

    def settle(self, *statements: str) -> None:
        """Statements, then a checkpoint: no disc work of ours is left for the time that is measured."""
        self._source.execute(*statements, "CHECKPOINT")

    def backlog(self, rows: int) -> str:
        """A copy of the producer's drained slot, then rows behind both; the LSN where they end."""
        self._source.execute(
            f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
            f"WHERE slot_name = '{self._reference}'",
            f"SELECT pg_copy_logical_replication_slot('{self._source.slot}', '{self._reference}')",
        )
        self.insert(rows, 1000)
        self.settle()
        return str(self._source.rows("SELECT pg_current_wal_lsn()::text")[0][0])

    def recvlogical(self, end: str) -> Cost:
        """The reference for the stream: the producer's own options, to /dev/null."""
        options = wal2json.options([("public", "orders")])
        if self._prints_nan():
            options[wal2json.NUMBERS_AS_STRINGS] = "1"
        command = [
            str(PG_BIN / "pg_recvlogical"), "-d", self.name, "--verbose", "--no-loop",
            "--slot", self._reference, "--start", "--endpos", end, "-f", "/dev/null",
            *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
        ]  # fmt: skip
        return run(command, self._client(), since="streaming initiated", find=lambda: self._pids("walsender"))

    def producer(self, *arguments: str, mode: str = "no_data", expected: int = 0) -> Cost:
        """`pg-producer run`, ended when Kafka has acked all; its topic must have grown by `expected`.

        Raises:
            SystemExit: the topic did not.
        """
        snapshot = mode == "initial_only"
        topic = f"{self.name}.public.orders"
        before = kafka.count(self._stack, topic)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PRODUCER_")},
            **self._stack.environment(self.name),
            "PRODUCER_TOPIC_PREFIX": self.name,
            "PRODUCER_OFFSET_STORAGE_TOPIC": f"{self.name}.offsets",
            "PRODUCER_SNAPSHOT_MODE": mode,
        }
        cost = run(
            [sys.executable, "-m", "producer", "run", *arguments],
            environment,
            since="snapshot of a table begins" if snapshot else "streaming",
            find=lambda: self._pids("client backend" if snapshot else "walsender"),
            broker=self._stack.pid("kafka"),
        )
        found = kafka.count(self._stack, topic) - before
        if found != expected:
            raise SystemExit(f"{topic} grew by {found:,} records instead of {expected:,}: no rate is worth anything")
        return cost

    def copy(self) -> Cost:
        """The reference for the snapshot: COPY to /dev/null."""
        statement = f"COPY (SELECT {_COLUMNS} FROM orders) TO STDOUT"
        command = [str(PG_BIN / "psql"), "-qX", "-c", r"\warn begins", "-c", statement]
        return run(command, self._client(), since="begins", find=lambda: self._pids("client backend"))

    def _prints_nan(self) -> bool:
        """Like the producer: it asks for an option that wal2json knows since 2.6, and sees."""
        try:
            self._source.execute(
                f"SELECT count(*) FROM pg_logical_slot_peek_changes('{self._reference}', NULL, 1, "
                f"'format-version', '2', '{wal2json.NUMBERS_AS_STRINGS}', '1')"
            )
        except psycopg.errors.InvalidParameterValue:
            return False
        return True

    def _client(self) -> dict[str, str]:
        return {**os.environ, **self._stack.client_environment(), "PGDATABASE": self.name, "LC_ALL": "C"}

    def _pids(self, kind: str) -> Sequence[int]:
        """The processes of one kind that serve our database; other people's are not counted."""
        query = b"SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = %s"
        found: list[Row] = self._admin.execute(query, (self.name, kind)).fetchall()
        return [int(row[0]) for row in found]
