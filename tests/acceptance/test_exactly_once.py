"""exactly.once.support=required: a read_committed consumer sees each event once, whatever dies in between."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from dev.stack import Stack
from producer.lsn import Lsn
from producer.sink.consume import LogReader, consumer_config
from producer.sink.kafka import KafkaSink
from producer.sink.offsets import OffsetsTopic
from tests.committed import each_once, ends, settled
from tests.harness import Command, Running, Source, source_of, wait_for
from tests.scrape import PORT_FREE, Scrape

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
# Short, so that big transactions are split.
ONCE: dict[str, object] = {"exactly.once.support": "required", "transaction.boundary.interval.ms": 20}

# Little is in flight: what is to be interrupted takes long enough.
SLOW = {"max.queue.size.in.bytes": 10_000}


def grown(command: Command, beyond: int, table: str = "public.t") -> None:
    """Wait until so much is committed."""
    topic = f"{command.prefix}.{table}"
    wait_for(lambda: ends(command, topic) > beyond, 30, f"{beyond} committed in {topic}")


def finish(command: Command, settings: dict[str, object] = ONCE) -> None:
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    settled(command)


def stop(command: Command, running: Running) -> None:
    assert running.stop() == 0, running.stderr
    settled(command)


def kill(running: Running) -> None:
    assert running.stop(signal.SIGKILL) == -signal.SIGKILL, running.stderr


@pytest.fixture
def broker(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """A Kafka and a PostgreSQL of our own, to be taken away."""
    made = Stack(tmp_path / "broker" / "stack", stack.cache)
    made.start("kafka", "postgres")
    yield made
    made.wipe()


def test_kill_in_the_stream(source: Source, command: Command) -> None:
    """Contract 7: kill -9 between small transactions, and within one of 20,000 rows that is split."""
    source.execute(TABLE)
    finish(command)
    source.execute(*(f"INSERT INTO t VALUES ({-number}, 'small')" for number in range(1, 201)))
    source.execute(
        "INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 20000) i", "DELETE FROM t WHERE id < 0"
    )
    for beyond in (20, 1500, 8000, 15000):
        running = command.start("run", settings=ONCE)
        grown(command, beyond)
        kill(running)
    finish(command)
    records = command.records("public.t")
    assert Counter(value["op"] for value in each_once(records, 20400)) == {"c": 20200, "d": 200}
    assert sum(record.value is None for record in records) == 200, "a tombstone each"


def test_kill_in_the_snapshot(source: Source, command: Command) -> None:
    """Contract 7: chunks that are committed are not read again, of others nothing was seen; a table without key too."""
    source.execute(
        TABLE,
        "INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 40000) i",
        "CREATE TABLE k (id int)",
        "ALTER TABLE k REPLICA IDENTITY FULL",
        "INSERT INTO k SELECT generate_series(1, 10000)",
        "ANALYZE",
    )
    settings = {**ONCE, "snapshot.chunk.rows": 2000}
    for beyond in (5000, 20000):
        running = command.start("run", settings=settings)
        grown(command, beyond)
        kill(running)
    finish(command, settings)
    for table, rows in (("public.t", 40000), ("public.k", 10000)):
        values: list[Any] = [record.value for record in command.records(table)]
        ids = [value["after"]["id"] for value in values]
        assert len(ids) == len(set(ids)) == rows


def test_the_marks_of_a_first_reading(source: Source, command: Command) -> None:
    """Contract 5: one `first` and one `last`, though it is many Kafka transactions."""
    source.execute(
        TABLE,
        "INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 20000) i",
        "DELETE FROM t WHERE id > 15000",
        "CREATE TABLE k (id int)",
        "INSERT INTO k SELECT generate_series(1, 5000)",
        "CREATE TABLE e (id int PRIMARY KEY)",
    )
    finish(command, {**ONCE, "transaction.boundary.interval.ms": 1, "snapshot.chunk.rows": 500})
    values = [*each_once(command.records("public.t"), 15000)]
    values += [record.value for record in command.records("public.k")]
    marks = Counter(value["source"]["snapshot"] for value in values)
    assert marks == {
        "first": 1, "last": 1, "first_in_data_collection": 1, "last_in_data_collection": 1, "true": 20000 - 4
    }  # fmt: skip


def test_servers_that_are_restarted(stack: Stack, broker: Stack, tmp_path: Path) -> None:
    """Contract 7: Kafka killed with a transaction open, PostgreSQL killed in the middle of one."""
    with source_of(broker, "restarted") as source:
        command = Command(stack, source, tmp_path)
        command.bootstrap_servers = broker.bootstrap_servers
        settings = {
            **ONCE, "transaction.boundary.interval.ms": 300, "bootstrap.servers": broker.bootstrap_servers,
            "database.port": broker.postgres_port,
        }  # fmt: skip
        source.execute(TABLE)
        running = command.start("run", settings=settings)
        running.wait_for("streaming")
        source.execute("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 10000) i")
        grown(command, 1000)
        broker.kill("kafka")
        source.execute("INSERT INTO t VALUES (-1, 'while Kafka was away')")
        broker.start("kafka")
        grown(command, 10000)
        source.execute("UPDATE t SET v = repeat('y', 300)")
        grown(command, 11000)
        broker.kill("postgres")
        broker.start("postgres")
        source.execute("DELETE FROM t WHERE id < 0")
        wait_for(lambda: any(record.value is None for record in command.records("public.t")), 40, "the delete")
        stop(command, running)
        each_once(command.records("public.t"), 20003)
        running = command.start("run", settings={**settings, **PORT_FREE})
        scrape = Scrape(running)
        running.wait_for("streaming")
        broker.kill("kafka")
        source.execute("INSERT INTO t VALUES (-2, 'on the way when it was told to stop')")
        wait_for(lambda: scrape.value("in_flight_bytes") > 0, what="it is on its way")
        assert running.stop(seconds=15) == 5, running.stderr
        assert "nothing is lost" in running.stderr
        broker.start("kafka")
        finish(command, settings)
        each_once(command.records("public.t"), 20004)


def test_a_zombie_commits_nothing(source: Source, command: Command) -> None:
    """Contract 7: it wakes with a transaction open, and another owns the slot: it waits as a standby, then goes on."""
    source.execute(TABLE)
    slow = {**ONCE, "transaction.boundary.interval.ms": 4000}
    first = command.start("run", settings=slow)
    first.wait_for("streaming")
    source.execute("INSERT INTO t VALUES (0, 'first')")
    grown(command, 0)
    source.execute("INSERT INTO t SELECT i, 'sent twice' FROM generate_series(1, 100) i")
    everything = consumer_config(command.bootstrap_servers, {"log_level": "0", "isolation.level": "read_uncommitted"})
    topic = f"{command.prefix}.public.t"

    def sent() -> int:
        reader = LogReader(everything, 10)
        try:
            return reader.watermarks([(topic, 0)])[topic, 0][1]
        finally:
            reader.close()

    wait_for(lambda: sent() > 100, 10, "an open transaction")
    os.kill(first.process.pid, signal.SIGSTOP)
    source.execute(
        f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{source.slot}'"
    )
    second = command.start("run", settings=ONCE)
    second.wait_for("streaming")
    grown(command, 101)
    os.kill(first.process.pid, signal.SIGCONT)
    first.wait_for("a temporary fault")
    source.execute("INSERT INTO t VALUES (101, 'by the second')")
    wait_for(lambda: len(command.records("public.t")) == 102, 20, "all events")
    assert second.stop() == 0, second.stderr
    source.execute("INSERT INTO t VALUES (102, 'by the first again')")
    wait_for(lambda: len(command.records("public.t")) >= 103, 20, "the standby to take over")
    stop(command, first)
    each_once(command.records("public.t"), 103)


def test_confirmed_is_never_above_what_is_committed(source: Source, command: Command) -> None:
    """Contract 7: the slot's LSN, read first, is at most that of the offsets record, read afterwards."""
    source.execute(TABLE)
    finish(command)
    source.execute(*(f"INSERT INTO t VALUES ({number}, 'x')" for number in range(1000)))
    sink = KafkaSink(command.bootstrap_servers, client_id="test")
    offsets = OffsetsTopic(sink, "pg-producer-offsets", name=command.prefix, server=command.prefix)
    running = command.start("run", settings=ONCE)
    running.wait_for("streaming")
    seen: list[Lsn] = []

    def compared() -> bool:
        source.execute(f"INSERT INTO t VALUES ({-1 - len(seen)}, 'x')")
        confirmed = Lsn.parse(source.confirmed_lsn() or "0/0")
        stored = offsets.load(30).offset
        assert stored is not None
        assert stored.lsn >= confirmed
        seen.append(confirmed)
        return len(seen) >= 5 and len(set(seen)) > 1

    try:
        wait_for(compared, 30, "more is confirmed meanwhile")
    finally:
        sink.close(1)
    assert running.stop() == 0
    finish(command)
    each_once(command.records("public.t"), 1000 + len(seen))


