"""What must be true of the source before anything is read: each check tried, with its remedy.

Room: source (IO: PostgreSQL). `run` raises the first failure; `check` shows all findings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from psycopg import sql

from producer.decode import pgoutput
from producer.errors import AccessDenied, OperatorError, ProducerError, ServerNotReady, SettingsError
from producer.events import Relation
from producer.findings import Finding
from producer.settings import Settings
from producer.source import catalog, encoding
from producer.source import slot as slots
from producer.source.catalog import Table
from producer.source.checks import server as release
from producer.source.platform import GENERIC, Platform
from producer.source.wire import Connection


def server(identity: slots.Identity, level: str | None) -> Iterator[Finding | ProducerError]:
    """The server as such: version, primary, encoding, wal_level; None: the log is not read."""
    yield version(identity.version)
    yield primary(identity)
    yield encoded(identity)
    if level is not None:
        yield log_level(level)


def version(number: int) -> Finding | ServerNotReady:
    """Whether our questions to the catalogue are understood there."""
    judged = release.version(number)
    return judged if release.readable(number) else ServerNotReady(judged.detail, remedy=judged.remedy)


def primary(identity: slots.Identity) -> Finding | ServerNotReady:
    """No standby."""
    if identity.in_recovery:
        return ServerNotReady(
            "the server is a standby: its snapshots miss running transactions",
            remedy="set database.hostname to the primary",
        )
    return Finding(name="primary", status="ok", detail=f"not a standby; on timeline {identity.timeline}")


def encoded(identity: slots.Identity) -> Finding | ProducerError:
    """An encoding that has a meaning."""
    how = "" if identity.encoding == "UTF8" else ", sent as UTF-8"
    return encoding.refusal(identity.encoding) or Finding(
        name="encoding", status="ok", detail=f"{identity.encoding}{how}"
    )


def log_level(level: str, platform: Platform | None = None) -> Finding | ServerNotReady:
    """wal_level; `platform`: whose way to it is told, all of them where it is not known."""
    if level == "logical":
        return Finding(name="wal_level", status="ok", detail="logical")
    return ServerNotReady(
        f"wal_level is {level}, and logical decoding needs logical",
        remedy=platform.wal_level
        if platform is not None
        else f"{GENERIC.wal_level} "
        "(Amazon RDS: rds.logical_replication = 1; Cloud SQL: cloudsql.logical_decoding = on)",
    )


def roots(version: int, chosen: Sequence[Table]) -> Iterator[ServerNotReady]:
    """Partitioned tables: older servers do not tell which partitions are theirs."""
    names = [table.qualified_name for table in chosen if table.partitioned]
    if names and version < catalog.PARTITION_ROOT_SINCE:
        yield ServerNotReady(
            f"partitioned tables are captured from PostgreSQL 12 on: {', '.join(names)}",
            remedy="upgrade the server, or leave them out with table.exclude.list",
        )


def rights(
    connection: Connection, tables: Sequence[Table], relations: Sequence[Relation], user: str
) -> Iterator[Finding | ProducerError]:
    """SELECT on every selected table: on the columns that are read of it."""
    shapes = {relation.oid: relation for relation in relations}
    refused = []
    for table in tables:
        shape = shapes.get(table.oid)
        read = [column.name for column in shape.read_columns] if shape else []
        whole = shape is None or len(read) == len(shape.columns)
        if table.usable and table.unreadable.isdisjoint(read):
            continue
        refused.append(table)
        grant = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}; GRANT SELECT{} ON {} TO {};").format(
            sql.Identifier(table.schema),
            sql.Identifier(user),
            sql.SQL("") if whole else sql.SQL(" ({})").format(sql.SQL(", ").join(map(sql.Identifier, read))),
            sql.Identifier(table.schema, table.name),
            sql.Identifier(user),
        )
        of = "" if whole else "the selected columns of "
        yield AccessDenied(f"{user} may not read {of}table {table.qualified_name}", remedy=grant.as_string(connection))
    filtered = [table for table in tables if table.filtered]
    for table in filtered:
        alter = sql.SQL("ALTER ROLE {} BYPASSRLS;").format(sql.Identifier(user))
        yield AccessDenied(
            f"row-level security would hide rows of {table.qualified_name} from {user}: a partial snapshot",
            remedy=f"{alter.as_string(connection)}  (or leave the table out with table.exclude.list)",
        )
    if not refused and not filtered:
        yield Finding(name="read rights", status="ok", detail=f"SELECT on {len(tables)} selected tables")


def identities(connection: Connection, relations: Sequence[Relation], *, published: bool = False) -> Iterator[Finding]:
    """The replica identity of each table: without one its updates and deletes are not logged.

    Of a partitioned table, that of its partitions: its rows are logged as theirs. `published`: by pgoutput, which is
    kept from them: else they would fail.
    """
    lost = "not published, or they would fail for those who write it: they are lost" if published else (
        "not logged, and lost"
    )  # fmt: skip
    tables: dict[str, list[Relation]] = {}
    for relation in relations:
        tables.setdefault(relation.qualified_name, []).append(relation)
    for name, own in tables.items():
        parts = [part for part in own if part.logged_as is not None] or own
        without = [part for part in parts if not part.identity_columns]
        if without:
            yield _unlogged(connection, name, without, len(parts), lost)
        else:
            hows = {"default": "primary key", "full": "FULL", "index": "index"}
            told = ", ".join(sorted({hows.get(part.identity, part.identity) for part in parts}))
            yield Finding(name="identity of", about=name, status="ok", detail=told)


def _unlogged(connection: Connection, name: str, without: Sequence[Relation], all_parts: int, lost: str) -> Finding:
    nothing = all(part.identity == "nothing" for part in without)
    why = "REPLICA IDENTITY NOTHING" if nothing else "no primary key, no replica identity"
    names = [part.logged_names for part in without]
    which = f" of {len(names)} of its {all_parts} partitions" if without[0].logged_as else ""
    statements = [
        sql.SQL("ALTER TABLE {} REPLICA IDENTITY FULL;").format(sql.Identifier(*one)).as_string(connection)
        for one in names
    ]
    return Finding(
        name="identity of",
        about=name,
        status="failed",
        detail=f"{why}: {'its ' if not which else 'the '}UPDATEs and DELETEs{which} are {lost}",
        remedy=" ".join(statements) + "  (or give it a primary key)",
    )


def keys(relations: Iterable[Relation]) -> Iterator[Finding | ProducerError]:
    """A key for each table, without which a full-table run cannot replace what a topic holds."""
    keyless = [relation.qualified_name for relation in relations if relation.logged_as is None and not relation.key]
    if not keyless:
        yield Finding(name="keys", status="ok", detail="every table has one")
        return
    yield OperatorError(
        "replication.method=FULL_TABLE replaces what the topics hold, key by key, and these tables have no key: "
        + ", ".join(keyless),
        remedy="name the columns that tell their rows apart (NOT NULL, without repeats): "
        f"message.key.columns={keyless[0]}:col1,col2; or give them a primary key, or leave them out with "
        "table.exclude.list",
    )


def unlogged_keys(relations: Iterable[Relation], roots: Collection[int], settings: Settings) -> Iterator[SettingsError]:
    """Tables whose updates and deletes are logged without a column of the key that the settings name.

    `roots` are the OIDs of partitioned tables: their rows are logged as their partitions log them.
    """
    if settings.skipped_operations >= {"u", "d"} or settings.replication_method == "FULL_TABLE":
        return
    for relation in relations:
        logged = relation.identity_columns
        if relation.oid in roots or not logged or not settings.key_of(relation.schema, relation.name):
            continue
        missing = [name for name in relation.key if name not in logged]
        if missing:
            schema, name = relation.logged_names
            yield SettingsError(
                f"message.key.columns: table {schema}.{name} does not log "
                f"{', '.join(map(repr, missing))} of an old row: the key of a delete could not be told",
                remedy=f"ALTER TABLE {sql.Identifier(schema, name).as_string()} REPLICA IDENTITY FULL;  "
                "(or name another key)",
            )


def generated(connection: Connection, chosen: Sequence[Table], settings: Settings) -> Iterator[ServerNotReady]:
    """Stored generated columns that pgoutput does not tell of: the stream could not say what the snapshot says."""
    if settings.plugin_name == "wal2json" or catalog.publishes_generated(connection, settings):
        return
    columns = catalog.generated(connection, chosen, settings)
    if columns:
        yield ServerNotReady(
            f"pgoutput does not tell of generated columns: {', '.join(columns)}",
            remedy="leave them out with column.exclude.list, or set plugin.name=wal2json; from PostgreSQL 18 on "
            "ALTER PUBLICATION … SET (publish_generated_columns = stored);",
        )


def messages(version: int, settings: Settings) -> Iterator[ServerNotReady]:
    """Whether pgoutput knows logical messages, where they are asked for."""
    asked = settings.plugin_name == "pgoutput" and settings.message_prefix_include_list
    if asked and version < pgoutput.MESSAGES_SINCE:
        yield ServerNotReady(
            f"message.prefix.include.list: pgoutput of PostgreSQL {version // 10000} does not tell of logical "
            "messages, it does from 14 on",
            remedy="set plugin.name=wal2json, or leave message.prefix.include.list out",
        )


def wal_level(connection: Connection) -> str:
    """The server's wal_level."""
    row = connection.execute(b"SELECT current_setting('wal_level')").fetchone()
    if row is None:
        raise OperatorError("the server tells no wal_level", remedy="is this PostgreSQL?")
    return str(row[0])


def demand(findings: Iterator[Finding | ProducerError]) -> None:
    """Raise the first error among findings."""
    for finding in findings:
        if isinstance(finding, ProducerError):
            raise finding
