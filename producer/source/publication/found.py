"""What the server has of our publications.

Room: source (IO: PostgreSQL). PostgreSQL manual, "pg_publication", "pg_publication_rel", "pg_publication_namespace".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from psycopg.rows import namedtuple_row

from producer.source.catalog import Table
from producer.source.wire import Connection

OPERATIONS = {"c": "insert", "u": "update", "d": "delete", "t": "truncate"}
"""What a publication publishes, by our letters."""
VIA_ROOT_SINCE = 130000
ROOTS_SINCE = 130000
"""A partitioned table can be a member."""
_TRUNCATE_SINCE = 110000
_FILTERS_SINCE = 150000
_NAME_BYTES = 63
_INSERTS = "_inserts"


class Names(NamedTuple):
    """Of the publication, and of that of the tables whose inserts alone are published."""

    main: str
    inserts: str

    @classmethod
    def of(cls, name: str) -> Names:
        """Both, within what the server keeps of a name."""
        return cls(name, _cut(name, _NAME_BYTES - len(_INSERTS)) + _INSERTS)


def _cut(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class Member:
    """A table that a publication names."""

    oid: int
    """pg_publication_rel's: a table that was taken out and put back has another."""
    filtered: bool = False
    """Some of its rows are left out."""
    listed: bool = False
    """Some of its columns are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A row of pg_publication, with what belongs to it."""

    oid: int
    name: str
    owned: bool = True
    """We may alter it."""
    all_tables: bool = False
    operations: frozenset[str] = frozenset(OPERATIONS)
    via_root: bool = False
    """Rows of partitions are told of under their root's name."""
    members: Mapping[int, Member] = field(default_factory=dict)
    """By the table's OID."""
    schemas: Mapping[str, int] = field(default_factory=dict)
    """Those whose tables are all published, and the OIDs that say so."""

    def membership(self, table: Table) -> int | None:
        """The OID of what puts the table in; None: it is not in. One that was out meanwhile has another."""
        if table.oid in self.members:
            return self.members[table.oid].oid
        if table.schema in self.schemas:
            return self.schemas[table.schema]
        return self.oid if self.all_tables else None


_PUBLICATIONS = """
SELECT p.oid::bigint AS oid, p.pubname::text AS name, pg_has_role(p.pubowner, 'USAGE') AS owned,
       p.puballtables AS all_tables, p.pubinsert AS c, p.pubupdate AS u, p.pubdelete AS d, {truncate} AS t,
       {via_root} AS via_root
  FROM pg_catalog.pg_publication p WHERE p.pubname::text = ANY (%(wanted)s)
"""
_MEMBERS = """
SELECT r.prpubid::bigint AS publication, r.prrelid::bigint AS relation, r.oid::bigint AS oid,
       {filtered} AS filtered, {listed} AS listed
  FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = ANY (%(wanted)s::bigint[])
"""
_SCHEMAS = """
SELECT s.pnpubid::bigint AS publication, n.nspname::text AS name, s.oid::bigint AS oid
  FROM pg_catalog.pg_publication_namespace s JOIN pg_catalog.pg_namespace n ON n.oid = s.pnnspid
 WHERE s.pnpubid = ANY (%(wanted)s::bigint[])
"""


def find(connection: Connection, names: Iterable[str]) -> dict[str, Publication]:
    """Those of these publications that there are, by name."""
    version = connection.info.server_version
    filters = version >= _FILTERS_SINCE
    rows = _rows(
        connection,
        _PUBLICATIONS.format(
            truncate="p.pubtruncate" if version >= _TRUNCATE_SINCE else "true",
            via_root="p.pubviaroot" if version >= VIA_ROOT_SINCE else "false",
        ),
        {"wanted": list(names)},
    )
    oids = [row.oid for row in rows]
    members: dict[int, dict[int, Member]] = {oid: {} for oid in oids}
    schemas: dict[int, dict[str, int]] = {oid: {} for oid in oids}
    query = _MEMBERS.format(
        filtered="r.prqual IS NOT NULL" if filters else "false", listed="r.prattrs IS NOT NULL" if filters else "false"
    )
    for row in _rows(connection, query, {"wanted": oids}):
        members[row.publication][row.relation] = Member(row.oid, row.filtered, row.listed)
    for row in _rows(connection, _SCHEMAS, {"wanted": oids}) if filters else ():
        schemas[row.publication][row.name] = row.oid
    return {
        row.name: Publication(
            oid=row.oid,
            name=row.name,
            owned=row.owned,
            all_tables=row.all_tables,
            operations=frozenset(letter for letter in OPERATIONS if getattr(row, letter)),
            via_root=row.via_root,
            members=members[row.oid],
            schemas=schemas[row.oid],
        )
        for row in rows
    }