def test_sigterm_within_a_transaction(source: Source, command: Command) -> None:
    """Contract 2: what was sent is committed, exit 0 soon; the next run goes on in the middle of the transaction."""
    source.execute(TABLE)
    finish(command)
    source.execute("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 30000) i")
    running = command.start("run", settings={**ONCE, **SLOW})
    grown(command, 500)
    assert running.stop(seconds=10) == 0, running.stderr
    assert 500 < ends(command, f"{command.prefix}.public.t") < 30000
    finish(command)
    each_once(command.records("public.t"), 30000)


def test_another_selection_within_a_transaction(source: Source, command: Command) -> None:
    """Contract 5: ordinals mean something else: the interrupted transaction is sent again whole, and that is said."""
    source.execute(TABLE, "CREATE TABLE other (id int PRIMARY KEY)")
    only = {**ONCE, "table.include.list": "public.t"}
    finish(command, only)
    source.execute(
        "WITH o AS (INSERT INTO other VALUES (1)) "
        "INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 20000) i"
    )
    running = command.start("run", settings={**only, **SLOW})
    grown(command, 1000)
    kill(running)
    done = command.run("run", "--once", settings=ONCE)
    assert done.returncode == 0, done.stderr
    assert "sent again whole" in done.stderr
    settled(command)
    values: list[Any] = [record.value for record in command.records("public.t")]
    assert {value["after"]["id"] for value in values} == set(range(1, 20001))
    ordinals = [value["source"]["ordinal"] for value in values]
    assert ordinals[-20000:] == sorted(ordinals[-20000:])
    assert len(ordinals) > 20000


