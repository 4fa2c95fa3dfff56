"""Whether the slot can give what follows our position: recognised from what the offsets topic remembers.

Room: pipeline (pure, but for what it is given to ask). docs/errors.md, "When the slot cannot go on".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from producer.errors import SlotLost
from producer.lsn import ZERO
from producer.sink.offsets import Offset
from producer.source import slot
from producer.source.slot import Identity, Slot
from producer.source.timeline import Branch

History = Callable[[int], Sequence[Branch] | None]
"""The timelines before a timeline; None where the server cannot tell."""


def ahead(stored: Offset | None, found: Slot | None) -> bool:
    """Whether the slot stands beyond our position."""
    return stored is not None and found is not None and (found.confirmed_lsn or ZERO) > stored.lsn


def lost(stored: Offset | None, identity: Identity, found: Slot | None, name: str, history: History) -> SlotLost | None:
    """What keeps the slot from giving what follows `stored`; None: it does."""
    if stored is None:
        return None if found is None else slot.lost(found)
    if not stored.slot:
        return SlotLost(
            f"the last full-table run (replication.method=FULL_TABLE) stands at {stored.lsn}, and no slot was there to "
            "keep what was changed since",
            remedy=slot.RECOVER,
        )
    reason = _another_past(stored, identity, history)
    if reason is not None:
        return SlotLost(reason, remedy=slot.RECOVER)
    moved = ""
    if identity.timeline != stored.timeline:
        moved = f"; the server was promoted since (timeline {stored.timeline}, now {identity.timeline})"
    if found is None and stored.slot != name:
        return SlotLost(
            f"the stored position {stored.lsn} belongs to the replication slot {stored.slot}, and there is no slot "
            f"{name}{moved}",
            remedy=f"set slot.name={stored.slot} again, if that slot is still there: it has what follows. Else "
            + slot.RECOVER,
        )
    if found is None:
        without = ", and the slot did not come with it: see slot.failover" if moved else ""
        return SlotLost(
            f"the replication slot {name} is gone, and the stored position is {stored.lsn}{moved}{without}",
            remedy=slot.RECOVER,
        )
    dead = slot.lost(found)
    if dead is not None:
        return dead
    if ahead(stored, found):
        return SlotLost(
            f"the replication slot {name} stands at {found.confirmed_lsn}, ahead of our position {stored.lsn}: "
            f"somebody moved it or made it anew, and what lies between is gone{moved}",
            remedy=slot.RECOVER,
        )
    return None


def _another_past(stored: Offset, identity: Identity, history: History) -> str | None:
    """Why the server's log is not the one that our position belongs to; None: it is."""
    if stored.system_id and stored.system_id != identity.system_id:
        return (
            f"the stored position {stored.lsn} belongs to another server (system id {stored.system_id}, "
            f"here {identity.system_id})"
        )
    back = (
        f"the database has gone back: we had read up to {stored.lsn} on timeline {stored.timeline}, and %s. An older "
        "backup, or a server that was behind: what was published since may not exist in the database"
    )
    if stored.timeline == identity.timeline:
        if identity.insert_lsn is not None and identity.insert_lsn < stored.lsn.page_start():
            return back % f"its log ends at {identity.insert_lsn}"
        return None
    if stored.timeline > identity.timeline:
        return back % f"it writes timeline {identity.timeline}"
    branches = history(identity.timeline)
    if branches is None:
        return back % f"it writes timeline {identity.timeline}, whose history file it has not"
    left = next((branch.left_at for branch in branches if branch.timeline == stored.timeline), None)
    if left is None:
        return back % f"timeline {identity.timeline} does not descend from that"
    if left < stored.lsn.page_start():
        return back % f"timeline {identity.timeline} left that at {left}"
    return None
