"""The replication slot: what it is now, making it with an exported snapshot, dropping it.

Room: source (IO: PostgreSQL). PostgreSQL manual, "pg_replication_slots", "Streaming Replication
Protocol".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from psycopg import sql
from psycopg.errors import LockNotAvailable

from producer.errors import PostgresUnavailable, SlotInUse, SlotLost
from producer.lsn import Lsn
from producer.source.wire import Connection, Server, explained

# A transaction that stays open makes the creation wait; an orphaned prepared one, for ever.
_CREATE_LOCK_TIMEOUT = "90s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A row of pg_replication_slots, with how much WAL it holds back."""

    name: str
    plugin: str
    database: str
    active_pid: int | None
    reader: str | None
    """application_name of the session that reads it, where we may see it."""
    restart_lsn: Lsn | None
    confirmed_lsn: Lsn | None
    wal_status: str | None
    retained_bytes: int | None
    lag_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which server, and which line of its history, a position belongs to."""

    system_id: str
    timeline: int
    version: int
    in_recovery: bool
    encoding: str
    insert_lsn: Lsn | None


_SLOT = """
SELECT s.slot_name, s.plugin, s.database, s.active_pid, a.application_name,
       s.restart_lsn::text, s.confirmed_flush_lsn::text, {wal_status},
       CASE WHEN NOT pg_is_in_recovery()
            THEN pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn)::bigint END,
       CASE WHEN NOT pg_is_in_recovery()
            THEN pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.confirmed_flush_lsn)::bigint END
  FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
 WHERE s.slot_name = %s
"""
_WAL_STATUS_SINCE = 130000


def find(connection: Connection, name: str) -> Slot | None:
    """The slot of that name, or None."""
    wal_status = "s.wal_status" if connection.info.server_version >= _WAL_STATUS_SINCE else "NULL"
    row = connection.execute(_SLOT.format(wal_status=wal_status).encode(), (name,)).fetchone()
    if row is None:
        return None
    (slot_name, plugin, database, pid, reader, restart, confirmed, status, retained, lag) = cast(
        "tuple[str, str | None, str | None, int | None, str | None, str | None, str | None, "
        "str | None, int | None, int | None]",
        row,
    )
    return Slot(
        name=slot_name,
        plugin=plugin or "",
        database=database or "",
        active_pid=pid,
        reader=reader,
        restart_lsn=Lsn.parse(restart) if restart else None,
        confirmed_lsn=Lsn.parse(confirmed) if confirmed else None,
        wal_status=status,
        retained_bytes=retained,
        lag_bytes=lag,
    )


def reader(connection: Connection, name: str) -> int | None:
    """The server's process that serves the slot now."""
    row = connection.execute(
        b"SELECT active_pid FROM pg_catalog.pg_replication_slots WHERE slot_name = %s", (name,)
    ).fetchone()
    return cast("int | None", row[0]) if row else None


def identify(connection: Connection) -> Identity:
    """The server's identity and state, from an ordinary session."""
    row = connection.execute(
        b"SELECT (SELECT system_identifier::text FROM pg_control_system()), "
        b"(SELECT timeline_id FROM pg_control_checkpoint()), current_setting('server_version_num')::int, "
        b"pg_is_in_recovery(), current_setting('server_encoding'), "
        b"CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn()::text END"
    ).fetchone()
    system_id, timeline, version, in_recovery, encoding, insert = cast(
        "tuple[str, int, int, bool, str, str | None]", row
    )
    return Identity(
        system_id=system_id,
        timeline=timeline,
        version=version,
        in_recovery=in_recovery,
        encoding=encoding,
        insert_lsn=Lsn.parse(insert) if insert else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSlot:
    """A slot made just now, and the snapshot that shows exactly what lies before it."""

    consistent_point: Lsn
    snapshot_name: str
    """Lives until the next command on the connection that made it."""


def create(replication: Connection, server: Server, name: str, plugin: str) -> NewSlot:
    """Make a logical slot and export its snapshot.

    The connection must not be used until every reader has imported the snapshot.

    Raises:
        PostgresUnavailable: older transactions did not end in time.
    """
    with explained(server, f"making the replication slot {name}"):
        replication.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(_CREATE_LOCK_TIMEOUT)))
        try:
            row = replication.execute(
                sql.SQL("CREATE_REPLICATION_SLOT {} LOGICAL {} EXPORT_SNAPSHOT").format(
                    sql.Identifier(name), sql.Identifier(plugin)
                )
            ).fetchone()
        except LockNotAvailable as error:
            raise PostgresUnavailable(
                f"PostgreSQL {server.where}: making the slot {name} waited {_CREATE_LOCK_TIMEOUT} for "
                "older transactions to end",
                remedy="SELECT pid, xact_start, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL; "
                "SELECT * FROM pg_prepared_xacts;  -- end what is left open",
            ) from error
    _, point, snapshot, _ = cast("tuple[str, str, str, str]", row)
    return NewSlot(consistent_point=Lsn.parse(point), snapshot_name=snapshot)


def drop(connection: Connection, server: Server, name: str) -> bool:
    """Drop the slot; False when there was none.

    Raises:
        SlotInUse: another session reads it.
    """
    slot = find(connection, name)
    if slot is None:
        return False
    if slot.active_pid is not None:
        raise SlotInUse(
            f"the replication slot {name} is read by pid {slot.active_pid}"
            + (f" ({slot.reader})" if slot.reader else ""),
            remedy=f"stop that reader first, or SELECT pg_terminate_backend({slot.active_pid});",
        )
    with explained(server, f"dropping the replication slot {name}"):
        connection.execute(b"SELECT pg_drop_replication_slot(%s)", (name,))
    return True


def usable(slot: Slot, plugin: str, dbname: str) -> None:
    """Refuse a slot that cannot serve us.

    Raises:
        SlotLost: other plugin, other database, or WAL already removed.
    """
    remedy = f"SELECT pg_drop_replication_slot('{slot.name}');  or set slot.name to another name"
    if slot.plugin != plugin:
        raise SlotLost(
            f"the replication slot {slot.name} belongs to the plugin {slot.plugin or '(physical)'}, not {plugin}",
            remedy=remedy,
        )
    if slot.database != dbname:
        raise SlotLost(
            f"the replication slot {slot.name} belongs to the database {slot.database}, not {dbname}",
            remedy=remedy,
        )
    if slot.wal_status == "lost" or slot.restart_lsn is None:
        raise SlotLost(
            f"the replication slot {slot.name} is lost: the server has removed WAL that it needed "
            "(max_slot_wal_keep_size)",
            remedy="pg-producer slot drop, then a new snapshot: changes since the last confirmed position "
            "are gone from the log",
        )
