"""Whether there is room: slots, walsenders, sessions; and what keeps a slot from being made.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Replication" (server configuration), "pg_prepared_xacts",
"pg_stat_activity".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from psycopg import sql

from producer.findings import Finding, Name, Status
from producer.settings import Settings
from producer.source.platform import Platform
from producer.source.wire import Connection, Server

# Longer than any application leaves one open on purpose.
_OPEN_SECONDS = 60
_NAMED = 5

_ROOM = b"""
SELECT (SELECT count(*) FROM pg_catalog.pg_replication_slots)::int,
       current_setting('max_replication_slots')::int,
       (SELECT count(*) FROM pg_catalog.pg_stat_replication)::int,
       current_setting('max_wal_senders')::int
"""
_SESSIONS = b"""
SELECT r.rolconnlimit, d.datconnlimit,
       current_setting('max_connections')::int
       - CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int END,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usesysid = r.oid)::int,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datid = d.oid)::int,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datid IS NOT NULL)::int,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usesysid = r.oid AND application_name = %s)::int
  FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
 WHERE r.rolname = current_user AND d.datname = current_database()
"""
_PREPARED = b"""
SELECT gid, database, extract(epoch FROM now() - prepared)::float8
  FROM pg_catalog.pg_prepared_xacts WHERE prepared < now() - make_interval(secs => %s) ORDER BY prepared
"""
_OPEN = b"""
SELECT pid, coalesce(usename, '?'), extract(epoch FROM now() - xact_start)::float8
  FROM pg_catalog.pg_stat_activity
 WHERE backend_xid IS NOT NULL AND xact_start < now() - make_interval(secs => %s) ORDER BY xact_start
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many slots and walsenders there are, and how many are taken."""

    slots: int
    most_slots: int
    senders: int
    most_senders: int


def room(connection: Connection) -> Room:
    """As it is now."""
    row = connection.execute(_ROOM).fetchone()
    slots, most_slots, senders, most_senders = cast("tuple[int, int, int, int]", row)
    return Room(slots=slots, most_slots=most_slots, senders=senders, most_senders=most_senders)


def replication(found: Room, platform: Platform, *, has_slot: bool, streams: bool) -> Iterator[Finding]:
    """Free slots and walsenders; none is needed of what is ours already."""
    yield _free("replication slots", found.slots, found.most_slots, 0 if has_slot else 1, "max_replication_slots",
                platform, "; or drop one that nobody reads: SELECT slot_name FROM pg_replication_slots WHERE NOT "
                "active;")  # fmt: skip
    yield _free("wal senders", found.senders, found.most_senders, 0 if streams else 1, "max_wal_senders", platform, "")


def _free(name: Name, used: int, most: int, needed: int, parameter: str, platform: Platform, instead: str) -> Finding:
    detail = f"{used} of {most} are in use"
    if most - used >= needed:
        return Finding(name=name, status="ok", detail=detail)
    return Finding(
        name=name,
        status="failed",
        detail=f"all replication slots are in use: {detail}" if "slots" in name else f"none is free: {detail}",
        remedy=platform.setting(parameter, str(most + max(4, needed)), restart=True) + instead,
    )


def sessions(connection: Connection, at: Server, settings: Settings, platform: Platform) -> Finding:
    """Whether the role, the database and the server take as many sessions as a run opens."""
    row = connection.execute(_SESSIONS, (at.application_name,)).fetchone()
    role_limit, database_limit, most, of_role, of_database, of_all, ours = cast("tuple[int, ...]", row)
    # One that looks, and the snapshot's readers; a walsender does not count.
    needed = 1 + settings.snapshot_max_threads
    limits = (
        ("role", role_limit, of_role, f"{_alter('ROLE', at.user)} CONNECTION LIMIT {needed + 2};"),
        ("database", database_limit, of_database, f"{_alter('DATABASE', at.dbname)} CONNECTION LIMIT -1;"),
        ("server", most, of_all, platform.setting("max_connections", str(most + 50), restart=True)),
    )
    for whose, limit, used, remedy in limits:
        # What is ours, this command's sessions or a running producer's, needs no further place.
        free = limit - (used - ours)
        if limit >= 0 and free < needed:
            status: Status = "failed" if limit < needed else "warning"
            return Finding(
                name="sessions",
                status=status,
                detail=f"a run opens up to {needed}; the {whose} takes {limit}, of which others hold {used - ours}",
                remedy=remedy + "  (or lower snapshot.max.threads)",
            )
    return Finding(name="sessions", status="ok", detail=f"a run opens up to {needed}, and there is room for them")


def _alter(kind: str, name: str) -> str:
    return f"ALTER {kind} {sql.Identifier(name).as_string()}"


def transactions(connection: Connection, *, has_slot: bool, seconds: int = _OPEN_SECONDS) -> Iterator[Finding]:
    """Those that are open for longer than `seconds`: the making of a slot waits for each of them."""
    prepared = cast("list[tuple[str, str, float]]", connection.execute(_PREPARED, (seconds,)).fetchall())
    still_open = cast("list[tuple[int, str, float]]", connection.execute(_OPEN, (seconds,)).fetchall())
    waits = "the slot keeps all WAL since then" if has_slot else "making the slot waits for its end, and gives up"
    if prepared:
        told = [f"{gid!r} in {database} for {age:.0f} s" for gid, database, age in prepared[:_NAMED]]
        ends = [f"ROLLBACK PREPARED {sql.Literal(gid).as_string()};" for gid, _, _ in prepared[:_NAMED]]
        yield Finding(
            name="prepared transactions",
            status="warning" if has_slot else "failed",
            detail=f"{len(prepared)} left open, {', '.join(told)}: {waits}",
            remedy=f"in the database that is named, if nobody owns it any more: {' '.join(ends)}  (or COMMIT PREPARED)",
        )
    else:
        yield Finding(name="prepared transactions", status="ok", detail=f"none is older than {seconds} s")
    if still_open:
        told = [f"pid {pid} of {user} for {age:.0f} s" for pid, user, age in still_open[:_NAMED]]
        yield Finding(
            name="open transactions",
            status="warning",
            detail=f"{len(still_open)} that have written, {', '.join(told)}: {waits}",
            remedy=" ".join(f"SELECT pg_terminate_backend({pid});" for pid, _, _ in still_open[:_NAMED])
            + "  -- or wait",
        )
    else:
        yield Finding(
            name="open transactions", status="ok", detail=f"none that we may see has written for more than {seconds} s"
        )
