"""What became of the slot, told from the stored position: each kind, and what is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from producer.lsn import Lsn
from producer.pipeline.health import standing
from producer.sink.offsets import Offset
from producer.source.slot import Identity, Slot
from producer.source.timeline import Branch, branches

STORED = Offset(lsn=Lsn(0x5000), slot="s", system_id="1", timeline=2)
HERE = Identity(
    system_id="1", timeline=2, version=150000, in_recovery=False, encoding="UTF8", insert_lsn=Lsn(0x9000)
)  # fmt: skip
SLOT = Slot(
    name="s", plugin="wal2json", database="d", active_pid=None, reader=None, restart_lsn=Lsn(0x3000),
    confirmed_lsn=Lsn(0x4000), wal_status="reserved", retained_bytes=1, lag_bytes=1,
)  # fmt: skip


def told(
    stored: Offset | None = STORED,
    identity: Identity = HERE,
    found: Slot | None = SLOT,
    history: list[Branch] | None = None,
) -> str:
    error = standing.lost(stored, identity, found, "s", lambda _: history)
    assert error is None or "when_needed" in error.remedy
    return "" if error is None else error.message


@pytest.mark.parametrize("confirmed", [0x4000, 0x5000])
def test_a_slot_at_or_behind_our_position_is_sound(confirmed: int) -> None:
    """What it sends again is not sent twice: we START at our own."""
    assert told(found=replace(SLOT, confirmed_lsn=Lsn(confirmed))) == ""
    assert told(None) == ""
    assert told(None, found=None) == ""


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "is gone"),
        (replace(SLOT, confirmed_lsn=Lsn(0x5001)), "ahead of our position 0/5000"),
        (replace(SLOT, wal_status="lost"), "removed WAL"),
        (replace(SLOT, restart_lsn=None), "is lost"),
        (replace(SLOT, invalidation="idle_timeout"), "idle_replication_slot_timeout"),
        (replace(SLOT, invalidation="something_new"), "the server says something_new"),
    ],
)
def test_the_slot(found: Slot | None, words: str) -> None:
    """Gone, moved, lost."""
    assert words in told(found=found)


def test_another_name() -> None:
    """`slot.name` was changed: the old slot may well be there."""
    renamed = replace(STORED, slot="before")
    assert "belongs to the replication slot before, and there is no slot s" in told(renamed, found=None)
    assert told(renamed) == "", "a copy of it, as docs/plugins.md makes one"


def test_full_table_runs_leave_no_slot() -> None:
    """What was changed since the last one is in none, be one there or not."""
    for found in (None, SLOT):
        assert "FULL_TABLE" in told(replace(STORED, slot=""), found=found)


def test_another_server_or_an_older_state() -> None:
    """The system's id, the end of its log, and its timeline tell."""
    assert "another server" in told(identity=replace(HERE, system_id="9"))
    assert "its log ends at 0/4FFF" in told(identity=replace(HERE, insert_lsn=Lsn(0x4FFF)))
    assert told(identity=replace(HERE, insert_lsn=Lsn(0x5000))) == ""
    assert "has gone back" in told(identity=replace(HERE, timeline=1))


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([Branch(1, Lsn(0x100)), Branch(2, Lsn(0x5000))], ""),
        ([Branch(1, Lsn(0x100)), Branch(2, Lsn(0x4FFF))], "timeline 3 left that at 0/4FFF"),
        ([Branch(1, Lsn(0x100))], "does not descend"),
        (None, "history file"),
    ],
)
def test_a_promotion(history: list[Branch] | None, words: str) -> None:
    """A later timeline is ours as far as it descends from ours at or behind our position."""
    later = replace(HERE, timeline=3)
    assert words in told(identity=later, history=history)
    if not words:
        assert told(identity=later, history=history) == ""
        assert "did not come with it" in told(identity=later, history=history, found=None)


def test_a_history_file() -> None:
    """As PostgreSQL writes it, and edited by hand."""
    text = "1\t0/3000158\tno recovery target specified\n\n# a remark\n2\t1/A0\tbefore 2000-01-01\n"
    assert branches(text) == [Branch(1, Lsn(0x3000158)), Branch(2, Lsn(0x1000000A0))]
