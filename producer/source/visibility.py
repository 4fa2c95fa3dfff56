"""What a snapshot shows: transactions that have ended, and where the log ended then.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Transaction ID and Snapshot Information Functions".
A transaction is in the log, and decoded, before it becomes visible: transaction ids decide, not LSNs.
"""

from __future__ import annotations

from producer.lsn import Lsn
from producer.source.wire import Connection

_XID_MASK = 0xFFFF_FFFF
_XID_HALF = 0x8000_0000


def snapshot(connection: Connection) -> str:
    """The session's snapshot, `xmin:xmax:xip,…`, ids in 64 bits."""
    row = connection.execute(b"SELECT txid_current_snapshot()::text").fetchone()
    assert row is not None
    return str(row[0])


def insert_lsn(connection: Connection) -> Lsn:
    """Where the log ends now; a position just behind a page's header counts as the page's start."""
    row = connection.execute(b"SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    return Lsn.parse(str(row[0])).page_start()


def flush_lsn(connection: Connection) -> Lsn:
    """Up to where the log can be sent now. What reading adds (pages are pruned) an idle server writes much later."""
    row = connection.execute(b"SELECT pg_current_wal_flush_lsn()::text").fetchone()
    assert row is not None
    return Lsn.parse(str(row[0])).page_start()


def running(taken: str) -> set[int]:
    """The transactions (32 bits) that run in a snapshot, of all databases; those behind its xmax are not named."""
    _, _, ids = taken.split(":")
    return {int(xid) & _XID_MASK for xid in ids.split(",") if xid}


def not_visible(connection: Connection) -> set[int]:
    """The transactions (32 bits) of this database that are not visible yet, whether in the log or not.

    Not from a snapshot: it names none that began behind the last one that ended, and those of other databases.
    PostgreSQL manual, "pg_stat_activity" (its backend_xid is shown to every role) and "pg_prepared_xacts",
    asked in this order: a transaction that is prepared goes from the first to the second.
    """
    rows = connection.execute(
        b"SELECT backend_xid::text FROM pg_stat_activity"
        b" WHERE backend_xid IS NOT NULL AND (datname = current_database() OR datname IS NULL)"
        b" UNION ALL SELECT transaction::text FROM pg_prepared_xacts WHERE database = current_database()"
    )
    return {int(str(xid)) for (xid,) in rows}


def unfinished(xid: int, taken: str) -> bool:
    """Whether a transaction (32 bits, as the plugin prints it) has not ended in a snapshot.

    It is within half of all ids of the snapshot's limit, in the epoch before or behind where that is nearer.
    """
    _, xmax, ids = taken.split(":")
    limit = int(xmax)
    whole = (limit & ~_XID_MASK) | xid
    if whole - limit > _XID_HALF:
        whole -= _XID_MASK + 1
    elif limit - whole > _XID_HALF:
        whole += _XID_MASK + 1
    return whole >= limit or str(whole) in ids.split(",")
