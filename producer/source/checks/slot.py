"""The slot: whether it is for us, and how much WAL it holds back against what it may.

Room: source (IO: PostgreSQL). PostgreSQL manual, "pg_replication_slots", "Sending Servers".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from producer.errors import ProducerError
from producer.findings import Finding, Name
from producer.settings import Settings
from producer.source import slot as slots
from producer.source.platform import Platform
from producer.source.slot import Slot
from producer.source.wire import Connection, Server

_MB = 1_000_000
# Of the server's budget, what is left when it is warned of.
_NEAR = 0.2
_TIMEOUTS = b"""
SELECT name, setting::bigint * CASE unit WHEN 'ms' THEN 1 WHEN 's' THEN 1000 WHEN 'min' THEN 60000 END
  FROM pg_catalog.pg_settings WHERE name IN ('idle_replication_slot_timeout', 'wal_sender_timeout')
"""
_BUDGET = b"SELECT setting::bigint * 1048576 FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size'"


def state(connection: Connection, found: Slot | None, settings: Settings, at: Server) -> Iterator[Finding]:
    """Usable, ours, or still to be made."""
    name = settings.slot_name
    try:
        slots.demand_failover(connection, failover=settings.slot_failover)
        if found is not None:
            slots.fitting(found, settings.plugin_name, at.dbname)
    except ProducerError as error:
        yield Finding.of("slot", error)
        return
    refused = None if found is None else slots.lost(found)
    if refused is not None:
        yield gap("slot", refused, settings)
    elif found is None:
        yield Finding(name="slot", status="ok", detail=f"{name} will be made by the first run")
    elif found.active_pid is not None and found.reader != at.application_name:
        yield Finding(
            name="slot",
            status="failed",
            detail=f"the replication slot {name} is read by pid {found.active_pid}"
            + (f" ({found.reader})" if found.reader else ""),
            remedy="stop that reader, or set slot.name to another name",
        )
    elif settings.slot_failover and not found.failover:
        yield Finding(
            name="slot",
            status="warning",
            detail=f"slot.failover=true, and {name}, which is there, is no failover slot",
            remedy=f"in a replication session (psql replication=database): ALTER_REPLICATION_SLOT {name} (FAILOVER);",
        )
    else:
        reader = ", read by our own running producer" if found.active_pid else ""
        yield Finding(name="slot", status="ok", detail=f"{name} is there{reader}")


def gap(name: Name, refused: ProducerError, settings: Settings) -> Finding:
    """What we have not read yet is not in the log any more."""
    if settings.snapshot_mode != "when_needed":
        return Finding.of(name, refused)
    return Finding(
        name=name,
        status="warning",
        detail=refused.message,
        remedy="pg-producer run recovers by itself (snapshot.mode=when_needed): it reads every table again, and "
        "deletes from the topics what has gone",
    )


def budget(connection: Connection, found: Slot | None, settings: Settings, platform: Platform) -> Iterator[Finding]:
    """How much WAL it holds back, against slot.max.retained.bytes and the server's own limit."""
    row = connection.execute(_BUDGET).fetchone()
    yield retained(found, settings, cast("int | None", row[0]) if row else None, platform)


def retained(found: Slot | None, settings: Settings, server_limit: int | None, platform: Platform) -> Finding:
    """What it means; `server_limit` is max_slot_wal_keep_size in bytes: below 0, or None before PG 13, none."""
    name: Name = "retained WAL"
    ours = settings.slot_max_retained_bytes
    held = (found.retained_bytes or 0) if found is not None else 0
    more = _more(server_limit, held, platform)
    theirs = server_limit if server_limit is not None and server_limit >= 0 else None
    limits = [f"slot.max.retained.bytes is {ours / _MB:.0f} MB"] if ours is not None else []
    limits += [f"the server's max_slot_wal_keep_size {theirs / _MB:.0f} MB"] if theirs is not None else []
    told = f"{held / _MB:.0f} MB; " + (" and ".join(limits) if limits else "no limit but the server's disk")
    if found is not None and found.wal_status == "unreserved":
        return Finding(
            name=name,
            status="warning",
            detail=f"{told}, which is used up: the server may remove what the slot needs",
            remedy=f"run soon; {more}",
        )
    if ours is not None and held > ours:
        gives_up = settings.slot_retention_action == "drop_slot"
        return Finding(
            name=name,
            status="failed" if gives_up else "warning",
            detail=f"{told}: more than allowed"
            + (", and the next run gives the slot up (slot.retention.action=drop_slot)" if gives_up else ""),
            remedy=f"run until it has caught up; to allow more, slot.max.retained.bytes={held * 2}",
        )
    if found is not None and found.safe_bytes is not None and theirs and found.safe_bytes < theirs * _NEAR:
        return Finding(
            name=name,
            status="warning",
            detail=f"{told}, of which {max(found.safe_bytes, 0) / _MB:.0f} MB are left: then the slot is lost",
            remedy=f"run soon; {more}",
        )
    return Finding(name=name, status="ok", detail=told)


def _more(limit: int | None, held: int, platform: Platform) -> str:
    megabytes = max(limit or 0, held) * 2 // 1048576 + 1024
    return platform.setting("max_slot_wal_keep_size", f"'{megabytes}MB'")


def timeouts(connection: Connection, platform: Platform) -> Iterator[Finding]:
    """What the server does with a slot that nobody reads, and with a stream that is silent."""
    rows = connection.execute(_TIMEOUTS).fetchall()
    yield from waited({str(name): cast("int", ms) for name, ms in rows}, platform)


def waited(found: Mapping[str, int], platform: Platform) -> Iterator[Finding]:
    """What these timeouts, in milliseconds by name, mean; a server does not have all of them."""
    idle = found.get("idle_replication_slot_timeout")
    if idle is None:
        yield Finding(name="idle slots", status="ok", detail="this server keeps them (its release has no timeout)")
    elif idle:
        yield Finding(
            name="idle slots",
            status="warning",
            detail=f"idle_replication_slot_timeout is {idle // 1000} s: a slot that nobody reads for so long is lost, "
            "and with it what was changed meanwhile",
            remedy=f"{platform.setting('idle_replication_slot_timeout', '0')}  (or never stop for so long)",
        )
    else:
        yield Finding(name="idle slots", status="ok", detail="idle_replication_slot_timeout is off")
    if found.get("wal_sender_timeout"):
        yield Finding(
            name="silent streams", status="ok", detail=f"wal_sender_timeout is {found['wal_sender_timeout'] // 1000} s"
        )
    else:
        yield Finding(
            name="silent streams",
            status="warning",
            detail="wal_sender_timeout is 0: the server never gives up a stream whose client is gone, and its slot "
            "stays taken",
            remedy=platform.setting("wal_sender_timeout", "'60s'"),
        )
