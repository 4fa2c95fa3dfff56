"""slot.failover, slot.drop.on.stop, and the budget of WAL that a slot may hold back."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from dev.stack import Stack
from producer.source import start_lock
from tests.harness import Command, Source, folded, wait_for

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
MEGABYTE = 1_000_000


def write(megabytes: int) -> str:
    """A statement that makes the log grow."""
    return f"SELECT pg_logical_emit_message(false, 'none', repeat('x', 1000000)) FROM generate_series(1, {megabytes})"


def test_failover(source: Source, command: Command) -> None:
    """Issue D.3: a failover slot from PostgreSQL 17 on, a clear refusal before; nothing half-made is left."""
    source.execute(TABLE)
    done = command.run("run", "--once", settings={"slot.failover": "true"})
    if source.major() >= 17:
        assert done.returncode == 0, done.stderr
        assert source.rows(f"SELECT failover FROM pg_replication_slots WHERE slot_name = '{source.slot}'") == [(True,)]
        return
    assert done.returncode == 3
    assert "slot.failover" in done.stderr
    assert "remedy:" in done.stderr
    assert source.confirmed_lsn() is None


def test_drop_on_stop(source: Source, command: Command) -> None:
    """Contract 3: an orderly end drops the slot and forgets the position; an error does not."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    settings: dict[str, object] = {"slot.drop.on.stop": "true"}
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    assert running.stop() == 0, running.stderr
    assert source.confirmed_lsn() is None
    assert json.loads(command.run("status", "--json").stdout)["position"] is None
    assert command.run("run", "--once", settings=settings).returncode == 0
    assert [record.value["op"] for record in command.records()] == ["r", "r"]  # type: ignore[index]
    assert source.confirmed_lsn() is None
    assert command.run("run", "--once").returncode == 0
    source.execute("ALTER TABLE t ALTER COLUMN v TYPE int USING 7", "INSERT INTO t VALUES (2, 8)")
    assert command.run("run", "--once", settings=settings).returncode == 3
    assert source.confirmed_lsn() is not None


def test_drop_on_stop_beside_a_standby_that_looks(source: Source, command: Command) -> None:
    """It is waited for: it would go on from the position, and end with exit 3 where the slot was."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    settings: dict[str, object] = {"slot.drop.on.stop": "true"}
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    free = f"SELECT FROM pg_replication_slots WHERE slot_name = '{source.slot}' AND active_pid IS NULL"
    with source.connect() as standby:
        start_lock.share(standby, source.server(), source.slot)
        running.process.send_signal(signal.SIGTERM)
        wait_for(lambda: source.rows(free), what="the stream has ended")
        standby.execute("SELECT pg_sleep(1)")
        assert source.rows(free)
        start_lock.release(standby)
    assert running.process.wait(20) == 0, running.stderr
    assert source.confirmed_lsn() is None


def test_warn_and_give_up(source: Source, command: Command) -> None:
    """Contract 3: at slot.max.retained.bytes it is told, or the slot is given up with exit 3."""
    source.execute(TABLE)
    settings: dict[str, object] = {"slot.max.retained.bytes": MEGABYTE}
    warned = command.start("run", settings=settings)
    warned.wait_for("streaming")
    # A transaction that is open keeps the slot from moving on.
    with source.connect() as open_one, open_one.transaction():
        open_one.execute("INSERT INTO t VALUES (1)")
        source.execute(write(3))
        warned.wait_for("more WAL than slot.max.retained.bytes")
        assert warned.stop() == 0
        given_up = command.start("run", settings={**settings, "slot.retention.action": "drop_slot"})
        assert given_up.process.wait(30) == 3, given_up.stderr
    assert "is given up" in given_up.stderr
    assert "remedy:" in given_up.stderr
    assert source.confirmed_lsn() is None
    done = command.run("run", "--once")
    assert done.returncode == 3
    assert "is gone" in done.stderr


def test_given_up_while_kafka_is_away(source: Source, command: Command, stack: Stack, tmp_path: Path) -> None:
    """Contract 3: it is then that the slot grows, and nothing is streamed or read."""
    broker = Stack(tmp_path / "broker" / "stack", stack.cache)
    broker.start("kafka")
    try:
        source.execute(TABLE)
        # The log is the server's, and other tests write to it: not before its time.
        settings: dict[str, object] = {
            "bootstrap.servers": broker.bootstrap_servers, "slot.max.retained.bytes": 100 * MEGABYTE,
            "slot.retention.action": "drop_slot",
        }  # fmt: skip
        running = command.start("run", settings=settings)
        running.wait_for("streaming")
        broker.kill("kafka")
        source.execute(
            f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{source.slot}'"
        )
        running.wait_for("asking Kafka")
        source.execute(write(120))
        assert running.process.wait(60) == 3, running.stderr
        assert "is given up" in running.stderr
        assert source.confirmed_lsn() is None
    finally:
        broker.wipe()


@pytest.mark.parametrize("exactly_once", ["requested", "required"])
def test_the_snapshot_is_paused(source: Source, command: Command, exactly_once: str) -> None:
    """Contract 3: the stream goes first, so that the slot moves on; the tables that are left are read beside it.

    Contract 7: in Kafka transactions what was sent in part would come twice: the table goes on to its end.
    """
    source.execute(
        TABLE,
        "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i",
        "CREATE TABLE small (id int PRIMARY KEY)",
        "INSERT INTO small VALUES (1)",
        "ANALYZE",
    )
    # Half of the rows, and the rest once the lock is free: no reader is too fast for the look at the slot.
    held = "SELECT id, v FROM public.t WHERE id <= 1000 OR (SELECT pg_advisory_xact_lock_shared(1)) IS NOT NULL"
    settings: dict[str, object] = {
        "slot.max.retained.bytes": MEGABYTE, "slot.retention.action": "pause_snapshot", "snapshot.max.threads": 1,
        "snapshot.select.statement.overrides": "public.t", "snapshot.select.statement.overrides.public.t": held,
        "exactly.once.support": exactly_once,
    }  # fmt: skip
    with source.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(1)")
        running = command.start("run", settings=settings)
        running.wait_for("snapshot of a table begins")
        source.execute(write(3))
        running.wait_for("the slot holds back more WAL" if exactly_once == "required" else "the snapshot is paused")
    running.wait_for("the snapshot is paused")
    running.wait_for("streaming")
    assert running.stop() == 0, running.stderr
    done = command.run("run", "--once", settings={"exactly.once.support": exactly_once})
    assert done.returncode == 0, done.stderr
    if exactly_once == "required":
        assert len(command.records("public.t")) == 2000
    state = folded(command.records())
    assert len(state[f"{command.prefix}.public.t"]) == 2000
    assert len(state[f"{command.prefix}.public.small"]) == 1
    (last,) = command.records("public.small")
    assert last.value["source"]["snapshot"] == "incremental"  # type: ignore[index]
