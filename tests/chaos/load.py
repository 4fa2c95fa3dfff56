"""The tables, and seeded writers: what they commit they write down, event by event, as the stream must show it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg

from tests.chaos.tables import KEYS, TABLES, values

Row = tuple[Any, ...]
Key = tuple[int, ...]
WRITERS = 2
_LONGEST_PAUSE = 0.5
_LSN = "pg_current_wal_insert_lsn() - '0/0'"


class Change(NamedTuple):
    """One event that the stream must show; a delete's row has no version there."""

    table: str
    op: str
    key: Key
    version: int | None


@dataclass(slots=True)
class Transaction:
    """What one transaction did, in its order; its commit record lies from `low` on and ends before `high`."""

    xid: int
    low: int
    token: str = ""
    """Written beside it: an id that was not flushed is given again after a crash of the server."""
    high: int = 0
    committed: bool = False
    changes: list[Change] = field(default_factory=list)


class Writer(threading.Thread):
    """Writes at a steady pace, until `changes` were made and `hurry` is set.

    Writers share the tables, not the keys: their transactions overlap and never wait for each other.
    `large` is how many of a hundred transactions change a quarter of a table's keys.
    """

    def __init__(
        self, dsn: str, *, seed: object, part: int, changes: int, pace: float, keys: int, large: float = 0,
        seconds: float = 400,
    ) -> None:  # fmt: skip
        super().__init__(daemon=True, name=f"writer {part}")
        self._dsn = dsn
        self._chance = random.Random(f"{seed}/{part}")
        self._part = part
        self._wanted = changes
        self._pace = pace
        self._keys = keys // WRITERS
        self._large = large / 100
        self._version = 0
        self._begun = 0
        self._deadline = time.monotonic() + seconds
        self._connection: psycopg.Connection[Row] | None = None
        self._unknown: Transaction | None = None
        self.changed = 0
        self.transactions: list[Transaction] = []
        self.hurry = threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        """Write, through restarts of the server."""
        try:
            while not self.hurry.is_set() or self.changed < self._wanted or self._unknown is not None:
                if time.monotonic() > self._deadline:
                    raise TimeoutError(f"{self.name} did not come to an end")
                before = self.changed
                self._try()
                if not self.hurry.is_set():
                    self.hurry.wait(min((self.changed - before + 1) * self._pace, _LONGEST_PAUSE))
        except Exception as error:  # noqa: BLE001 - told by the main thread
            self.failure = error
        finally:
            if self._connection is not None:
                self._connection.close()

    def _try(self) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._dsn, connect_timeout=5)
                self._connection.execute("SET TIME ZONE 'UTC'")
                self._connection.commit()
            if self._unknown is not None:
                self._learn(self._connection, self._unknown)
            self._transaction(self._connection)
        except psycopg.OperationalError:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            time.sleep(0.1)

    def _transaction(self, connection: psycopg.Connection[Row]) -> None:
        xid, low = _one(connection, f"SELECT pg_current_xact_id()::text::bigint, {_LSN}")
        self._begun += 1
        made = Transaction(int(xid), int(low), f"{self._part}/{self._begun}")
        self._unknown = made
        connection.execute("INSERT INTO marks VALUES (%s)", (made.token,))
        if self._large and self._chance.random() < self._large:
            made.changes += self._update_many(connection)
        for _ in range(self._chance.choice((1, 1, 1, 2, 3, 8))):
            self._part_of(connection, made)
        if self._chance.random() < 0.03:
            time.sleep(0.03)  # stays open while others commit
        if self._chance.random() < 0.1:
            connection.rollback()
        else:
            made.low = int(_one(connection, f"SELECT {_LSN}")[0])
            connection.commit()
            made.committed = True
        self._end(connection, made)

    def _learn(self, connection: psycopg.Connection[Row], made: Transaction) -> None:
        """The connection was lost: ask what became of the transaction."""
        made.committed = bool(_one(connection, f"SELECT count(*) FROM marks WHERE token = '{made.token}'")[0])
        self._end(connection, made)

    def _end(self, connection: psycopg.Connection[Row], made: Transaction) -> None:
        made.high = int(_one(connection, f"SELECT {_LSN}")[0])
        connection.commit()
        self._unknown = None
        self.transactions.append(made)
        self.changed += len(made.changes) if made.committed else 0

    def _part_of(self, connection: psycopg.Connection[Row], made: Transaction) -> None:
        """A statement, now and then in a savepoint that is rolled back."""
        table = self._chance.choice(TABLES)
        change = self._chance.choices(
            (self._update, self._insert, self._remove, self._move, self._replace), (50, 25, 10, 10, 5)
        )[0]
        if self._chance.random() < 0.05:
            connection.execute("SAVEPOINT here")
            change(connection, table)
            connection.execute("ROLLBACK TO here")
        else:
            made.changes += change(connection, table)

    def _update_many(self, connection: psycopg.Connection[Row]) -> list[Change]:
        table, version = self._chance.choice(TABLES), self._next()
        first, name = self._key(), KEYS[table][0]
        query = f"UPDATE {table} SET version = %s WHERE {name} BETWEEN %s AND %s AND {name} %% {WRITERS} = {self._part}"
        last = first + self._keys * WRITERS // 4
        return self._changes(connection, table, "u", query, [version, first, last], version)

    def _key(self) -> int:
        return self._chance.randint(1, self._keys) * WRITERS + self._part

    def _next(self) -> int:
        self._version += 1
        return self._version

    def _some(self, table: str) -> tuple[str, list[object]]:
        """A condition on one key, or on some in a row."""
        key = self._key()
        last = key + WRITERS * self._chance.choice((0, 0, 0, 4, 15))
        name = KEYS[table][0]
        return f"{name} BETWEEN %s AND %s AND {name} %% {WRITERS} = {self._part}", [key, last]

    def _update(self, connection: psycopg.Connection[Row], table: str) -> list[Change]:
        where, parameters = self._some(table)
        version = self._next()
        names = [n for n in values(self._chance, table, 0) if self._chance.random() < 0.4]
        row = values(self._chance, table, version)
        sets = ", ".join(f"{name} = %s" for name in ("version", *names))
        query = f"UPDATE {table} SET {sets} WHERE {where}"
        return self._changes(connection, table, "u", query, [version, *(row[n] for n in names), *parameters], version)

    def _insert(self, connection: psycopg.Connection[Row], table: str) -> list[Change]:
        found: list[Change] = []
        for _ in range(self._chance.choice((1, 1, 2, 5))):
            found += self._insert_key(connection, table, self._key())
        return found

    def _insert_key(self, connection: psycopg.Connection[Row], table: str, key: int) -> list[Change]:
        version = self._next()
        keys = [key, self._chance.randint(1, 3)][: len(KEYS[table])]
        row = values(self._chance, table, version)
        names = ", ".join((*KEYS[table], "version", *row))
        marks = ", ".join(["%s"] * (len(keys) + 1 + len(row)))
        query = f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        return self._changes(connection, table, "c", query, [*keys, version, *row.values()], version)

    def _remove(self, connection: psycopg.Connection[Row], table: str) -> list[Change]:
        where, parameters = self._some(table)
        return self._changes(connection, table, "d", f"DELETE FROM {table} WHERE {where}", parameters, None)

    def _replace(self, connection: psycopg.Connection[Row], table: str) -> list[Change]:
        """Away and here again, in one transaction."""
        key = self._key()
        query = f"DELETE FROM {table} WHERE {KEYS[table][0]} = %s"
        return [
            *self._changes(connection, table, "d", query, [key], None),
            *self._insert_key(connection, table, key),
        ]

    def _move(self, connection: psycopg.Connection[Row], table: str) -> list[Change]:
        """A change of the key: to the stream, a delete and a create. Keys come to be used again."""
        old, new, version, name = self._key(), self._key(), self._next(), KEYS[table][0]
        query = (
            f"UPDATE {table} SET {name} = %s, version = %s "
            f"WHERE {name} = %s AND NOT EXISTS (SELECT 1 FROM {table} WHERE {name} = %s)"
        )
        moved = self._changes(connection, table, "c", query, [new, version, old, new], version)
        pairs = ((Change(table, "d", (old, *change.key[1:]), None), change) for change in moved)
        return [change for pair in pairs for change in pair]

    def _changes(
        self,
        connection: psycopg.Connection[Row],
        table: str,
        op: str,
        query: str,
        parameters: list[object],
        version: int | None,
    ) -> list[Change]:
        found = connection.execute(f"{query} RETURNING {', '.join(KEYS[table])}".encode(), parameters)
        return [Change(table, op, tuple(row), version) for row in found.fetchall()]


def started(make: Callable[[int], Writer]) -> list[Writer]:
    """All the writers, running."""
    writers = [make(part) for part in range(WRITERS)]
    for writer in writers:
        writer.start()
    return writers


def _one(connection: psycopg.Connection[Row], query: str) -> Row:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row
