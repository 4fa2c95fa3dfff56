"""The replication slot: what it is now, making it with an exported snapshot, dropping it.

Room: source (IO: PostgreSQL). PostgreSQL manual, "pg_replication_slots", "Streaming Replication
Protocol".
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import psycopg
from psycopg import sql
from psycopg.errors import DuplicateObject, LockNotAvailable

from producer.clock import Clock
from producer.errors import PostgresUnavailable, ServerNotReady, SlotInUse, SlotLost, SlotUnfit
from producer.lsn import Lsn
from producer.source import timeline
from producer.source.wire import Connection, Server, explained

# A transaction that stays open makes the creation wait; an orphaned prepared one, for ever.
_CREATE_LOCK_TIMEOUT = "90s"
_CANCEL_SECONDS = 5.0


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
    safe_bytes: int | None = None
    """WAL that may still be written before the slot is in danger of being lost; None: no limit is set."""
    invalidation: str | None = None
    """Why the server gave the slot up, where it says so (PostgreSQL 17)."""
    failover: bool = False
    """Its state is copied to standbys (PostgreSQL 17)."""

    @property
    def log_end(self) -> int | None:
        """Where the log ended, in bytes: for its growth only."""
        if self.restart_lsn is None or self.retained_bytes is None:
            return None
        return self.restart_lsn + self.retained_bytes

    @property
    def being_made(self) -> bool:
        """Whether somebody makes it at this moment: it has no place yet, and is gone again if he ends before."""
        return bool(self.plugin) and self.active_pid is not None and self.confirmed_lsn is None

    @property
    def lost(self) -> bool:
        """Whether it can give nothing any more."""
        without_place = self.restart_lsn is None and not self.being_made
        return self.wal_status == "lost" or self.invalidation is not None or without_place


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
       s.restart_lsn::text, s.confirmed_flush_lsn::text, {wal_status}, {safe}, {invalidation}, {failover},
       CASE WHEN NOT pg_is_in_recovery()
            THEN pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn)::bigint END,
       CASE WHEN NOT pg_is_in_recovery()
            THEN pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.confirmed_flush_lsn)::bigint END
  FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
 WHERE s.slot_name = %s
"""
_WAL_STATUS_SINCE = 130000
FAILOVER_SINCE = 170000


def find(connection: Connection, name: str) -> Slot | None:
    """The slot of that name, or None."""
    version = connection.info.server_version
    budgeted, modern = version >= _WAL_STATUS_SINCE, version >= FAILOVER_SINCE
    query = _SLOT.format(
        wal_status="s.wal_status" if budgeted else "NULL",
        safe="s.safe_wal_size" if budgeted else "NULL::bigint",
        invalidation="s.invalidation_reason" if modern else "NULL",
        failover="s.failover" if modern else "false",
    )
    row = connection.execute(query.encode(), (name,)).fetchone()
    if row is None:
        return None
    (slot_name, plugin, database, pid, reader, restart, confirmed, status, safe, invalidation, failover, retained,
     lag) = cast(
        "tuple[str, str | None, str | None, int | None, str | None, str | None, str | None, str | None, int | None, "
        "str | None, bool, int | None, int | None]",
        row,
    )  # fmt: skip
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
        safe_bytes=safe,
        invalidation=invalidation,
        failover=failover,
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
    system_id, checkpointed, version, in_recovery, encoding, insert = cast(
        "tuple[str, int, int, bool, str, str | None]", row
    )
    return Identity(
        system_id=system_id,
        timeline=checkpointed if in_recovery else timeline.current(connection, checkpointed),
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


def create(replication: Connection, server: Server, name: str, plugin: str, *, failover: bool = False) -> NewSlot:
    """Make a logical slot and export its snapshot; `failover`: its state is copied to standbys.

    The connection must not be used until every reader has imported the snapshot.

    Raises:
        ServerNotReady: a failover slot on a server older than PostgreSQL 17.
        PostgresUnavailable: older transactions did not end in time.
        SlotInUse: another was faster.
    """
    demand_failover(replication, failover=failover)
    options = sql.SQL("(SNAPSHOT 'export', FAILOVER)") if failover else sql.SQL("EXPORT_SNAPSHOT")
    with explained(server, f"making the replication slot {name}"):
        replication.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(_CREATE_LOCK_TIMEOUT)))
        try:
            row = replication.execute(
                sql.SQL("CREATE_REPLICATION_SLOT {} LOGICAL {} {}").format(
                    sql.Identifier(name), sql.Identifier(plugin), options
                )
            ).fetchone()
        except LockNotAvailable as error:
            raise PostgresUnavailable(
                f"PostgreSQL {server.where}: making the slot {name} waited {_CREATE_LOCK_TIMEOUT} for "
                "older transactions to end",
                remedy="SELECT pid, xact_start, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL; "
                "SELECT * FROM pg_prepared_xacts;  -- end what is left open",
            ) from error
        except DuplicateObject as error:
            raise SlotInUse(
                f"PostgreSQL {server.where}: another has made the slot {name} at this moment", remedy="we look again"
            ) from error
    _, point, snapshot, _ = cast("tuple[str, str, str, str]", row)
    return NewSlot(consistent_point=Lsn.parse(point), snapshot_name=snapshot)