def test_everything_beside_the_tables_is_in_the_transactions(source: Source, command: Command) -> None:
    """docs/topics.md: boundaries, messages, letters and heartbeats, each once through kill -9."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v numeric(4, 1))")
    settings = {
        **ONCE, "provide.transaction.metadata": "true", "message.prefix.include.list": "m", "errors.tolerance": "all",
        "heartbeat.interval.ms": 50,
    }  # fmt: skip
    finish(command, settings)
    with source.connect() as connection:
        for number in range(150):
            with connection.transaction():
                connection.execute("INSERT INTO t VALUES (%s, %s)", (2 * number, 1))
                connection.execute("INSERT INTO t VALUES (%s, 'NaN')", (2 * number + 1,))
                connection.execute("SELECT pg_logical_emit_message(true, 'm', 'in')")
            connection.execute("SELECT pg_logical_emit_message(false, 'm', 'out')")
    for beyond in (20, 100):
        running = command.start("run", settings=settings)
        grown(command, beyond)
        kill(running)
    finish(command, settings)
    each_once(command.topics([f"{command.prefix}.public.t", f"{command.prefix}.message"]), 150 + 300)
    marks: list[Any] = [record.value for record in command.topics([f"{command.prefix}.transaction"])]
    assert Counter(Counter((mark["id"], mark["status"]) for mark in marks).values()) == {1: 300}
    assert ends(command, f"__debezium-heartbeat.{command.prefix}") > 0
    reader = KafkaSink(command.bootstrap_servers, client_id="test")
    letters = reader.read(f"{command.prefix}.deadletter", 30)
    reader.close(1)
    assert len(letters) == 150


def test_what_lies_before_a_row_that_stops_us_is_read(source: Source, command: Command) -> None:
    """docs/errors.md: committed, and not sent again once the row can be carried."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v numeric)")
    settings = {**ONCE, "transaction.boundary.interval.ms": 5000}
    finish(command, settings)
    source.execute(
        "INSERT INTO t SELECT i, CASE i WHEN 31 THEN 'NaN'::numeric ELSE i END FROM generate_series(1, 60) i"
    )
    stopped = command.run("run", "--once", settings=settings)
    assert stopped.returncode == 4, stopped.stderr
    settled(command)
    assert len(command.records("public.t")) == 30
    finish(command, {**settings, "errors.tolerance": "all"})
    each_once(command.records("public.t"), 59)


