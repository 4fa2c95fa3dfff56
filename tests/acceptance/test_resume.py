"""An interrupted snapshot goes on where it was: chunks that are done are not read again, whatever happens between."""

from __future__ import annotations

import json
import secrets
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from dev.stack import Stack
from producer import crash_points
from producer.errors import OperatorError
from producer.pipeline import stages
from producer.settings import load_settings
from producer.sink.consume import consumer_config
from producer.sink.offsets import Loaded
from tests.harness import Command, Running, Source, folded, source_of, wait_for
from tests.writers import Writers, judge

ROWS = 6000
TABLE = "CREATE TABLE t (id int PRIMARY KEY, v bigint, pad text) WITH (autovacuum_enabled = false)"
FILL = f"INSERT INTO t SELECT i, i, repeat('x', 200) FROM generate_series(1, {ROWS}) i"
# Some few rows in flight: seconds of round trips, so that a kill lands in the midst.
SLOW: dict[str, object] = {"snapshot.chunk.rows": 300, "max.queue.size.in.bytes": 1500}
# Borders need not be those of before.
REST: dict[str, object] = {"snapshot.chunk.rows": 3000}
# All over the table.
KEYS = range(1, ROWS, 99)


def remembered(command: Command) -> Loaded:
    """What the offsets topic holds."""
    settings = load_settings(None, [], command.environment()).settings
    sink = stages.sink(settings)
    try:
        return stages.offsets(settings, sink).load(10)
    except OperatorError:
        return Loaded()
    finally:
        sink.close(0)


def done_ids(source: Source, loaded: Loaded) -> set[int]:
    """The rows of the chunks of t that are done."""
    ranges = list(loaded.chunks["public.t"])
    pages = source.rows("SELECT id, split_part(trim('(' FROM ctid::text), ',', 1)::int FROM t")
    return {id_ for id_, page in pages if any(page >= first and page < (end or 10**9) for first, end in ranges)}


def paused(command: Command, settings: dict[str, object] = SLOW) -> Running:
    """Started, and stopped in its tracks as soon as three chunks more are marked."""
    loaded = load_settings(None, [], command.environment()).settings
    sink = stages.sink(loaded)
    stages.offsets(loaded, sink).ensure()
    sink.close(0)
    consumer = Consumer(consumer_config(command.bootstrap_servers, {}))
    place = TopicPartition(loaded.offset_storage_topic, 0)
    place.offset = consumer.get_watermark_offsets(place, timeout=10)[1]
    consumer.assign([place])
    running = command.start("run", settings=settings)
    marks = 0

    def some() -> bool:
        nonlocal marks
        for message in consumer.consume(100, 0.05):
            key = message.key() or b""
            ours = f'"{command.prefix}"'.encode() in key and b'"chunk"' in key
            marks += ours and message.value() is not None
        assert running.process.poll() is None, running.stderr
        return marks >= 3

    wait_for(some, 60, "chunks' marks")
    running.process.send_signal(signal.SIGSTOP)
    consumer.close()
    assert "public.t" not in remembered(command).tables, "it was too fast for us"
    return running


def kill(command: Command, settings: dict[str, object] = SLOW) -> Loaded:
    """Kill -9 in the midst of a snapshot; what is remembered."""
    running = paused(command, settings)
    running.process.kill()
    running.process.wait(10)
    return remembered(command)


def copies(records: list[Any]) -> Counter[int]:
    """How often each row was copied."""
    return Counter(record.value["after"]["id"] for record in records if record.value and record.value["op"] == "r")


def test_chunks_that_are_done_are_not_read_again_under_load(source: Source, command: Command) -> None:
    """Contract 7: it continues at the first unfinished chunk; nothing older follows a chunk's row. Killed twice."""
    source.execute(TABLE, FILL)
    done = done_ids(source, kill(command))
    status = json.loads(command.run("status", "--json", settings=SLOW).stdout)["snapshot"]
    (progress,) = status["unfinished"]
    assert (status["state"], status["tables_done"], status["tables"]) == ("running", 0, 1)
    assert status["rows"] == progress["rows"] == len(done)
    assert (progress["table"], 3 <= progress["chunks_done"] < progress["chunks"] <= 80) == ("public.t", True)
    with Writers(source, 3, keys=KEYS) as writers:
        wait_for(lambda: writers.transactions > 20, what="load")
        # Rows that moved may be in another chunk by now; those that nobody changes are where they were.
        done_since = done_ids(source, kill(command)) - set(KEYS)
        before = copies(command.records("public.t"))
        running = command.start("run", settings=REST)
        running.wait_for("the snapshot is complete")
        at = writers.transactions
        wait_for(lambda: writers.transactions > at + 50, what="load behind the snapshot")
    assert running.stop() == 0, running.stderr
    records = judge(source, command, REST, killed=True)
    counted = copies(records)
    assert {counted[id_] for id_ in done - set(KEYS)} == {1}
    assert done_since > done - set(KEYS)
    assert {id_: counted[id_] for id_ in done_since} == {id_: before[id_] for id_ in done_since}
    assert set(counted.values()) <= {1, 2, 3}
    assert remembered(command).chunks == {}, "a table's mark takes the place of its chunks'"


@pytest.mark.parametrize("change", ["VACUUM FULL t", "TRUNCATE t"])
def test_another_file_voids_the_marks(source: Source, command: Command, change: str) -> None:
    """Its pages are not those that were read: it is read again whole."""
    source.execute(TABLE, FILL)
    done = done_ids(source, kill(command))
    source.execute("UPDATE t SET v = 0 WHERE id % 1000 = 0", change, "INSERT INTO t VALUES (0, 0)")
    records = judge(source, command, REST, killed=True)
    counted = copies(records)
    assert {counted[id_] for id_ in done} == ({2} if change == "VACUUM FULL t" else {1})
    assert remembered(command).chunks == {}


