"""A random history of several tables: every kind of change that a stream tells of."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import psycopg

TABLES = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'fine')",
    "CREATE DOMAIN price AS numeric(9,2)",
    "CREATE TABLE plain (id int PRIMARY KEY, n numeric(12,3), f float8, b bool, t text, raw bytea, at timestamptz, "
    "day date, tags text[], doc jsonb, m mood, p price, big text)",
    "CREATE TABLE whole (LIKE plain INCLUDING ALL)",
    "CREATE TABLE pair (a int, b int, v text, PRIMARY KEY (b, a))",
    "CREATE TABLE indexed (id int PRIMARY KEY, code text NOT NULL, v int, big text)",
    "CREATE UNIQUE INDEX indexed_code ON indexed (code)",
    "CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
    "CREATE TABLE low PARTITION OF parted FOR VALUES FROM (MINVALUE) TO (20)",
    "CREATE TABLE high PARTITION OF parted FOR VALUES FROM (20) TO (35)",
    "CREATE TABLE keyless (v text, n int)",
    "CREATE TABLE apart (id int PRIMARY KEY)",
    *(f"ALTER TABLE {table} ALTER big SET STORAGE external" for table in ("plain", "whole", "indexed")),
    "ALTER TABLE whole REPLICA IDENTITY FULL",
    "ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_code",
)
"""`apart` is for whoever selects all others."""
KEYS = 40
_TEXTS = ("", "x", "ü\t\\ \"'\n", "a" * 300, "{,}", "\\N", "null")
_NUMBERS = ("0", "-0.001", "123456789.125", "1e-3")
_DOUBLES = ("0", "-0", "1e300", "0.1", "-1.5e-7")
_RENAME = "ALTER TABLE pair RENAME COLUMN v TO word"
# Each is run at most once, in this order, now and then.
_ALTERATIONS = (
    "CREATE TABLE middle PARTITION OF parted DEFAULT",
    "ALTER TABLE plain ADD COLUMN extra int DEFAULT 7",
    _RENAME,
    "ALTER TABLE whole DROP COLUMN day",
    "ALTER TYPE mood ADD VALUE 'wild'",
    "ALTER TABLE indexed ALTER v TYPE bigint",
    "ALTER TABLE plain REPLICA IDENTITY FULL",
    "ALTER TABLE plain DROP COLUMN extra",
    "ALTER TABLE plain REPLICA IDENTITY DEFAULT",
)


class Workload:
    """Made by one session, from a seed."""

    def __init__(self, connection: psycopg.Connection[Any], seed: int) -> None:
        self._connection = connection
        self._chance = random.Random(seed)
        self._altered = 0

    def run(self, transactions: int) -> None:
        """So many transactions, and all alterations between them."""
        every = max(1, transactions // (len(_ALTERATIONS) + 1))
        for number in range(1, transactions + 1):
            self._transaction()
            if number % every == 0 and self._altered < len(_ALTERATIONS):
                self._connection.execute(_ALTERATIONS[self._altered].encode())
                self._altered += 1

    def _transaction(self) -> None:
        with self._connection.transaction() as whole:
            for _ in range(self._chance.choice((1, 1, 2, 3, 8))):
                with self._connection.transaction() as part:
                    self._change()
                    if self._chance.random() < 0.08:
                        raise psycopg.Rollback(part)
            if self._chance.random() < 0.05:
                raise psycopg.Rollback(whole)

    def _change(self) -> None:
        table: Callable[[], None] = self._chance.choice(
            (self._wide, self._wide, self._wide, self._pair, self._indexed, self._parted, self._keyless, self._other)
        )
        table()

    def _run(self, statement: str, *values: object) -> None:
        try:
            with self._connection.transaction():
                self._connection.execute(statement.encode(), values)
        except (psycopg.errors.UniqueViolation, psycopg.errors.CheckViolation):
            return

    def _key(self) -> int:
        return self._chance.randint(1, KEYS)

    def _some(self, *values: str | None) -> str | None:
        return self._chance.choice(values)

    def _columns(self) -> dict[str, object]:
        chance = self._chance
        return {
            # A null here may be a NaN to an old wal2json: its record says more than pgoutput's.
            "n": self._some(*_NUMBERS), "f": self._some(*_DOUBLES), "b": self._some("t", "f", None),
            "t": self._some(*_TEXTS, None), "raw": self._some("\\x", "\\x00ff", None),
            "at": self._some("2026-11-22 10:25:46.25+01", "0044-03-15 12:00:00+00 BC", None),
            "tags": self._some("{}", '{a,NULL,"b\\"c"}', None), "doc": self._some('{"a": [1, null]}', None),
            "m": self._some("sad", "ok", "fine", None), "p": self._some("1.50", None),
            "big": None if chance.random() < 0.2 else chance.choice("xyz") * chance.choice((10, 3000)),
        }  # fmt: skip

    def _wide(self) -> None:
        table, key, row = self._chance.choice(("plain", "whole")), self._key(), self._columns()
        kind = self._chance.random()
        if kind < 0.4:
            names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
            self._run(f"INSERT INTO {table} (id, {names}) VALUES (%s, {marks})", key, *row.values())
        elif kind < 0.75:
            row = {name: value for name, value in row.items() if self._chance.random() < 0.4 and name != "big"}
            row = row or {"t": "y"}
            sets = ", ".join(f"{name} = %s" for name in row)
            self._run(f"UPDATE {table} SET {sets} WHERE id BETWEEN %s AND %s", *row.values(), key, key + 2)
        elif kind < 0.85:
            self._run(f"UPDATE {table} SET id = %s WHERE id = %s", self._key(), key)
        elif kind < 0.99:
            self._run(f"DELETE FROM {table} WHERE id = %s", key)
        else:
            self._run(f"TRUNCATE {table}, keyless")

    def _pair(self) -> None:
        a, b = self._key() % 4, self._key() % 4
        renamed = self._altered > _ALTERATIONS.index(_RENAME)
        word = "word" if renamed else "v"
        self._run(f"INSERT INTO pair (a, b, {word}) VALUES (%s, %s, %s)", a, b, self._some(*_TEXTS))
        self._run(f"UPDATE pair SET {word} = %s, a = a + %s WHERE b = %s", self._some(*_TEXTS), b % 2, b)
        if self._chance.random() < 0.3:
            self._run("DELETE FROM pair WHERE b = %s", b)

    def _indexed(self) -> None:
        key = self._key()
        self._run("INSERT INTO indexed VALUES (%s, %s, 1, repeat('i', 3000))", key, f"c{key}")
        self._run("UPDATE indexed SET v = v + 1 WHERE id = %s", self._key())
        self._run("UPDATE indexed SET code = code || 'x' WHERE id = %s", self._key())
        self._run("DELETE FROM indexed WHERE id = %s", self._key())

    def _parted(self) -> None:
        key = self._key()
        self._run("INSERT INTO parted VALUES (%s, %s)", key, self._some(*_TEXTS))
        self._run("UPDATE parted SET id = %s WHERE id = %s", self._key(), self._key())
        self._run("DELETE FROM parted WHERE id = %s", self._key())
        # A partition that is younger than the statement would be told of otherwise: DESIGN.md, "pgoutput".
        if self._altered and self._chance.random() < 0.05:
            self._run("TRUNCATE parted")

    def _keyless(self) -> None:
        self._run("INSERT INTO keyless VALUES (%s, %s)", self._some(*_TEXTS, None), self._key())

    def _other(self) -> None:
        self._run("INSERT INTO apart VALUES (%s) ON CONFLICT DO NOTHING", self._key() * 1000 + self._key())
        self._connection.execute(
            b"SELECT pg_logical_emit_message(%s, %s, %s)",
            (self._chance.random() < 0.5, self._some("wanted", "other"), self._some(*_TEXTS)),
        )
