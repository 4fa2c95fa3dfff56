"""What is stored while we look at the source: by another who still reads the slot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dev.stack import Stack
from producer.clock import SystemClock
from producer.lsn import Lsn
from producer.pipeline.run import Runner
from producer.pipeline.stop import Stop
from producer.settings import load_settings
from producer.sink.memory import MemorySink
from producer.sink.offsets import Loaded, OffsetsTopic
from tests.harness import Source, wait_for


def test_a_position_stored_while_we_look_is_no_database_that_has_gone_back(
    stack: Stack, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby starts beside a reader: the log has grown, and been read, since the server was asked who it is."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings = load_settings(None, [f"topic.prefix={source.name}"], stack.environment(source.name)).settings
    sink, clock = MemorySink(), SystemClock()
    load = OffsetsTopic.load

    def run() -> None:
        Runner(settings, clock, Stop(clock), once=True)._with(sink)

    def load_late(self: OffsetsTopic, *arguments: Any, **more: Any) -> Loaded:
        loaded = load(self, *arguments, **more)
        source.execute("INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t")
        end = Lsn.parse(source.rows("SELECT pg_current_wal_insert_lsn()")[0][0])
        assert loaded.offset is not None
        return replace(loaded, offset=replace(loaded.offset, lsn=end))

    run()
    # A runner waits for the walsender of before; one session does not.
    left = f"SELECT FROM pg_replication_slots WHERE slot_name = '{source.slot}' AND active_pid IS NULL"
    wait_for(lambda: source.rows(left), what="the slot is free")
    monkeypatch.setattr(OffsetsTopic, "load", load_late)
    run()
