"""A seeded writer: what it commits it also writes down, so that nothing committed can go missing unseen."""

from __future__ import annotations

import random
import threading

import psycopg

TABLES = ("orders", "lines", "notes")
SCHEMA = """
CREATE TABLE orders (id bigint PRIMARY KEY, version bigint NOT NULL, price numeric(10,2), note text, at timestamptz);
CREATE TABLE lines (order_id bigint, line int, version bigint NOT NULL, tags text[], PRIMARY KEY (order_id, line));
CREATE TABLE notes (id bigint PRIMARY KEY, version bigint NOT NULL, body jsonb, weight float8);
ALTER TABLE notes REPLICA IDENTITY FULL;
CREATE SEQUENCE versions;
"""
_KEYS = {"orders": "id", "lines": "order_id", "notes": "id"}
_SPAN = 4000


def fill(connection: psycopg.Connection[tuple[object, ...]], rows: int) -> None:
    """The rows that are there before the snapshot, a third a table."""
    connection.execute(SCHEMA.encode())
    third = rows // 3
    connection.execute(
        "INSERT INTO orders SELECT i, nextval('versions'), i / 7.0, 'note ' || i, now() FROM generate_series(1, %s) i",
        (rows - 2 * third,),
    )
    connection.execute(
        "INSERT INTO lines SELECT i, 1, nextval('versions'), ARRAY['a', 'b ' || i] FROM generate_series(1, %s) i",
        (third,),
    )
    connection.execute(
        "INSERT INTO notes SELECT i, nextval('versions'), jsonb_build_object('n', i), i / 3.0 "
        "FROM generate_series(1, %s) i",
        (third,),
    )


class Writer(threading.Thread):
    """Writes until `changes` rows were changed; every version that it committed is in `committed`."""

    def __init__(self, dsn: str, seed: int, changes: int) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self._chance = random.Random(seed)
        self._changes = changes
        self.changed = 0
        self.committed: dict[int, int] = {}
        """Versions of rows that were written and committed; by each, an LSN behind its commit."""
        self.hurry = threading.Event()
        self.pause = threading.Event()

    def run(self) -> None:
        """Write, through restarts of the server."""
        connection: psycopg.Connection[tuple[object, ...]] | None = None
        while self.changed < self._changes:
            try:
                if connection is None or connection.closed:
                    connection = psycopg.connect(self._dsn)
                self._transaction(connection)
            except psycopg.Error:
                connection = None
                self.pause.wait(0.1)
            if not self.hurry.is_set():
                self.pause.wait(0.002)

    def _transaction(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        versions: list[int] = []
        for _ in range(self._chance.choice((1, 1, 2, 8))):
            versions += self._change(connection, self._chance.choice(TABLES))
        if self._chance.random() < 0.1:
            connection.rollback()
            return
        connection.commit()
        row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
        connection.commit()
        behind = int(str(row[0])) if row else 0
        self.committed.update(dict.fromkeys(versions, behind))
        self.changed += max(len(versions), 1)

    def _change(self, connection: psycopg.Connection[tuple[object, ...]], table: str) -> list[int]:
        """One statement; the versions that it wrote."""
        what, key, column = self._chance.random(), self._chance.randint(1, _SPAN), _KEYS[table]
        if what < 0.55:
            statement = f"UPDATE {table} SET version = nextval('versions') WHERE {column} = {key} RETURNING version"
        elif what < 0.85:
            statement = f"INSERT INTO {table} {_row(table, key)} ON CONFLICT DO NOTHING RETURNING version"
        elif what < 0.95:
            statement = f"DELETE FROM {table} WHERE {column} = {key}"
        else:
            statement = (
                f"UPDATE {table} SET {column} = {_SPAN * 10} + nextval('versions'), version = nextval('versions') "
                f"WHERE {column} = {key} RETURNING version"
            )
        found = connection.execute(statement.encode())
        return [int(str(row[0])) for row in found.fetchall()] if found.description else []


def _row(table: str, key: int) -> str:
    if table == "orders":
        return f"VALUES ({key}, nextval('versions'), {key}.5, 'new', now())"
    if table == "lines":
        return f"VALUES ({key}, 1, nextval('versions'), ARRAY['new', NULL])"
    return f"VALUES ({key}, nextval('versions'), '{{\"new\": true}}', {key})"
