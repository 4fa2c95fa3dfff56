"""PostgreSQL's advisory locks, by a name of ours: taken without waiting, held by the session that takes them.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Advisory Locks", "pg_locks".
The server frees what a session holds when that ends, however that is.
"""

from __future__ import annotations

from hashlib import blake2b

from producer.source.wire import Connection

_TAKE = b"SELECT pg_try_advisory_lock(%s)"
_SHARE = b"SELECT pg_try_advisory_lock_shared(%s)"
_HOLDER = b"""
SELECT pid FROM pg_catalog.pg_locks
 WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND (classid::bigint << 32) | objid::bigint = %s
   AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   AND pid <> pg_backend_pid()
"""


def held_by(connection: Connection, name: str, *, shared: bool = False) -> str | None:
    """Take the lock; where that may not be, whose it is: "pid 12 on the server", or "another" who is gone by now."""
    digest = blake2b(name.encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "big", signed=True)
    row = connection.execute(_SHARE if shared else _TAKE, (number,)).fetchone()
    if row is not None and row[0]:
        return None
    holder = connection.execute(_HOLDER, (number,)).fetchone()
    return "another" if holder is None else f"pid {holder[0]} on the server"
