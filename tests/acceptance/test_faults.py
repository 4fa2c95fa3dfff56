"""Kafka away, and stops in the middle: bounded time, the right exit code, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.stack import Stack
from tests.committed import ends
from tests.harness import Command, Running, Source, folded, wait_for
from tests.scrape import PORT_FREE, Scrape

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"


@pytest.fixture
def broker(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """A Kafka of our own, to be taken away."""
    made = Stack(tmp_path / "broker" / "stack", stack.cache)
    made.start("kafka")
    yield made
    made.wipe()


def _ids(command: Command, broker: Stack) -> list[int]:
    command.bootstrap_servers = broker.bootstrap_servers
    state = folded(command.records()).get(f"{command.prefix}.public.t", {})
    return sorted(row["id"] for row in state.values())


def test_a_stalled_kafka_is_survived(source: Source, command: Command, broker: Stack) -> None:
    """Longer than the server's patience with a silent client: keep-alives go on, memory is bounded."""
    source.execute(TABLE, f"ALTER DATABASE {source.name} SET wal_sender_timeout = '2s'")
    settings: dict[str, object] = {"bootstrap.servers": broker.bootstrap_servers, "max.queue.size.in.bytes": 200000}
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    source.execute("INSERT INTO t VALUES (0, 'before')")
    broker.kill("kafka")
    source.execute(
        *(
            f"INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series({n}, {n + 999}) i"
            for n in (1, 1001, 2001, 3001)
        )
    )
    walsender = "SELECT pid FROM pg_stat_replication WHERE application_name LIKE '%" + source.name + "'"
    before = source.rows(walsender)
    with source.connect() as connection:
        connection.execute("SELECT pg_sleep(5)")
    assert before == source.rows(walsender) != [], "the slot's connection is the same"
    broker.start("kafka")
    wait_for(lambda: len(_ids(command, broker)) == 4001, 60, "all rows")
    assert "a temporary fault" not in running.stderr
    assert running.stop() == 0


def test_small_records_in_flight_are_counted_whole(source: Source, command: Command, broker: Stack) -> None:
    """With Kafka stalled, memory grows by twice max.queue.size.in.bytes at most, however small the records are."""
    limit = 16_000_000
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    settings: dict[str, object] = {"bootstrap.servers": broker.bootstrap_servers, "max.queue.size.in.bytes": limit}
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    source.execute("INSERT INTO t SELECT generate_series(-1000, 0)")
    wait_for(lambda: len(_ids(command, broker)) == 1001, 30, "the rows before")
    before = _peak_bytes(running)
    broker.kill("kafka")
    source.execute("INSERT INTO t SELECT generate_series(1, 150000)")
    with source.connect() as connection:
        connection.execute("SELECT pg_sleep(5)")
    assert _peak_bytes(running) - before < 2 * limit
    assert running.process.poll() is None, running.stderr


def _peak_bytes(running: Running) -> int:
    """The most memory that the process has had."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


def test_sigterm_with_kafka_away(source: Source, command: Command, broker: Stack) -> None:
    """Exit 5 in bounded time; what is unconfirmed comes again."""
    source.execute(TABLE)
    settings: dict[str, object] = {"bootstrap.servers": broker.bootstrap_servers}
    running = command.start("run", settings={**settings, **PORT_FREE})
    scrape = Scrape(running)
    running.wait_for("streaming")
    broker.kill("kafka")
    source.execute("INSERT INTO t VALUES (1)")
    wait_for(lambda: scrape.value("in_flight_bytes") > 0, what="the row is on its way")
    assert running.stop(seconds=15) == 5
    assert "nothing is lost" in running.stderr
    broker.start("kafka")
    assert command.run("run", "--once", settings=settings).returncode == 0
    assert _ids(command, broker) == [1]


def test_kafka_away_for_longer_than_the_limit(source: Source, command: Command, broker: Stack) -> None:
    """errors.retry.timeout: exit 5, with the reason."""
    source.execute(TABLE)
    settings: dict[str, object] = {"bootstrap.servers": broker.bootstrap_servers, "errors.retry.timeout": 1000}
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    broker.kill("kafka")
    source.execute("INSERT INTO t VALUES (1)")
    assert running.process.wait(40) == 5
    assert "remedy:" in running.stderr


def test_sigterm_in_the_middle_of_a_big_transaction(source: Source, command: Command) -> None:
    """Exit 0 soon; the transaction comes again whole."""
    source.execute(TABLE)
    assert command.run("run", "--once").returncode == 0
    source.execute("INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 300000) i")
    running = command.start("run")
    # Not by reading it: that takes as long as the whole.
    wait_for(lambda: ends(command, f"{command.prefix}.public.t") > 1000, 30, "a part of it")
    assert running.stop(seconds=10) == 0, running.stderr
    some = len(command.records())
    assert command.run("run", "--once").returncode == 0
    records = command.records()
    assert len(folded(records)[f"{command.prefix}.public.t"]) == 300000
    # Stopped behind its last row, it may still lack its commit.
    assert len(records) == 300000 + some or len(records) == some == 300000


def told(command: Command) -> set[tuple[str, int]]:
    """Operation and key of each event."""
    values: list[Any] = [record.value for record in command.records()]
    return {(value["op"], value["after"]["id"]) for value in values}


def test_the_stream_is_cut_and_begins_again(source: Source, command: Command) -> None:
    """A server that ends our session: back by itself, nothing lost, shapes and rows to be read again included."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric(8,2))", "INSERT INTO t VALUES (1, NULL)")
    running = command.start("run")
    running.wait_for("streaming")
    for number in (2, 3, 4):
        source.execute(f"INSERT INTO t VALUES ({number}, NULL)", f"UPDATE t SET n = NULL WHERE id = {number}")
        # Not counted: those of before may come again.
        wait_for(lambda number=number: {("c", number), ("u", number)} <= told(command), 30, "both events")  # type: ignore[misc]
        source.execute(
            f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{source.slot}'"
        )
    source.execute("INSERT INTO t VALUES (5, 5)")
    wait_for(lambda: len(folded(command.records())[f"{command.prefix}.public.t"]) == 5, 30, "the last row")
    assert running.process.poll() is None, running.stderr
    assert "a temporary fault" in running.stderr
    assert running.stop() == 0


def test_the_session_beside_the_stream_is_cut(source: Source, command: Command) -> None:
    """Just before the catalogue is asked for a new shape: a temporary fault, back by itself, nothing lost."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    running = command.start("run")
    running.wait_for("streaming")
    source.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
        "ALTER TABLE t ADD COLUMN n int",
        "INSERT INTO t VALUES (2, 'a', 3)",
    )
    wait_for(lambda: len(folded(command.records())[f"{command.prefix}.public.t"]) == 2, 30, "the row of the new shape")
    assert "a temporary fault" in running.stderr
    assert running.stop() == 0