def test_a_timeout_that_the_brokers_do_not_allow(source: Source, command: Command) -> None:
    """Exit 3; `check` knows before. Nobody's transaction is fenced by it."""
    source.execute(TABLE)
    allowed = command.run("check", settings=ONCE)
    assert "ok       transactions: up to 900000 ms allowed" in allowed.stdout
    settings = {**ONCE, "producer.override.transaction.timeout.ms": 1000000}
    checked = command.run("check", settings=settings)
    assert checked.returncode == 3
    assert "transaction.max.timeout.ms is 900000" in checked.stdout
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 3, done.stderr
    assert "transaction.max.timeout.ms" in done.stderr


PARTITIONS = (
    "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20)",
    "INSERT INTO t VALUES (11)",
)


def test_a_partition_of_keyless_rows_that_is_gone_stops_once(source: Source, command: Command) -> None:
    """docs/DESIGN.md, "Schema changes": what is forgotten is committed, though the run stops."""
    source.execute("CREATE TABLE t (id int) PARTITION BY RANGE (id)", *PARTITIONS)
    source.execute(*(f"ALTER TABLE {table} REPLICA IDENTITY FULL" for table in ("t", "t1", "t2")))
    finish(command)
    source.execute("ALTER TABLE t DETACH PARTITION t2", "INSERT INTO t VALUES (1)")
    stopped = command.run("run", "--once", settings=ONCE)
    assert stopped.returncode == 4, stopped.stderr
    finish(command)
    values: list[Any] = [record.value for record in command.records("public.t")]
    assert [value["after"]["id"] for value in values] == [11, 1]


def test_a_commit_that_readers_do_not_see_yet(source: Source, command: Command) -> None:
    """Contract 7: another's open transaction is in front of it; the confirmed slot is not one that somebody moved."""
    source.execute(TABLE)
    offsets = f"{command.prefix}.offsets"
    settings = {**ONCE, "offset.storage.topic": offsets}
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    other = Producer(
        {"bootstrap.servers": command.bootstrap_servers, "transactional.id": f"{command.prefix}.other", "log_level": 0}
    )
    other.init_transactions(30)
    other.begin_transaction()
    try:
        other.produce(offsets, b"{}", b"another's", 0)
        assert other.flush(10) == 0
        before = source.confirmed_lsn()
        source.execute("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: source.confirmed_lsn() != before, what="it is confirmed")
        assert running.stop() == 0, running.stderr
        running = command.start("run", settings=settings)
        with pytest.raises(AssertionError, match="not within"):
            running.wait_for("streaming", 4)
    finally:
        other.abort_transaction(30)
    running.wait_for("streaming")
    stop(command, running)
    each_once(command.records("public.t"), 1)


def test_a_partition_that_is_gone_is_compared(source: Source, command: Command) -> None:
    """Issue D.3: its keys are deleted once, and a compacted topic's TRUNCATE deletes what was committed just before."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)", *PARTITIONS)
    settings = {**ONCE, "topic.creation.default.cleanup.policy": "compact"}
    finish(command, settings)
    source.execute("ALTER TABLE t DETACH PARTITION t2", "INSERT INTO t VALUES (1)")
    finish(command, settings)
    with source.connect() as connection, connection.transaction():
        connection.execute("INSERT INTO t VALUES (2)")
        connection.execute("TRUNCATE t")
        connection.execute("INSERT INTO t VALUES (3)")
    finish(command, settings)
    records: list[Any] = command.records("public.t")
    told = [(record.key["id"], record.value and record.value["op"]) for record in records]
    deleted = [(11, "d"), (11, None)]
    assert [pair for pair in told if pair[0] == 11] == [(11, "r"), *deleted]
    assert [pair for pair in told if pair[0] in (2, 3)] == [(2, "c"), (2, "d"), (2, None), (3, "c")]
    # Read again for the comparison.
    assert [pair for pair in told if pair[0] == 1] == [(1, "c"), (1, "r"), (1, "d"), (1, None)]
