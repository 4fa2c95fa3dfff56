"""Retained WAL against the budgets."""

from __future__ import annotations

from dataclasses import replace

from producer.errors import SlotLost
from producer.findings import Finding
from producer.lsn import Lsn
from producer.settings import load_settings
from producer.source.checks.slot import gap, retained, waited
from producer.source.platform import GENERIC
from producer.source.slot import Slot

MB = 1_000_000
SLOT = Slot(
    name="s", plugin="wal2json", database="d", active_pid=None, reader=None, restart_lsn=Lsn(1), confirmed_lsn=Lsn(1),
    wal_status="reserved", retained_bytes=300 * MB, lag_bytes=0,
)  # fmt: skip


def _retained(slot: Slot | None, limit: int | None, *sets: str) -> Finding:
    return retained(slot, load_settings(None, ["topic.prefix=p", *sets], {}).settings, limit, GENERIC)


def test_no_limit_is_told() -> None:
    """Neither ours nor the server's; before PostgreSQL 13 it has none."""
    for slot in (None, SLOT):
        for limit in (None, -1):
            found = _retained(slot, limit)
            assert found.status == "ok"
            assert "no limit but the server's disk" in found.detail


def test_our_limit() -> None:
    """Above it a warning; a failure where the next run would give the slot up."""
    assert _retained(SLOT, -1, f"slot.max.retained.bytes={400 * MB}").status == "ok"
    over = _retained(SLOT, -1, f"slot.max.retained.bytes={200 * MB}")
    assert over.status == "warning"
    assert "300 MB" in over.detail
    assert "200 MB" in over.detail
    given_up = _retained(SLOT, -1, f"slot.max.retained.bytes={200 * MB}", "slot.retention.action=drop_slot")
    assert given_up.status == "failed"
    assert "drop_slot" in given_up.detail


def test_the_server_s_limit() -> None:
    """Told while there is room, warned of when little is left or none."""
    roomy = _retained(replace(SLOT, safe_bytes=700 * MB), 1000 * MB)
    assert roomy.status == "ok"
    assert "max_slot_wal_keep_size 1000 MB" in roomy.detail
    near = _retained(replace(SLOT, safe_bytes=100 * MB), 1000 * MB)
    assert near.status == "warning"
    assert "100 MB are left" in near.detail
    used_up = _retained(replace(SLOT, safe_bytes=-5, wal_status="unreserved"), 1000 * MB)
    assert used_up.status == "warning"
    assert "ALTER SYSTEM SET max_slot_wal_keep_size" in used_up.remedy


def test_a_gap_that_a_run_closes() -> None:
    """With snapshot.mode=when_needed nobody need act."""
    for mode, status in (("initial", "failed"), ("when_needed", "warning")):
        settings = load_settings(None, ["topic.prefix=p", f"snapshot.mode={mode}"], {}).settings
        found = gap("slot", SlotLost("it is lost", remedy="r"), settings)
        assert (found.status, found.detail) == (status, "it is lost")
        assert found.remedy


def test_timeouts() -> None:
    """PostgreSQL 18 may give up a slot that nobody reads; older ones have no such setting."""
    before_18 = {one.name: one for one in waited({"wal_sender_timeout": 60000}, GENERIC)}
    assert {one.status for one in before_18.values()} == {"ok"}
    off = waited({"wal_sender_timeout": 60000, "idle_replication_slot_timeout": 0}, GENERIC)
    assert {one.status for one in off} == {"ok"}
    on = {one.name: one for one in waited({"wal_sender_timeout": 0, "idle_replication_slot_timeout": 7200000}, GENERIC)}
    assert {one.status for one in on.values()} == {"warning"}
    assert "7200 s" in on["idle slots"].detail
    assert "ALTER SYSTEM SET idle_replication_slot_timeout = 0;" in on["idle slots"].remedy