def test_a_table_that_comes_into_the_selection_of_an_interrupted_snapshot(source: Source, command: Command) -> None:
    """Both are read; of the one that was begun, what is left."""
    source.execute(TABLE, FILL, "CREATE TABLE u (id int PRIMARY KEY)", "INSERT INTO u VALUES (1)")
    done = done_ids(source, kill(command, {**SLOW, "table.include.list": "public.t"}))
    done_now = command.run("run", "--once", settings=REST)
    assert done_now.returncode == 0, done_now.stderr
    counted = copies(command.records("public.t"))
    assert {counted[id_] for id_ in done} == {1}
    assert counted.keys() == set(range(1, ROWS + 1))
    assert copies(command.records("public.u")) == {1: 1}


def test_a_keyless_table_is_read_again_whole(source: Source, command: Command) -> None:
    """Nothing tells which row moved: it has no chunk marks, and the log says that its rows repeat."""
    source.execute(TABLE, "ALTER TABLE t DROP CONSTRAINT t_pkey, REPLICA IDENTITY FULL", FILL)
    running = command.start("run", settings=SLOW)
    wait_for(lambda: len(command.records("public.t")) > 1000, 30, running.stderr)
    running.process.kill()
    running.process.wait(10)
    loaded = remembered(command)
    assert (loaded.chunks, loaded.tables) == ({}, {})
    some = len(command.records("public.t"))
    done = command.run("run", "--once", settings=REST)
    assert done.returncode == 0, done.stderr
    assert "rows that went out before come again" in done.stderr
    # What was on its way when it was killed may have come since.
    records = command.records("public.t")
    assert len(records) >= some + ROWS
    assert copies(records[-ROWS:]) == dict.fromkeys(range(1, ROWS + 1), 1)


def test_a_reader_s_session_is_lost(source: Source, command: Command) -> None:
    """A temporary fault: it goes on by itself, beside the stream, with what is left."""
    source.execute(TABLE, FILL)
    running = paused(command)
    source.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE query LIKE 'COPY%' AND datname = current_database()"
    )
    running.process.send_signal(signal.SIGCONT)
    running.wait_for("the snapshot is complete", 60)
    assert "a temporary fault" in running.stderr
    assert running.stop() == 0
    records: list[Any] = list(command.records("public.t"))
    counted = copies(records)
    assert counted.keys() == set(range(1, ROWS + 1))
    assert counted[1] == 1
    assert max(counted.values()) <= 2
    assert {record.value["source"]["snapshot"] for record in records} >= {"first", "true", "incremental"}


@pytest.fixture
def restarted(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """A PostgreSQL of our own, to be restarted."""
    made = Stack(tmp_path / "pg" / "stack", stack.cache)
    made.start("postgres")
    yield made
    made.wipe()


def test_the_server_restarts_in_the_midst(stack: Stack, restarted: Stack, tmp_path: Path) -> None:
    """The exported snapshot is gone with the server: what is left is read beside the stream."""
    with source_of(restarted, f"t{secrets.token_hex(5)}") as source:
        source.execute(TABLE, FILL)
        command = Command(stack, source, tmp_path)
        settings: dict[str, object] = {**SLOW, "database.port": restarted.postgres_port}
        try:
            running = paused(command, settings)
            restarted.restart("postgres")
            running.process.send_signal(signal.SIGCONT)
            running.wait_for("the snapshot is complete", 90)
            source.execute("INSERT INTO t VALUES (0, 0)")
            assert running.stop() == 0, running.stderr
            counted = copies(command.records("public.t"))
        finally:
            command.end()
        assert counted.keys() >= set(range(1, ROWS + 1))
        assert counted[1] == 1


def test_always_reads_at_every_start(source: Source, command: Command) -> None:
    """snapshot.mode=always: marks are void at each start, those of an interrupted snapshot too."""
    settings: dict[str, object] = {**REST, "snapshot.mode": "always"}
    source.execute(TABLE, FILL)
    done = done_ids(source, kill(command, {**SLOW, "snapshot.mode": "always"}))
    first = command.run("run", "--once", settings=settings)
    assert first.returncode == 0, first.stderr
    counted = copies(command.records("public.t"))
    assert {counted[id_] for id_ in done} == {2}
    source.execute("DELETE FROM t WHERE id > 10")
    second = command.run("run", "--once", settings=settings)
    assert second.returncode == 0, second.stderr
    records: list[Any] = list(command.records("public.t"))
    assert copies(records)[1] == 3
    assert len(folded(records)[f"{command.prefix}.public.t"]) == 10
    third = command.run("run", "--once", settings={**settings, "snapshot.mode": "initial"})
    assert third.returncode == 0, third.stderr
    assert len(command.records("public.t")) == len(records)


def test_rows_that_come_again_are_as_they_were(
    source: Source, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between a chunk and its mark, beside the stream: the same rows again, and at no older place."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    source.make_slot()
    with monkeypatch.context() as dying:
        dying.setenv(crash_points.VARIABLE, "chunk_acked")
        assert command.run("run", "--once").returncode == -9
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    records: list[Any] = command.records("public.t")
    assert [record.value["after"]["id"] for record in records] == [1, 2, 1, 2]
    positions = [record.value["source"]["commit_lsn"] for record in records]
    assert positions == sorted(positions)
