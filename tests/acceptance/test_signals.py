"""Signals and crashes at each stage: bounded time, the right exit code, nothing lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.pq import ExecStatus

from dev.stack import Stack
from producer.lsn import Lsn
from tests import harness
from tests.harness import Command, Row, Source, folded, wait_for

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
MANY = "INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 40000) i"
# Some rows in flight: seconds of round trips, so that a signal lands in the midst.
SLOW: dict[str, object] = {"max.queue.size.in.bytes": 30_000}


@pytest.fixture
def reader(source: Source) -> Iterator[psycopg.Connection[Row]]:
    """A walsender session of somebody else."""
    dsn = f"{source.stack.postgres_dsn(source.name)} replication=database application_name=somebody"
    connection = psycopg.connect(dsn, autocommit=True)
    yield connection
    connection.close()


@pytest.fixture
def broker(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """A Kafka of our own, to be taken away."""
    made = Stack(tmp_path / "broker" / "stack", stack.cache)
    made.start("kafka")
    yield made
    made.wipe()


def take(reader: psycopg.Connection[Row], slot: str) -> int:
    """Read the slot; the reader's pid."""
    # The producer's publication has the slot's name, by default.
    options = f" (proto_version '1', publication_names '{slot}')" if harness.PLUGIN == "pgoutput" else ""
    result = reader.pgconn.exec_(f'START_REPLICATION SLOT "{slot}" LOGICAL 0/0{options}'.encode())
    assert result.status == ExecStatus.COPY_BOTH, result.error_message
    return reader.info.backend_pid


def test_a_slot_that_somebody_else_reads(source: Source, command: Command, reader: psycopg.Connection[Row]) -> None:
    """Contract 7: the log names slot and pid, exit 5 at the limit; `check` says who; SIGTERM ends the wait."""
    source.execute(TABLE)
    assert command.run("run", "--once").returncode == 0
    pid = take(reader, source.slot)
    done = command.run("run", settings={"errors.retry.timeout": 1500})
    assert done.returncode == 5, done.stderr
    assert "a temporary fault" in done.stderr
    assert source.slot in done.stderr
    assert str(pid) in done.stderr
    checked = command.run("check")
    assert checked.returncode == 3
    assert f"pid {pid} (somebody)" in checked.stdout
    for how in (signal.SIGTERM, signal.SIGINT):
        waiting = command.start("run")
        waiting.wait_for("a temporary fault")
        assert waiting.stop(how, 5) == 0, waiting.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_end_in_the_middle_of_the_snapshot(source: Source, command: Command, how: signal.Signals) -> None:
    """Contract 2, 7: the slot stays, the next run completes the snapshot, nothing is lost."""
    source.execute(TABLE, MANY)
    running = command.start("run", settings=SLOW)
    topic = f"{command.prefix}.public.t"
    wait_for(lambda: len(command.records()) > 500, 30, f"rows in {topic}")
    assert running.stop(how, 10) == (0 if how == signal.SIGTERM else -how), running.stderr
    assert source.confirmed_lsn() is not None
    source.execute("UPDATE t SET v = 'new' WHERE id <= 10", "DELETE FROM t WHERE id = 11")
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    state = folded(command.records())[topic]
    rows = {row["id"]: row["v"] for row in state.values()}
    assert rows == dict(source.rows("SELECT id, v FROM t"))


def test_confirmed_only_after_acks_and_a_second_signal_ends_at_once(
    source: Source, command: Command, broker: Stack
) -> None:
    """Contract 2, 7: Kafka is away; the slot stays where the acks are, however often its status is sent."""
    source.execute(TABLE)
    settings: dict[str, object] = {"bootstrap.servers": broker.bootstrap_servers, "status.update.interval.ms": 200}
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    broker.kill("kafka")
    source.execute("INSERT INTO t VALUES (1)")
    inserted = Lsn.parse(str(source.rows("SELECT pg_current_wal_insert_lsn()::text")[0][0]))
    replied = f"SELECT reply_time FROM pg_stat_replication WHERE application_name = 'pg-producer {command.prefix}'"
    for _ in range(5):
        before = source.rows(replied)
        wait_for(lambda before=before: source.rows(replied) != before, 10, "another status update")  # type: ignore[misc]
    assert Lsn.parse(source.confirmed_lsn() or "0/0") < inserted
    running.process.send_signal(signal.SIGTERM)
    running.wait_for("a second signal ends at once")
    since = time.monotonic()
    assert running.stop(signal.SIGINT, 5) == 128 + signal.SIGINT
    assert time.monotonic() - since < 2
    broker.start("kafka")
    assert command.run("run", "--once", settings=settings).returncode == 0
    assert Lsn.parse(source.confirmed_lsn() or "0/0") >= inserted
    command.bootstrap_servers = broker.bootstrap_servers
    assert [record.key for record in command.records()] == [{"id": 1}]


def test_what_is_sent_again_is_the_same(source: Source, command: Command) -> None:
    """Contract 5, 7: after kill -9 positions are the same; without repeats each key's events are in commit order."""
    source.execute(TABLE, "INSERT INTO t SELECT i, '0' FROM generate_series(1, 20) i")
    assert command.run("run", "--once").returncode == 0
    source.execute(*(f"UPDATE t SET v = '{number}'" for number in range(1, 1501)))
    for wanted in (3000, 12000):
        running = command.start("run")
        wait_for(lambda wanted=wanted: len(command.records()) > wanted, 30, "a part")  # type: ignore[misc]
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    assert command.run("run", "--once").returncode == 0
    known: dict[tuple[int, int], Any] = {}
    values: dict[int, list[str]] = {}
    latest: dict[int, tuple[int, int]] = {}
    for record in command.records():
        value: Any = record.value
        position = (value["source"]["commit_lsn"], value["source"]["ordinal"])
        if value["op"] == "r":
            continue
        assert known.setdefault(position, value["after"]) == value["after"]
        key = value["after"]["id"]
        if position > latest.get(key, (0, 0)):
            latest[key] = position
            values.setdefault(key, []).append(value["after"]["v"])
    assert values == {key: [str(number) for number in range(1, 1501)] for key in range(1, 21)}


@pytest.mark.parametrize("away", ["bootstrap.servers", "database.port", "schema.registry.url"])
def test_sigterm_while_a_server_is_away(source: Source, command: Command, away: str) -> None:
    """Contract 2: the wait for a server ends in bounded time, nothing in flight: exit 0 (Kafka away: or 5)."""
    source.execute(TABLE)
    place = {"database.port": "1", "schema.registry.url": "http://127.0.0.1:1"}.get(away, "127.0.0.1:1")
    running = command.start("run", settings={away: place})
    running.wait_for("a temporary fault")
    code = running.stop(signal.SIGTERM, 12)
    assert code in ((0, 5) if away == "bootstrap.servers" else (0,)), running.stderr
