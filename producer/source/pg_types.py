"""Reading pg_type: the types that columns have, down to what domains, arrays and composites are made of.

Room: source (IO: PostgreSQL). PostgreSQL manual, "pg_type", "pg_enum", "pg_attribute".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from psycopg.rows import namedtuple_row

from producer.events import PgType, TypeField, TypeKind
from producer.source.wire import Connection

_TYPES = b"""
WITH RECURSIVE wanted (oid) AS (
    SELECT unnest(%s::bigint[]::oid[])
  UNION
    SELECT d.next FROM wanted w JOIN pg_catalog.pg_type t ON t.oid = w.oid,
           unnest(ARRAY[t.typbasetype, t.typelem] || array(
               SELECT a.atttypid FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)) AS d (next)
     WHERE d.next <> 0
)
SELECT t.oid::bigint AS oid, n.nspname AS schema, t.typname AS name, t.typlen::int AS length, t.typtype::text AS kind,
       t.typcategory::text AS category, t.typbasetype::bigint AS base, t.typtypmod AS base_typmod,
       t.typndims::int AS base_dimensions, t.typdelim::text AS delimiter,
       (SELECT json_agg(json_build_array(a.attname, a.atttypid::bigint, a.atttypmod, a.attndims) ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS fields,
       CASE WHEN t.typcategory = 'A' THEN t.typelem::bigint ELSE 0 END AS element,
       array(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
              WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS labels
  FROM wanted w JOIN pg_catalog.pg_type t ON t.oid = w.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
"""

_KINDS: dict[str, TypeKind] = {
    "b": "base",
    "c": "composite",
    "d": "domain",
    "e": "enum",
    "p": "pseudo",
    "r": "range",
    "m": "multirange",
}


def types(connection: Connection, oids: Iterable[int]) -> dict[int, PgType]:
    """The types with these OIDs, as far as they are still there, with what they lead to."""
    wanted = set(oids)
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        found = cast("list[Any]", cursor.execute(_TYPES, (sorted(wanted),)).fetchall())
    rows = {row.oid: row for row in found}
    built: dict[int, PgType] = {}

    def build(oid: int) -> PgType:
        if oid not in built:
            row = rows[oid]
            built[oid] = PgType(
                oid=oid,
                schema=row.schema,
                name=row.name,
                kind=_KINDS[row.kind],
                category=row.category,
                element=build(row.element) if row.element else None,
                base=build(row.base) if row.base else None,
                base_typmod=row.base_typmod,
                base_dimensions=row.base_dimensions,
                labels=tuple(row.labels),
                fields=tuple(
                    TypeField(name=name, type=build(of), typmod=typmod, dimensions=dimensions)
                    for name, of, typmod, dimensions in row.fields or ()
                ),
                delimiter=row.delimiter,
                length=row.length,
            )
        return built[oid]

    # A type that is gone is not in it.
    return {oid: build(oid) for oid in wanted if oid in rows}


def type_oid(connection: Connection, name: str) -> int:
    """The type that format_type prints as `name` when no schema but the system's is in the search path; 0: none."""
    row = connection.execute(b"SELECT coalesce(to_regtype(%s)::oid::bigint, 0)", (name,)).fetchone()
    return int(str(row[0])) if row else 0
