"""Timelines: which line of its history a server is on, and where that left the lines before.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Timelines", "Streaming Replication Protocol"
(TIMELINE_HISTORY).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from psycopg import errors, sql

from producer.errors import ProducerError
from producer.lsn import Lsn
from producer.source.wire import Connection, Server, connect_replication, explained


@dataclass(frozen=True, slots=True)
class Branch:
    """A timeline that was left for the next one, and where: the log before it is the log of both."""

    timeline: int
    left_at: Lsn


def current(connection: Connection, checkpointed: int) -> int:
    """The timeline that the server, no standby, writes now.

    Its last checkpoint's, `checkpointed`, is the one before for a moment after a promotion.
    """
    try:
        row = connection.execute(b"SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)").fetchone()
    except errors.FeatureNotSupported:
        # A server whose log is not made of files.
        return checkpointed
    return checkpointed if row is None else int(str(row[0]), 16)


def history(server: Server, timeline: int) -> list[Branch] | None:
    """The timelines that led to this one; None where the server has lost the file that tells."""
    replication = connect_replication(server)
    try:
        with explained(server, f"asking for the history of timeline {timeline}"):
            row = replication.execute(sql.SQL("TIMELINE_HISTORY {}").format(sql.Literal(timeline))).fetchone()
    except ProducerError as error:
        if isinstance(error.__cause__, errors.UndefinedFile):
            return None
        raise
    finally:
        replication.close()
    if row is None:
        return None
    _, content = cast("tuple[str, str | bytes]", row)
    return branches(content.decode("utf-8", "replace") if isinstance(content, bytes) else content)


def branches(text: str) -> list[Branch]:
    """What a history file says: a line for each timeline, `1<tab>0/3000158<tab>why`."""
    found = []
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) > 1 and fields[0].strip().isdigit():
            found.append(Branch(int(fields[0]), Lsn.parse(fields[1].strip())))
    return found