def cut_short(replication: Connection) -> None:
    """End the making of a slot, from another thread; where the server does not answer, nothing is done."""
    with suppress(psycopg.Error):
        replication.cancel_safe(timeout=_CANCEL_SECONDS)


def await_reader_gone(connection: Connection, name: str, clock: Clock) -> None:
    """Wait a moment for our own walsender, or a predecessor's, to notice that its client has left."""
    deadline = clock.monotonic() + 5
    while clock.monotonic() < deadline:
        found = find(connection, name)
        if found is None or found.active_pid is None:
            return
        connection.execute(b"SELECT pg_sleep(0.05)")


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


def demand_failover(connection: Connection, *, failover: bool) -> None:
    """Refuse `slot.failover` where the server knows no failover slots.

    Raises:
        ServerNotReady: it is older than PostgreSQL 17.
    """
    version = connection.info.server_version
    if failover and version < FAILOVER_SINCE:
        raise ServerNotReady(
            f"slot.failover=true: PostgreSQL {version // 10000} knows no failover slots, which came with 17",
            remedy="set slot.failover=false: after a failover a new snapshot is due (snapshot.mode=when_needed takes "
            "it by itself); or upgrade the server",
        )


def fitting(slot: Slot, plugin: str, dbname: str) -> None:
    """Refuse a slot that is not for us.

    Raises:
        SlotUnfit: a physical one, or of another plugin or database.
    """
    remedy = f"SELECT pg_drop_replication_slot('{slot.name}');  or set slot.name to another name"
    if not slot.plugin:
        raise SlotUnfit(f"the replication slot {slot.name} is a physical one, not one of {plugin}", remedy=remedy)
    if slot.plugin != plugin:
        raise SlotUnfit(
            f"the replication slot {slot.name} belongs to the plugin {slot.plugin}, not {plugin}",
            remedy=f"set plugin.name={slot.plugin}; or go on where it stands with {plugin}, as docs/plugins.md tells: "
            f"SELECT pg_copy_logical_replication_slot('{slot.name}', 'another', false, '{plugin}');  and "
            f"slot.name=another; or for a new one {remedy}",
        )
    if slot.database != dbname:
        raise SlotUnfit(
            f"the replication slot {slot.name} belongs to the database {slot.database}, not {dbname}", remedy=remedy
        )


def demand_made(slot: Slot) -> None:
    """Wait for whoever makes the slot: there is nothing to go on from yet.

    Raises:
        SlotInUse: it is being made.
    """
    if slot.being_made:
        raise SlotInUse(
            f"the replication slot {slot.name} is being made by pid {slot.active_pid}"
            + (f" ({slot.reader})" if slot.reader else ""),
            remedy="it waits for older transactions to end (pg_stat_activity, pg_prepared_xacts); we look again",
        )


def lost(slot: Slot) -> SlotLost | None:
    """Why the slot can give nothing any more; None: it can."""
    if not slot.lost:
        return None
    why = {
        "wal_removed": "the server has removed WAL that it needed (max_slot_wal_keep_size)",
        "rows_removed": "rows of the catalogue that it needed were removed",
        "wal_level_insufficient": "wal_level was lowered",
        "idle_timeout": "nobody read it for longer than idle_replication_slot_timeout",
    }.get(slot.invalidation or "wal_removed", f"the server says {slot.invalidation}")
    return SlotLost(f"the replication slot {slot.name} is lost: {why}", remedy=RECOVER)


RECOVER = (
    "changes between the stored position and now are not in the log any more. snapshot.mode=when_needed reads every "
    "table again by itself, and deletes from the topics what has gone; or `pg-producer slot drop` (it forgets the "
    "stored position too), then run again: a new snapshot is taken, and deletes are not sent"
)
"""What to do when the slot cannot give what follows our position."""