HAS_IDENTITY = """\
(c.relreplident = 'f' OR EXISTS (
    SELECT FROM pg_catalog.pg_index i
     WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
       AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END))"""
"""SQL: whether the table `c`, a row of pg_class, logs the old rows of its updates and deletes."""

BARE = f"""
SELECT n.nspname::text AS schema, c.relname::text AS name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
   AND NOT {HAS_IDENTITY}
 ORDER BY 1, 2
"""
"""SQL: schema and name of all the database's tables whose updates and deletes fail once they are published."""


def without_identity(connection: Connection) -> list[tuple[str, str]]:
    """What `BARE` finds."""
    return [(row.schema, row.name) for row in _rows(connection, BARE)]


# One line for each table that is still there, and one for the publications themselves.
_STATES = """
SELECT c.oid::bigint AS oid, concat_ws(' ', {identity}, (
           SELECT string_agg(r.oid::text, ' ' ORDER BY r.oid) FROM pg_catalog.pg_publication_rel r
             JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
            WHERE r.prrelid = c.oid AND p.pubname::text = ANY (%(names)s))) AS state
  FROM pg_catalog.pg_class c WHERE c.oid = ANY (%(tables)s::bigint[]::oid[])
UNION ALL
SELECT -p.oid::bigint, concat_ws(' ', p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, {options}, {schemas})
  FROM pg_catalog.pg_publication p WHERE p.pubname::text = ANY (%(names)s)
"""
_DIGEST = (
    "SELECT md5(coalesce(string_agg(concat_ws(' ', s.oid, s.state), ',' ORDER BY s.oid), '')) AS digest FROM ({}) s"
)


def _states(connection: Connection) -> str:
    version = connection.info.server_version
    options = [("p.pubtruncate", _TRUNCATE_SINCE), ("p.pubviaroot", VIA_ROOT_SINCE)]
    return _STATES.format(
        identity=HAS_IDENTITY,
        options=", ".join(["''", *(column for column, since in options if version >= since)]),
        schemas="(SELECT string_agg(s.oid::text, ' ' ORDER BY s.oid) FROM pg_catalog.pg_publication_namespace s "
        "WHERE s.pnpubid = p.oid)"
        if version >= _FILTERS_SINCE
        else "''",
    )


def states(connection: Connection, names: Collection[str], tables: Collection[int]) -> dict[int, str]:
    """A word for how each of the tables that still exist is published, by OID; for a publication by its OID below 0."""
    given = {"names": list(names), "tables": list(tables)}
    return {row.oid: row.state for row in _rows(connection, _states(connection), given)}


def digest(connection: Connection, names: Collection[str], tables: Collection[int]) -> str:
    """Of `states`: it changes when one of them does, or a table is dropped."""
    given = {"names": list(names), "tables": list(tables)}
    return str(_rows(connection, _DIGEST.format(_states(connection)), given)[0].digest)


def shared(connection: Connection, slot: str) -> bool:
    """Whether another slot of this database may be read by the same publications: a second connector, a subscriber."""
    query = (
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE plugin = 'pgoutput' "
        "AND database = current_database() AND slot_name <> %(slot)s) AS found"
    )
    return bool(_rows(connection, query, {"slot": slot})[0].found)


def _rows(connection: Connection, query: str, given: Mapping[str, object] | None = None) -> list[Any]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cast("list[Any]", cursor.execute(query.encode(), given).fetchall())
