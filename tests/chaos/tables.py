"""The tables: their columns, their first rows, random values for them, how a topic shows them; one is not captured."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

TABLES = ("orders", "lines", "notes")
SETTINGS = {"topic.creation.default.partitions": 3, "table.exclude.list": "public.marks"}
KEYS = {"orders": ("id",), "lines": ("order_id", "line"), "notes": ("id",)}

SCHEMA = """
CREATE TABLE orders (id bigint PRIMARY KEY, version bigint NOT NULL, price numeric(12,3), memo text, at timestamptz,
                     paid boolean, code varchar(20));
CREATE TABLE lines (order_id bigint, line int, version bigint NOT NULL, tags text[], made timestamp, day date,
                    amount float8, PRIMARY KEY (order_id, line));
CREATE TABLE notes (id bigint PRIMARY KEY, version bigint NOT NULL, body jsonb, raw bytea, ref uuid, big text,
                    small smallint);
CREATE TABLE marks (token text PRIMARY KEY);
ALTER TABLE notes REPLICA IDENTITY FULL;
ALTER TABLE orders ALTER memo SET STORAGE EXTERNAL;
ALTER TABLE notes ALTER big SET STORAGE EXTERNAL;
"""
_FILL = (
    "INSERT INTO orders SELECT i, 0, i / 7.0, repeat('memo ' || i, 1 + i %% 9), now(), i %% 2 = 0, 'code ' || i "
    "FROM generate_series(1, %s) i",
    "INSERT INTO lines SELECT i, 1 + i %% 3, 0, ARRAY['a', NULL, 'b ' || i], now(), current_date - (i %% 900)::int, "
    "i / 3.0 FROM generate_series(1, %s) i",
    "INSERT INTO notes SELECT i, 0, jsonb_build_object('n', i, 'list', ARRAY[i]), decode(md5(i::text), 'hex'), "
    "gen_random_uuid(), CASE WHEN i %% 10 = 0 THEN repeat(md5(i::text), 100) END, i %% 30000 "
    "FROM generate_series(1, %s) i",
)
# The columns as the topic shows them: times as numbers, an instant as ISO 8601.
_SHOWN = {
    "orders": "id, version, price, memo, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS at, "
    "paid, code",
    "lines": "order_id, line, version, tags, (extract(epoch FROM made) * 1000000)::bigint AS made, "
    "day - date '1970-01-01' AS day, amount",
    "notes": "id, version, body::text AS body, raw, ref::text AS ref, big, small",
}


def fill(connection: psycopg.Connection[tuple[Any, ...]], rows: int) -> None:
    """Make the tables, with the rows that are there before the snapshot: a third a table."""
    connection.execute(SCHEMA.encode())
    third = rows // 3
    for statement, count in zip(_FILL, (rows - 2 * third, third, third), strict=True):
        connection.execute(statement.encode(), (count,))


def values(chance: random.Random, table: str, version: int) -> dict[str, object]:
    """Random values for every column but the key and the version; each may be NULL."""
    moment = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=chance.randrange(10**15))
    row: dict[str, object]
    match table:
        case "orders":
            row = {
                "price": Decimal(chance.randrange(-(10**11), 10**11)) / 1000,
                "memo": f"{version} é€\U0001f600" * chance.choice((1, 2, 1, 250)),
                "at": moment,
                "paid": chance.random() < 0.5,
                "code": f'"quoted\\ {version}',
            }
        case "lines":
            row = {
                "tags": ["new", None, f"{{{version}}}"],
                "made": moment.replace(tzinfo=None),
                "day": date(1900, 1, 1) + timedelta(days=chance.randrange(80000)),
                "amount": chance.choice((chance.random() * 10**6, float("nan"), -0.5)),
            }
        case _:
            row = {
                "body": Jsonb({"version": version, "text": "a\tb\n"}),
                "raw": chance.randbytes(chance.choice((0, 5, 40))),
                "ref": uuid.UUID(int=chance.getrandbits(128)),
                "big": f"{version:08d}" * chance.choice((1, 500)),
                "small": chance.randrange(-32768, 32768),
            }
    return {name: None if chance.random() < 0.05 else value for name, value in row.items()}


def shown(connection: psycopg.Connection[tuple[Any, ...]], table: str) -> dict[tuple[int, ...], dict[str, object]]:
    """The table's rows by key, as its topic should show them."""
    found = connection.execute(f"SELECT {_SHOWN[table]} FROM {table}".encode())
    assert found.description is not None
    names = [column.name for column in found.description]
    width = len(KEYS[table])
    return {tuple(row[:width]): normal(dict(zip(names, row, strict=True))) for row in found.fetchall()}


def normal(row: dict[str, object]) -> dict[str, object]:
    """NaN made equal to itself, bytes of one type."""
    return {name: _normal(value) for name, value in row.items()}


def _normal(value: object) -> object:
    if isinstance(value, float) and value != value:
        return "NaN"
    return bytes(value) if isinstance(value, memoryview | bytearray) else value
