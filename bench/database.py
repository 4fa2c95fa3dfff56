"""A workload's database: its tables, what is written to them, and the server's processes that read them."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import psycopg

from bench import kafka
from dev.stack import Stack
from tests.harness import Row, Source

Load = Callable[["Database", int], None]
"""Writes so many events."""
_numbers = itertools.count(1)


class Database:
    """A database of a workload's own; it, its slots, its topics and subjects are gone afterwards.

    Its public tables are the workload's, all of them: no system needs a list to select by.
    """

    def __init__(self, stack: Stack, tables: Sequence[str]) -> None:
        self.stack = stack
        self.tables = tuple(tables)
        # The process's number: two benchmarks at once are slow, but neither deletes the other's.
        self.name = f"bench_{os.getpid()}_{next(_numbers)}"
        """Also what the topics' and subjects' names begin with, a dot behind it."""
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(kafka.forget, self.stack, self.name)
            self._source = Source(self.stack, self.name)
            undo.callback(self._source.drop)
            self._admin = undo.enter_context(psycopg.connect(self.stack.postgres_dsn(), autocommit=True))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        # Cleaning up is short, and must not be broken off: Ctrl-C waits.
        stops = {signal.SIGINT, signal.SIGTERM}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, stops)
        try:
            self._undo.close()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def slot(self) -> str:
        """pg-producer's slot."""
        return self._source.slot

    def execute(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own whose commit does not wait for the disc."""
        with self._source.connect() as connection:
            connection.execute("SET synchronous_commit = off")
            for statement in statements:
                connection.execute(statement.encode())

    def settle(self) -> None:
        """A checkpoint: no disc work of ours is left for the time that is measured."""
        self.execute("CHECKPOINT")

    def rows(self, query: str) -> list[Row]:
        """A query's rows."""
        return self._source.rows(query)

    def knows(self, option: str) -> bool:
        """Whether the plugin takes an option: asked of a slot that is gone with its session."""
        with self._source.connect() as connection:
            slot = f"{self.name}_ability"
            connection.execute("SELECT pg_create_logical_replication_slot(%s, 'wal2json', true)", (slot,))
            try:
                connection.execute(
                    "SELECT count(*) FROM pg_logical_slot_peek_changes(%s, NULL, 1, 'format-version', '2', %s, '1')",
                    (slot, option),
                )
            except psycopg.errors.InvalidParameterValue:
                return False
        return True

    def client_environment(self) -> dict[str, str]:
        """What PostgreSQL's own programs read."""
        return {**os.environ, **self.stack.client_environment(), "PGDATABASE": self.name, "LC_ALL": "C"}

    def pids(self, *kinds: str) -> Sequence[int]:
        """The processes of these kinds (`backend_type`) that serve this database; other people's are not counted."""
        query = b"SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = ANY(%s)"
        found: list[Row] = self._admin.execute(query, (self.name, list(kinds))).fetchall()
        return [int(row[0]) for row in found]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What was written behind the systems' positions."""

    database: Database
    events: int
    end: str
    """The LSN where it ends."""


def backlog(database: Database, events: int, load: Load) -> Backlog:
    """Write events for systems that are attached."""
    load(database, events)
    database.settle()
    return Backlog(database, events, str(database.rows("SELECT pg_current_wal_lsn()::text")[0][0]))
