"""The selected tables: what the filters match, what is not captured, partitions.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Table Partitioning", "pg_class".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from psycopg import sql

from producer.events import Relation
from producer.findings import Finding
from producer.settings import Settings
from producer.settings.values import Filter
from producer.source import preflight
from producer.source.catalog import Table
from producer.source.wire import Connection

_NAMED = 10
_KINDS = {"v": "views", "m": "materialised views", "f": "foreign tables"}
_OTHERS = b"""
SELECT n.nspname, c.relname, c.relkind::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'
 ORDER BY 1, 2
"""


def chosen(every: Sequence[Table], selected: Sequence[Table], settings: Settings) -> Iterator[Finding]:
    """How many the filters select, and which of their expressions match nothing."""
    yield Finding(
        name="tables",
        status="ok" if selected else "failed",
        detail=f"{len(selected)} selected of {len(every)}",
        remedy="" if selected else "look at schema.include.list and table.include.list; is database.dbname right?",
    )
    schemas, names_of_all = {table.schema for table in every}, {table.qualified_name for table in every}
    for key, expressions, names in (
        ("schema.include.list", settings.schema_include_list, schemas),
        ("schema.exclude.list", settings.schema_exclude_list, schemas),
        ("table.include.list", settings.table_include_list, names_of_all),
        # Misspelt, it sends a table that was to stay.
        ("table.exclude.list", settings.table_exclude_list, names_of_all),
    ):
        unmatched = _unmatched(expressions, names)
        if unmatched:
            yield Finding(
                name="filters",
                status="warning",
                detail=f"{key}: nothing that is there is matched by {', '.join(map(repr, unmatched))}",
                remedy="is it spelled right? An expression is for the whole name, a dot in it for any character; views "
                "and foreign tables are not captured",
            )


def _unmatched(expressions: Filter, names: Iterable[str]) -> list[str]:
    known = list(names)
    return [one.pattern for one in expressions if not any(one.fullmatch(name) for name in known)]


def not_captured(connection: Connection, every: Sequence[Table], settings: Settings) -> Iterator[Finding]:
    """What the filters name and the log does not hold."""
    for table in every:
        if table.persistence == "unlogged" and settings.wants_table(table.schema, table.name):
            yield Finding(
                name="table",
                about=table.qualified_name,
                status="warning",
                detail="is unlogged: not captured",
                remedy=_logged(table),
            )
    others = cast("list[tuple[str, str, str]]", connection.execute(_OTHERS).fetchall())
    wanted = [(f"{schema}.{name}", kind) for schema, name, kind in others if settings.wants_table(schema, name)]
    # Without filters everything is wanted: nobody asked for these by name.
    named = bool(settings.table_include_list) and wanted
    for kind, words in _KINDS.items():
        names = [name for name, its in wanted if its == kind]
        if names and named:
            yield Finding(
                name="not captured",
                status="warning",
                detail=f"{words} that are selected: {_some(names)}",
                remedy="capture the tables that they are made of",
            )


def partitions(
    connection: Connection, every: Sequence[Table], selected: Sequence[Table], relations: Sequence[Relation]
) -> Iterator[Finding]:
    """The partitioned tables, each with its partitions, and which of these are not captured."""
    roots = [table for table in selected if table.partitioned]
    if not roots:
        return
    refused = [Finding.of("partitions", error) for error in preflight.roots(connection.info.server_version, roots)]
    if refused:
        yield from refused
        return
    leaves = Counter(relation.qualified_name for relation in relations if relation.logged_as is not None)
    told = [f"{root.qualified_name} ({leaves[root.qualified_name]})" for root in roots]
    yield Finding(name="partitions", status="ok", detail=f"each under its table's topic: {_some(told)}")
    ours = {root.oid for root in roots}
    unlogged = [one for one in every if one.root_oid in ours and one.persistence == "unlogged"]
    if unlogged:
        yield Finding(
            name="unlogged partitions",
            status="warning",
            detail=f"their rows are not in the log: {_some([one.qualified_name for one in unlogged])}",
            remedy=" ".join(_logged(one) for one in unlogged),
        )


def _logged(table: Table) -> str:
    return f"ALTER TABLE {sql.Identifier(table.schema, table.name).as_string()} SET LOGGED;"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
