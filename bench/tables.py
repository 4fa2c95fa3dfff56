"""The tables of the workloads, and SQL that fills them."""

from __future__ import annotations

from bench.database import Database

_ORDERS_COLUMNS = """(id bigserial PRIMARY KEY, customer int, status text, quantity int, amount numeric(12,2),
  reference text, note text, created timestamptz DEFAULT now(), updated timestamp DEFAULT now(), tags text[],
  extra jsonb) WITH (autovacuum_enabled = false)"""
ORDER_FIELDS = "customer, status, quantity, amount, reference, note, tags, extra"


def orders(table: str = "orders") -> str:
    """The statement that makes a table of 11 columns; a row is about 250 bytes."""
    return f"CREATE TABLE {table} {_ORDERS_COLUMNS}"


def order(number: str = "i") -> str:
    """The values of an order, by an integer expression."""
    return (
        f"{number}, 'shipped', {number} % 5, {number} / 7.0, 'ref-' || {number}, repeat('x', 70), "
        """ARRAY['red', 'green', 'big blue'], '{"a": 1, "b": "text", "c": [1, 2, 3]}'::jsonb"""
    )


def insert_orders(table: str, rows: int) -> str:
    """The statement that inserts so many orders."""
    return f"INSERT INTO {table} ({ORDER_FIELDS}) SELECT {order()} FROM generate_series(1, {rows}) i"


def load_orders(database: Database, rows: int, each: int = 1000) -> None:
    """So many orders to the database's first table, so many a transaction."""
    (table, *_) = database.tables
    counts = [min(each, rows - done) for done in range(0, rows, each)]
    database.execute(*(insert_orders(table, count) for count in counts))
