"""What `check` says of values: columns whose values the schema would not tell, or would tell wrongly.

Room: source (IO: PostgreSQL). docs/types.md, "arrays", "money", "generated columns". Nothing here is sent:
a sample of each table's rows is looked at, and no value is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import psycopg
from psycopg import sql

from producer.events import Column, PgType, Relation
from producer.findings import Finding
from producer.source.catalog import Table
from producer.source.wire import Connection, Server, explained

_SAMPLE_ROWS = 1000
_MONEY_DIGITS = 2
_VIRTUAL_SINCE = 180000
_VIRTUAL = b"""
SELECT n.nspname || '.' || c.relname || '.' || a.attname
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = 'v'
 ORDER BY 1
"""


def array_depths(
    connection: Connection, at: Server, relations: Sequence[Relation], depth: Callable[[Column], int]
) -> Iterator[Finding]:
    """Arrays of another depth or other lower bounds than the column's schema has: they cannot be carried.

    Dump and restore, LIKE and CREATE TABLE AS forget how deep a column was declared. `depth` tells
    how deep a column's Avro array is; 0 is none.
    """
    looked = 0
    for relation in relations:
        depths = {column.name: depth(column) for column in relation.columns if depth(column)}
        # A partition's rows are among its root's.
        if not depths or relation.logged_as is not None:
            continue
        looked += len(depths)
        with explained(at, f"looking at arrays of {relation.qualified_name}"):
            differing = _differing(connection, relation, depths)
        for name, differs in zip(depths, differing, strict=True):
            if differs:
                yield _other_depth(connection, relation, name, depths[name])
    if looked:
        yield Finding(
            name="arrays",
            status="ok",
            detail=f"{looked} array column(s); up to {_SAMPLE_ROWS} rows of each table were looked at",
        )


def _differing(connection: Connection, relation: Relation, depths: Mapping[str, int]) -> Sequence[object]:
    """For each column, whether a sampled value is not as deep as declared, or not counted from 1."""
    tests = sql.SQL(", ").join(
        sql.SQL("bool_or(array_dims({}) !~ {})").format(
            sql.Identifier(name), sql.Literal(rf"^(\[1:[0-9]+\]){{{depth}}}$")
        )
        for name, depth in depths.items()
    )
    query = sql.SQL("SELECT {} FROM (SELECT {} FROM {} LIMIT {}) AS sample").format(
        tests,
        sql.SQL(", ").join(map(sql.Identifier, depths)),
        sql.Identifier(relation.schema, relation.name),
        sql.Literal(_SAMPLE_ROWS),
    )
    return connection.execute(query).fetchone() or ()


def _other_depth(connection: Connection, relation: Relation, name: str, depth: int) -> Finding:
    table, column = sql.Identifier(relation.schema, relation.name), sql.Identifier(name)
    alter = sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE").format(table, column).as_string(connection)
    return Finding(
        name="array",
        about=f"{relation.qualified_name}.{name}",
        status="warning",
        detail=f"there are values of another depth than the declared one ({depth}), or that do not count from 1: "
        "each such value is a conversion failure",
        remedy=f"declare the column as deep as its values are: {alter} <element type>[]…; with a [] for each dimension "
        "(nothing is rewritten), or set array.handling.mode=string",
    )


def money(at: Server, relations: Sequence[Relation]) -> Iterator[Finding]:
    """Whether money has two fraction digits here: what is stored is a whole number of the smallest unit.

    The producer's own sessions read it under lc_monetary C; this one has the database's.
    """
    columns = [f"{r.qualified_name}.{c.name}" for r in relations for c in r.columns if _holds_money(c.type)]
    if not columns:
        return
    with explained(at), psycopg.connect(at.conninfo(options=""), autocommit=True) as connection:
        row = connection.execute(
            b"SELECT current_setting('lc_monetary'), ('x' || encode(cash_send(1::money), 'hex'))::bit(64)::bigint"
        ).fetchone()
    locale, unit = row if row is not None else ("", 0)
    yield fraction_digits(str(locale), int(str(unit)), columns)


def fraction_digits(locale: str, unit: int, columns: Sequence[str]) -> Finding:
    """What it means that 1 of a locale's money is stored as `unit`."""
    digits = len(str(unit)) - 1
    if digits == _MONEY_DIGITS:
        return Finding(name="money", status="ok", detail=f"lc_monetary is {locale}: {digits} fraction digits")
    return Finding(
        name="money",
        status="failed",
        detail=f"lc_monetary is {locale}: money has {digits} fraction digits there and is read with two, so every "
        f"amount would be wrong: {', '.join(columns)}",
        remedy="change these columns to numeric, or leave their tables out with table.exclude.list",
    )


def _holds_money(type: PgType) -> bool:
    """money itself, or in arrays, domains and records."""
    if type.name == "money" and type.schema == "pg_catalog":
        return True
    inner = [part for part in (type.element, type.base) if part is not None]
    return any(map(_holds_money, [*inner, *(field.type for field in type.fields)]))


def virtual_columns(connection: Connection, tables: Sequence[Table]) -> Iterator[Finding]:
    """Virtual generated columns (PostgreSQL 18): they are never logged, so they are left out."""
    if connection.info.server_version < _VIRTUAL_SINCE:
        return
    found = connection.execute(_VIRTUAL, ([table.oid for table in tables],)).fetchall()
    if found:
        yield Finding(
            name="virtual columns",
            status="warning",
            detail=f"virtual generated columns are never logged, and left out: {', '.join(str(n) for (n,) in found)}",
            remedy="make them STORED, or compute them where they are read",
        )
