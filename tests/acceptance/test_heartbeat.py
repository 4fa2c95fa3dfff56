"""Heartbeats: in their time, idle or busy, and none unless asked for."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from producer.lsn import Lsn
from tests.harness import Command, Source, wait_for
from tests.proxy import Link

TABLE = "CREATE TABLE t (id int PRIMARY KEY)"


def beats(command: Command) -> list[Any]:
    """The heartbeat topic's records."""
    return list(command.topics([f"__debezium-heartbeat.{command.prefix}"]))


def wait_for_confirm(source: Source) -> None:
    """Wait until everything written so far is confirmed."""
    end = Lsn.parse(str(source.rows("SELECT pg_current_wal_insert_lsn()::text")[0][0])).page_start()
    wait_for(lambda: Lsn.parse(source.confirmed_lsn() or "0/0") >= end, 30, "the confirm")


def test_a_beat_each_interval_idle_and_busy(source: Source, command: Command) -> None:
    """Key and value as Debezium's; no faster than asked for."""
    source.execute(TABLE)
    with closing(Link(source.stack.postgres_port)) as link:
        # However quick the machine is, the transaction takes a second.
        link.bytes_per_second = 4_000_000
        running = command.start("run", settings={"heartbeat.interval.ms": 100, "database.port": link.port})
        running.wait_for("streaming")
        wait_for(lambda: len(beats(command)) >= 5, 20, "beats of an idle database")
        source.execute("INSERT INTO t SELECT generate_series(1, 100000)")
        wait_for_confirm(source)
        assert running.stop() == 0
    found = beats(command)
    assert {tuple(beat.key.items()) for beat in found} == {(("serverName", command.prefix),)}
    times = [beat.value["ts_ms"] for beat in found]
    assert times == sorted(times)
    # The first may be late by an interval, the others follow in step.
    assert times[-1] - times[0] >= 100 * (len(times) - 2) - 10
    rows: list[Any] = list(command.records("public.t"))
    assert len(rows) == 100000
    busy = [time for time in times if rows[0].value["ts_ms"] < time < rows[-1].value["ts_ms"]]
    assert len(busy) >= 2, "beats inside of a transaction"


def test_no_beat_unless_asked_for(source: Source, command: Command) -> None:
    """Nor is there a topic for it; the slot of an idle database moves all the same."""
    source.execute(TABLE)
    running = command.start("run")
    running.wait_for("streaming")
    before = source.confirmed_lsn()
    assert before is not None
    source.execute("SELECT pg_logical_emit_message(false, 'nobody', 'x')")
    wait_for(lambda: Lsn.parse(source.confirmed_lsn() or "0/0") > Lsn.parse(before), 20, "the slot to move")
    assert running.stop() == 0
    assert beats(command) == []


def test_a_beat_neither_moves_the_slot_nor_holds_it(source: Source, command: Command) -> None:
    """Transactions among beats are confirmed, with the least limit of what may be in flight too."""
    source.execute(TABLE)
    running = command.start("run", settings={"heartbeat.interval.ms": 1, "max.queue.size.in.bytes": 1})
    running.wait_for("streaming")
    wait_for(lambda: len(beats(command)) > 10, 20, "beats before")
    with source.connect() as connection, connection.transaction():
        for number in range(20):
            connection.execute(f"INSERT INTO t VALUES ({number})".encode())
    wait_for_confirm(source)
    before = len(beats(command))
    wait_for(lambda: len(beats(command)) > before + 10, 20, "beats behind")
    assert running.stop() == 0
    assert len(command.records("public.t")) == 20
