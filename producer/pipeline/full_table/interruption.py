"""What was before a full-table run: a stream, or a run that was interrupted and has left something to do.

Room: pipeline (pure). docs/DESIGN.md, "Full table".
"""

from __future__ import annotations

from collections.abc import Iterable

from producer.errors import OperatorError
from producer.settings import Settings
from producer.sink.offsets import Loaded, Offset
from producer.source.catalog import Table
from producer.source.slot import Identity

# A supervisor needs a moment.
_PAUSE_US = 600_000_000


def among_a_stream(settings: Settings, last: Offset) -> OperatorError | None:
    """Why rows may not be put among the events of a stream that goes on; None: there is none."""
    if not last.slot:
        return None
    return OperatorError(
        f"{settings.name} has read the log so far: {settings.offset_storage_topic} holds its position {last.lsn} of "
        f"the replication slot {last.slot}, and the server keeps its log for it",
        remedy="`pg-producer slot drop` gives slot and position up; then run again. Or set another name",
    )


def goes_on(loaded: Loaded, identity: Identity, now_us: int) -> bool:
    """Whether the last run was interrupted, and this one is its rest: else every table is copied.

    Of this server's history, and no longer ago than it had been at work (or some minutes): its finished tables
    are then not much older than they would be had nothing happened.
    """
    last = loaded.offset
    if last is None or last.snapshot != "running" or last.commit_us is None:
        return False
    if (last.system_id, last.timeline) != (identity.system_id, identity.timeline):
        return False
    worked = loaded.written_us - last.commit_us
    return now_us - loaded.written_us <= max(worked, _PAUSE_US)


def finished(loaded: Loaded, tables: Iterable[Table]) -> list[Table]:
    """The tables that the last run has copied and compared: its marks stand at its own positions.

    A table that was made anew, rewritten or emptied since has another file: it is not among them.
    """
    last = loaded.offset
    if last is None or last.consistent_point is None:
        return []
    found = []
    for table in tables:
        mark = loaded.tables.get(table.qualified_name)
        if mark is not None and mark.position >= last.consistent_point and mark.filenode in (None, table.filenode):
            found.append(table)
    return found
