"""Reading the catalogue: which tables are selected, and what shape each has now.

Room: source (IO: PostgreSQL). PostgreSQL manual, "System Catalogs".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from psycopg.rows import namedtuple_row

from producer.events import Attribute, Column, Relation, ReplicaIdentity
from producer.settings import Settings
from producer.source import pg_types, selection
from producer.source.wire import Connection

Persistence = Literal["permanent", "unlogged", "temporary"]

_TABLES = """
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       c.relpersistence::text AS persistence, c.relreplident::text AS identity,
       c.relispartition AS is_partition, {root} AS root, greatest(c.reltuples, 0)::bigint AS rows,
       coalesce(pg_relation_filenode(c.oid), 0)::bigint AS filenode,
       has_schema_privilege(n.oid, 'USAGE') AS usable,
       CASE WHEN has_table_privilege(c.oid, 'SELECT') THEN '{{}}'::text[] ELSE array(
           SELECT a.attname::text FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT')) END AS unreadable,
       row_security_active(c.oid) AS filtered
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
   AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'
 ORDER BY n.nspname, c.relname
"""

# A table without columns gives one row, of nulls, once it has rows: its first column may be its key, which a registry
# would refuse beside a schema that was registered for nothing.
_COLUMNS = """
SELECT c.oid::bigint AS relation, a.attname AS name, a.attnum::int AS attnum,
       a.atttypid::bigint AS type, a.atttypmod AS typmod, a.attndims::int AS dimensions,
       a.attnotnull AS not_null, a.attstorage::text AS storage, {generated} AS generated
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.oid = ANY (%s) AND (a.attnum IS NOT NULL OR pg_relation_size(c.oid) > 0)
 ORDER BY c.oid, a.attnum
"""

# Every unique index that could be a key, with its columns in key order.
_INDEXES = """
SELECT i.indrelid::bigint AS relation, c.relname AS name, i.indisprimary AS is_primary,
       i.indisreplident AS is_identity,
       array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY k (attnum, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
              WHERE k.place <= i.{key_count} ORDER BY k.place) AS columns
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = ANY (%s) AND i.indisunique AND i.indisvalid AND i.indimmediate
   AND i.indpred IS NULL AND i.indexprs IS NULL
 ORDER BY i.indrelid, c.relname
"""

_GENERATED_SINCE = 120000
_PUBLISHED_GENERATED_SINCE = 180000
PARTITION_ROOT_SINCE = 120000
_INCLUDED_COLUMNS_SINCE = 110000
_IDENTITIES: dict[str, ReplicaIdentity] = {"d": "default", "f": "full", "i": "index", "n": "nothing"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as the list of tables shows it; its columns are read when it is selected."""

    oid: int
    schema: str
    name: str
    partitioned: bool
    is_partition: bool
    root_oid: int | None
    """A partition's topmost table."""
    persistence: Persistence
    identity: ReplicaIdentity
    rows: int
    """The planner's estimate; 0 for a table never analysed."""
    filenode: int
    usable: bool
    """USAGE on its schema."""
    unreadable: frozenset[str]
    """The columns that we may not SELECT."""
    filtered: bool
    """Row-level security would hide rows from us."""
    through: tuple[str, str] | None = None
    """The topmost table of a partition that we may not read by itself: a right to that one is enough."""

    @property
    def qualified_name(self) -> str:
        """`schema.table`, unquoted."""
        return f"{self.schema}.{self.name}"


def tables(connection: Connection) -> list[Table]:
    """All ordinary and partitioned tables outside the system's schemas, by name."""
    known = connection.info.server_version >= PARTITION_ROOT_SINCE
    root = "CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid::bigint END" if known else "NULL::bigint"
    found = [
        Table(
            oid=row.oid,
            schema=row.schema,
            name=row.name,
            partitioned=row.kind == "p",
            is_partition=row.is_partition,
            root_oid=row.root,
            persistence="unlogged" if row.persistence == "u" else "permanent",
            identity=_IDENTITIES[row.identity],
            rows=row.rows,
            filenode=row.filenode,
            usable=row.usable,
            unreadable=frozenset(row.unreadable),
            filtered=row.filtered,
        )
        for row in _rows(connection, _TABLES.format(root=root))
    ]
    names = {table.oid: (table.schema, table.name) for table in found}
    return [
        replace(table, through=names.get(table.root_oid))
        if table.root_oid is not None and (table.unreadable or not table.usable)
        else table
        for table in found
    ]


_NAMES = b"""
SELECT md5(coalesce(string_agg(concat_ws(' ', c.oid, c.relname, n.nspname, c.relkind, c.relpersistence,
                                         c.relispartition, i.inhparent), E'\\n' ORDER BY c.oid, i.inhparent), ''))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
   AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
"""


def names(connection: Connection) -> str:
    """A digest of which tables there are, their names, and whose partitions: it changes when one of them does."""
    row = connection.execute(_NAMES).fetchone()
    return "" if row is None else str(row[0])


def selected(all_tables: Iterable[Table], wanted: Callable[[str, str], bool]) -> list[Table]:
    """The tables to capture: those that the filter wants, without partitions and unlogged ones."""
    return [
        table
        for table in all_tables
        if not table.is_partition and table.persistence == "permanent" and wanted(table.schema, table.name)
    ]


def leaves(all_tables: Iterable[Table], roots: Iterable[Table]) -> dict[int, Table]:
    """The partitions that hold the rows of these tables, by their OIDs, with their roots."""
    by_oid = {root.oid: root for root in roots if root.partitioned}
    return {
        table.oid: by_oid[table.root_oid]
        for table in all_tables
        if table.root_oid in by_oid and not table.partitioned and table.root_oid is not None
    }


def relations(connection: Connection, chosen: Sequence[Table], settings: Settings) -> dict[int, Relation]:
    """The shape that each table has now, by its oid. A table dropped meanwhile is not in it.

    Raises:
        SettingsError: `message.key.columns` names a column that a table does not have.
    """
    oids = [table.oid for table in chosen]
    if not oids:
        return {}
    unlogged = _unlogged(connection, settings)
    version = connection.info.server_version
    generated = "a.attgenerated::text" if version >= _GENERATED_SINCE else "''::text"
    key_count = "indnkeyatts" if version >= _INCLUDED_COLUMNS_SINCE else "indnatts"
    columns = _by_relation(_rows(connection, _COLUMNS.format(generated=generated), oids))
    indexes = _by_relation(_rows(connection, _INDEXES.format(key_count=key_count), oids))
    by_oid = pg_types.types(connection, {row.type for rows in columns.values() for row in rows if row.type is not None})
    shapes = {}
    for table in chosen:
        if table.oid not in columns:
            continue
        own = tuple(
            Column(
                name=row.name,
                attnum=row.attnum,
                type=by_oid[row.type],
                typmod=row.typmod,
                dimensions=row.dimensions,
                not_null=row.not_null,
                toastable=row.storage != "p",
                generated="stored" if row.generated == "s" else "",
            )
            for row in columns[table.oid]
            if row.name is not None and row.generated not in unlogged
        )
        relation = _relation(table, own, indexes[table.oid])
        # A partition is chosen from under its root's name: `as_partition`.
        shapes[table.oid] = relation if table.is_partition else selection.chosen(relation, settings)
    return shapes


def _unlogged(connection: Connection, settings: Settings) -> frozenset[str]:
    """The kinds of generated columns that the plugin does not tell of (pg_attribute.attgenerated)."""
    told = settings.plugin_name == "wal2json" or publishes_generated(connection, settings)
    return frozenset("v") if told else frozenset("vs")


def publishes_generated(connection: Connection, settings: Settings) -> bool:
    """Whether the publication holds stored generated columns: pgoutput tells of them where it does."""
    if connection.info.server_version < _PUBLISHED_GENERATED_SINCE:
        return False
    query = "SELECT pubgencols = 's' AS all FROM pg_catalog.pg_publication WHERE pubname = %s"
    found = _rows(connection, query, settings.publication_name)
    # One that we are still to make does.
    return found[0].all if found else settings.publication_autocreate_mode != "disabled"


_GENERATED = """
SELECT n.nspname AS schema, c.relname AS name, a.attname AS column
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = 's'
 ORDER BY n.nspname, c.relname, a.attnum
"""


def generated(connection: Connection, chosen: Sequence[Table], settings: Settings) -> list[str]:
    """The stored generated columns that would be sent, `schema.table.column`."""
    if connection.info.server_version < _GENERATED_SINCE:
        return []
    found = _rows(connection, _GENERATED, [table.oid for table in chosen])
    wanted = [row for row in found if settings.wants_column(row.schema, row.name, row.column)]
    return [f"{row.schema}.{row.name}.{row.column}" for row in wanted]


def captured(connection: Connection, chosen: Sequence[Table], settings: Settings) -> list[Relation]:
    """The shapes that the selected tables have now, those of their partitions among them."""
    every = tables(connection)
    roots = leaves(every, chosen)
    found = relations(connection, [*chosen, *(table for table in every if table.oid in roots)], settings)
    return [
        as_partition(relation, found[roots[oid].oid]) if oid in roots else relation for oid, relation in found.items()
    ]


def under_root(connection: Connection, table: Table, root: Table, settings: Settings) -> Relation | None:
    """The shape that a table has now, under the name of its root, which may be itself; None: it is gone."""
    found = relations(connection, list({table.oid: table, root.oid: root}.values()), settings)
    now = found.get(table.oid)
    if now is not None and root.oid in found and root.oid != table.oid:
        return as_partition(now, found[root.oid])
    return now


def as_partition(leaf: Relation, root: Relation) -> Relation:
    """A partition's relation under its root's name: the same topic, key and schemas."""
    names = {column.name: column for column in root.columns}
    attnums = {column.name: column.attnum for column in leaf.columns}
    # Read a moment apart, one may have a column that the other has not.
    order = tuple(attnums[name] for name in names if name in attnums)
    return replace(
        leaf,
        schema=root.schema,
        name=root.name,
        # A partition may be stricter than its root; the topic has one schema.
        columns=tuple(
            replace(column, not_null=names[column.name].not_null, sent=names[column.name].sent)
            if column.name in names
            else column
            for column in leaf.columns
        ),
        key=root.key,
        logged_as=(leaf.schema, leaf.name),
        order=() if [column.name for column in leaf.columns] == list(names) else order,
    )


_ATTACHED = """
SELECT leaf::bigint AS oid FROM unnest(%s::bigint[]::oid[]) leaf
 WHERE EXISTS (SELECT FROM pg_partition_ancestors(leaf) p (relid)
                 JOIN pg_catalog.pg_inherits i ON i.inhrelid = p.relid
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = p.relid AND a.attnum = -1
                WHERE a.xmin <> i.xmin)
"""


def attached(connection: Connection, leaves: Sequence[int]) -> set[int]:
    """Those partitions that were made as tables of their own and attached later, with the rows that they had.

    The row of a system column is written when a table is made, and never again.
    """
    return {row.oid for row in _rows(connection, _ATTACHED, list(leaves))} if leaves else set()


def renamed(connection: Connection, before: Relation, settings: Settings) -> Relation | None:
    """A table that was known before, as it is now, under the name that it had; None: it is gone."""
    table = next((table for table in tables(connection) if table.oid == before.oid), None)
    now = relations(connection, [table], settings).get(before.oid) if table is not None else None
    if now is None:
        return None
    return replace(
        now,
        schema=before.schema,
        name=before.name,
        logged_as=before.logged_as,
        key=before.key if before.logged_as else now.key,
    )


_PRIMARY = """
SELECT a.attname AS name, a.atttypid::bigint AS type
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
 WHERE i.indrelid = %s AND i.indisprimary AND i.indimmediate
 ORDER BY a.attnum
"""


def primary(connection: Connection, table_oid: int) -> tuple[tuple[str, int], ...]:
    """The primary key's columns and their types, by number; empty: there is none, or no such table any more."""
    return tuple((row.name, row.type) for row in _rows(connection, _PRIMARY, table_oid))


_ATTRIBUTES = """
SELECT a.attnum::int AS attnum, a.attname AS name, a.attisdropped AS dropped, a.atttypid::bigint AS type_oid,
       a.atttypmod AS typmod, a.attndims::int AS dimensions, a.attlen::int AS length,
       a.attnotnull AS not_null, a.attstorage <> 'p' AS toastable
  FROM pg_catalog.pg_attribute a WHERE a.attrelid = %s AND a.attnum > 0 ORDER BY a.attnum
"""


def attributes(connection: Connection, table_oid: int) -> list[Attribute]:
    """All columns that the table has or had, by number."""
    return [Attribute(**row._asdict()) for row in _rows(connection, _ATTRIBUTES, table_oid)]


def _relation(table: Table, columns: tuple[Column, ...], indexes: list[Any]) -> Relation:
    """Choose the key: identity index, primary key, a unique index without nullable columns, none."""
    not_null = {column.name for column in columns if column.not_null}
    primary = next((tuple(index.columns) for index in indexes if index.is_primary), ())
    unique = next((tuple(index.columns) for index in indexes if not_null.issuperset(index.columns)), ())
    identity_index = next((tuple(index.columns) for index in indexes if index.is_identity), ())
    logged: Iterable[str]
    if table.identity == "full":
        logged = (column.name for column in columns)
    elif table.identity == "index":
        logged = identity_index
    else:
        logged = primary if table.identity == "default" else ()
    key = identity_index if table.identity == "index" and identity_index else primary or unique
    return Relation(
        oid=table.oid,
        schema=table.schema,
        name=table.name,
        columns=columns,
        key=key,
        identity=table.identity,
        identity_columns=frozenset(logged),
        primary=tuple((column.name, column.type.oid) for column in columns if column.name in primary),
    )


def _by_relation(rows: Iterable[Any]) -> defaultdict[int, list[Any]]:
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.relation].append(row)
    return found


def _rows(connection: Connection, query: str, *parameters: object) -> list[Any]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cast("list[Any]", cursor.execute(query.encode(), parameters or None).fetchall())
