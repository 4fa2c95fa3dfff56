"""Where to begin is decided by one at a time: an advisory lock, held by the session that looks at the slot.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Advisory Locks".
A slot has one reader, which keeps two of us apart. While it is made, and its first snapshot is copied, nobody reads it:
another would stream what is younger, and the snapshot's rows would go out behind it. Whoever looks shares the lock;
whoever makes or drops the slot has it alone, until the stream begins. The server frees it when the session ends.
"""

from __future__ import annotations

from producer.clock import Clock
from producer.errors import SlotInUse
from producer.source import advisory
from producer.source.wire import Connection, Server, explained

_LOOK_SECONDS = 3.0
# Of a machine that is gone the server hears nothing: by its own defaults it would believe in it for two hours.
_NOTICE = b"""
SELECT set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false),
       set_config('tcp_keepalives_count', '3', false)
"""


def share(connection: Connection, server: Server, slot: str) -> None:
    """Keep the slot from being made, or made anew, until `release`.

    Raises:
        SlotInUse: another makes it, or copies its first snapshot.
    """
    _lock(connection, server, slot, "is being made, or its first snapshot copied,", shared=True)


def take(connection: Connection, server: Server, slot: str) -> None:
    """Keep others, who share the lock as we do, from looking where to begin until `release`.

    Raises:
        SlotInUse: another looks at this moment.
    """
    _lock(connection, server, slot, "is looked at")


def await_take(connection: Connection, server: Server, slot: str, clock: Clock) -> None:
    """The same, waiting a moment for whoever looks.

    Raises:
        SlotInUse: another still looks.
    """
    deadline = clock.monotonic() + _LOOK_SECONDS
    while True:
        try:
            take(connection, server, slot)
        except SlotInUse:
            if clock.monotonic() > deadline:
                raise
            connection.execute(b"SELECT pg_sleep(0.02)")
        else:
            return


def release(connection: Connection) -> None:
    """Our stream begins: the server tells the slot's reader from others now."""
    connection.execute(b"SELECT pg_advisory_unlock_all()")


def _lock(connection: Connection, server: Server, slot: str, what: str, *, shared: bool = False) -> None:
    with explained(server, f"looking who makes the slot {slot}"):
        connection.execute(_NOTICE)
        holder = advisory.held_by(connection, f"pg-producer slot:{slot}", shared=shared)
    if holder is not None:
        raise SlotInUse(
            f"the replication slot {slot} {what} by {holder}",
            remedy="we look again. Is that process gone, and its session is not: SELECT pg_terminate_backend(pid);",
        )
