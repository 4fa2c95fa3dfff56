"""What must be true of the source before anything is read: each check tried, with its remedy.

Room: source (IO: PostgreSQL). `run` raises the first failure; `check` shows all findings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg import sql
from psycopg.pq import ExecStatus

from producer.decode import pgoutput
from producer.errors import (
    AccessDenied,
    OperatorError,
    PostgresUnavailable,
    ProducerError,
    ServerNotReady,
    SettingsError,
    SlotInUse,
)
from producer.events import Relation
from producer.settings import Settings
from producer.source import catalog, encoding
from producer.source import slot as slots
from producer.source.catalog import Table
from producer.source.wire import ALLOW_WAL2JSON, USE_PGOUTPUT, Connection, Server, connect_replication, explained

Status = Literal["ok", "warning", "failed"]
_OLDEST = 100000
# By `make matrix`.
_TESTED = (13, 15, 17, 18)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `check`."""

    name: str
    status: Status
    detail: str
    remedy: str = ""

    @classmethod
    def of(cls, name: str, error: ProducerError) -> Finding:
        """A failure, from the error that `run` would end with."""
        return cls(name=name, status="failed", detail=error.message, remedy=error.remedy)


def server(identity: slots.Identity, wal_level: str) -> Iterator[Finding | ProducerError]:
    """The server as such: version, primary, encoding, wal_level."""
    version = f"{identity.version // 10000}.{identity.version % 10000}"
    if identity.version < _OLDEST:
        yield ServerNotReady(
            f"PostgreSQL {version} is older than 10", remedy="upgrade the server: 10 and newer can be read"
        )
    elif identity.version // 10000 in _TESTED:
        yield Finding(name="server version", status="ok", detail=f"PostgreSQL {version}")
    else:
        yield Finding(
            name="server version",
            status="warning",
            detail=f"PostgreSQL {version} should work; this release is tested on {', '.join(map(str, _TESTED))}",
        )
    if identity.in_recovery:
        yield ServerNotReady(
            "the server is a standby: its snapshots miss running transactions",
            remedy="set database.hostname to the primary",
        )
    refused = encoding.refusal(identity.encoding)
    if refused is not None:
        yield refused
    else:
        how = "" if identity.encoding == "UTF8" else ", sent as UTF-8"
        yield Finding(name="encoding", status="ok", detail=f"{identity.encoding}{how}")
    if wal_level == "logical":
        yield Finding(name="wal_level", status="ok", detail="logical")
    else:
        yield ServerNotReady(
            f"wal_level is {wal_level}, and logical decoding needs logical",
            remedy="ALTER SYSTEM SET wal_level = logical;  then restart the server "
            "(Amazon RDS: rds.logical_replication = 1; Cloud SQL: cloudsql.logical_decoding = on)",
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
    filtered = [table for table in tables if table not in refused and table.filtered]
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

    `published`: by pgoutput, which is kept from them: else they would fail.
    """
    lost = "not published, or they would fail for those who write it: they are lost" if published else (
        "not logged, and lost"
    )  # fmt: skip
    for relation in relations:
        name = f"identity of {relation.qualified_name}"
        if relation.identity_columns:
            how = {"default": "primary key", "full": "FULL", "index": "index"}.get(relation.identity, "")
            yield Finding(name=name, status="ok", detail=how)
        else:
            alter = sql.SQL("ALTER TABLE {} REPLICA IDENTITY FULL;").format(
                sql.Identifier(relation.schema, relation.name)
            )
            why = (
                "REPLICA IDENTITY NOTHING" if relation.identity == "nothing" else "no primary key, no replica identity"
            )
            yield Finding(
                name=name,
                status="failed",
                detail=f"{why}: its UPDATEs and DELETEs are {lost}",
                remedy=alter.as_string(connection) + "  (or give it a primary key)",
            )


def unlogged_keys(relations: Iterable[Relation], roots: Collection[int], settings: Settings) -> Iterator[SettingsError]:
    """Tables whose updates and deletes are logged without a column of the key that the settings name.

    `roots` are the OIDs of partitioned tables: their rows are logged as their partitions log them.
    """
    if settings.skipped_operations >= {"u", "d"}:
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


def slot(connection: Connection, name: str, plugin: str, at: Server) -> Iterator[Finding | ProducerError]:
    """The slot: usable, or still to be made and room for it."""
    found = slots.find(connection, name)
    if found is None:
        row = connection.execute(
            b"SELECT (SELECT count(*) FROM pg_replication_slots)::int, current_setting('max_replication_slots')::int"
        ).fetchone()
        used, most = (int(str(value)) for value in row) if row else (0, 0)
        if used >= most:
            yield ServerNotReady(
                f"all {most} replication slots are in use",
                remedy="raise max_replication_slots and restart the server, or drop a slot that nobody reads",
            )
        else:
            yield Finding(name="slot", status="ok", detail=f"{name} will be made by the first run")
        return
    try:
        slots.usable(found, plugin, at.dbname)
    except ProducerError as error:
        yield error
        return
    if found.active_pid is not None and found.reader != at.application_name:
        yield SlotInUse(
            f"the replication slot {name} is read by pid {found.active_pid}"
            + (f" ({found.reader})" if found.reader else ""),
            remedy="stop that reader, or set slot.name to another name",
        )
        return
    if found.wal_status == "unreserved":
        yield Finding(
            name="slot", status="warning",
            detail=f"{name}: its WAL budget (max_slot_wal_keep_size) is used up: the server may remove what it needs",
            remedy="run soon, or raise max_slot_wal_keep_size",
        )  # fmt: skip
        return
    retained = f"{(found.retained_bytes or 0) / 1e6:.0f} MB of WAL retained"
    reader = ", read by our own running producer" if found.active_pid else ""
    yield Finding(name="slot", status="ok", detail=f"{name}: {retained}{reader}")


def replication(at: Server, plugin: str) -> Iterator[Finding | ProducerError]:
    """The right to replicate, and the plugin: tried with a temporary slot, which leaves nothing behind."""
    try:
        connection = connect_replication(at)
    except ProducerError as error:
        yield error
        return
    # A plugin that took the option of the last question has left the session in the midst of its stream.
    with contextlib.closing(connection):
        yield Finding(name="replication right", status="ok", detail=f"{at.user} may replicate")
        probe = f"producer_probe_{connection.info.backend_pid}"
        try:
            with explained(at, f"trying the plugin {plugin}"):
                connection.execute(b"SET lock_timeout = '5s'")
                connection.execute(
                    sql.SQL("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL {} NOEXPORT_SNAPSHOT").format(
                        sql.Identifier(probe), sql.Identifier(plugin)
                    )
                )
            yield Finding(name="plugin", status="ok", detail=f"{plugin} is installed and allowed")
            if plugin == "wal2json":
                yield _plugin_age(connection, probe)
        except PostgresUnavailable as error:
            yield Finding(name="plugin", status="warning", detail=f"not tried: {error.message}", remedy=error.remedy)
        except ProducerError as error:
            yield error


OLD_PLUGIN = "wal2json is older than 2.6"


def _plugin_age(connection: Connection, probe: str) -> Finding:
    """Whether the plugin knows an option of 2.6: nothing tells its version."""
    statement = sql.SQL("START_REPLICATION SLOT {} LOGICAL 0/0 ({} '1')").format(
        sql.Identifier(probe), sql.Identifier("numeric-data-types-as-string")
    )
    result = connection.pgconn.exec_(statement.as_bytes(connection))
    if result.status == ExecStatus.COPY_BOTH:
        return Finding(name="plugin version", status="ok", detail="wal2json is 2.6 or newer")
    return Finding(name="plugin version", status="ok", detail=OLD_PLUGIN)


def hidden_numbers(relations: Sequence[Relation]) -> Finding | None:
    """The columns in which an old plugin cannot print NaN and Infinity."""
    columns = [
        f"{relation.qualified_name}.{column.name}"
        for relation in relations
        for column in relation.columns
        if column.sent and column.type.kind == "base" and column.type.name in ("float4", "float8", "numeric")
    ]
    if not columns:
        return None
    return Finding(
        name="NaN and Infinity",
        status="warning",
        detail=f"{OLD_PLUGIN} and prints them as null: a row with a null in one of these columns is read again, "
        f"as it is then: {', '.join(columns)}",
        remedy="install wal2json 2.6 or newer",
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


def messages(version: int, *, asked: bool) -> Iterator[ServerNotReady]:
    """Whether pgoutput knows logical messages, where they are asked for."""
    if asked and version < pgoutput.MESSAGES_SINCE:
        yield ServerNotReady(
            f"message.prefix.include.list: pgoutput of PostgreSQL {version // 10000} does not tell of logical "
            "messages, it does from 14 on",
            remedy="set plugin.name=wal2json, or leave message.prefix.include.list out",
        )


def plugin_allowed(connection: Connection, plugin: str) -> None:
    """Refuse early, before a slot is made, a plugin that the server does not list.

    Raises:
        ServerNotReady: output_plugin_libraries (servers since August 2026) lacks it.
    """
    row = connection.execute(b"SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'").fetchone()
    if row is None:
        return
    allowed = [name.strip() for name in str(row[0]).split(",")]
    if plugin not in allowed:
        raise ServerNotReady(
            f'library "{plugin}" may not be used as an output plugin (SQLSTATE 42501): the server allows '
            f"{', '.join(allowed)}",
            remedy="as a superuser: "
            + (ALLOW_WAL2JSON if plugin == "wal2json" else f"add {plugin} to output_plugin_libraries;")
            + " SELECT pg_reload_conf();"
            + (f"  {USE_PGOUTPUT}" if plugin == "wal2json" and "pgoutput" in allowed else ""),
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
