"""Metrics, health and status of a running producer: what they say is what happened."""

from __future__ import annotations

import base64
import json
import math
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dev.stack import Stack
from tests import harness
from tests.harness import Command, Source, wait_for
from tests.proxy import Link
from tests.scrape import PORT_FREE, Scrape

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
ROW = "r0w-value-Yt4"
LOGIN = "asker:pa55-Ku2"


@pytest.fixture
def broker(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """A Kafka of our own, to be taken away."""
    made = Stack(tmp_path / "broker" / "stack", stack.cache)
    made.start("kafka")
    yield made
    made.wipe()


def _true_events(command: Command) -> dict[tuple[str, str], int]:
    """(op, table) of every event that the topics hold, snapshot rows left out."""
    values: list[Any] = [record.value for record in command.records() if record.value is not None]
    found = Counter((value["op"], f"{value['source']['schema']}.{value['source']['table']}") for value in values)
    return {key: count for key, count in found.items() if key[0] != "r"}


def _all_acked(scrape: Scrape) -> None:
    """What is told of acks and of what they leave is told one after the other."""
    for name in ("in_flight_bytes", "unacked_milliseconds"):
        scrape.wait_for(name, value=0)


def test_what_is_told_is_what_happened(source: Source, command: Command) -> None:
    """Events by table and op, rows, acks, transactions, dead letters, lost changes, reconnects: as topics have them.

    And neither a secret nor what a row holds is in any answer.
    """
    source.execute(
        TABLE, "CREATE TABLE nokey (v text)", "CREATE TABLE arrays (id int PRIMARY KEY, a text[])",
        "ALTER TABLE arrays REPLICA IDENTITY FULL",
        f"INSERT INTO t SELECT i, '{ROW}' FROM generate_series(1, 300) i", "INSERT INTO nokey VALUES ('a'), ('b')",
    )  # fmt: skip
    settings = {**PORT_FREE, "errors.tolerance": "all", "http.basic.auth.user.info": LOGIN, "snapshot.chunk.rows": 100}
    running = command.start("run", settings=settings)
    scrape = Scrape(running, login=LOGIN)
    running.wait_for("streaming")
    assert scrape.values("snapshot_rows_total") == {("public.arrays",): 0, ("public.nokey",): 2, ("public.t",): 300}
    assert set(scrape.values("snapshot_chunks_to_do").values()) == {0}
    assert scrape.value("phase", "streaming") == 1

    source.execute(
        f"INSERT INTO t SELECT i, '{ROW}' FROM generate_series(301, 3000) i",  # many to a call of the fast path
        "UPDATE t SET v = v || '!' WHERE id <= 20",
        "UPDATE t SET id = -id WHERE id <= 3",
        "DELETE FROM t WHERE id BETWEEN 4 AND 8",
        "BEGIN; DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (9, 'x'); COMMIT",
        "INSERT INTO nokey VALUES ('c')",
        "UPDATE nokey SET v = 'd'",  # without a replica identity: three changes that are not in the log
        f"INSERT INTO arrays VALUES (1, '{{a}}'), (2, '{{{{{ROW}}}}}')",  # the second is a dead letter
        "DELETE FROM arrays WHERE id = 2",  # its old row is another, and the delete goes out without it
        "TRUNCATE arrays",
        "INSERT INTO t VALUES (10000, 'last')",
    )
    scrape.wait_for("events_total", "c", "public.t", value=2700 + 3 + 1 + 1)
    # They are counted when they are handed over, and in the topics once they are acked; all transactions but that
    # whose changes the log does not hold.
    scrape.wait_for("milliseconds_behind_source_count", value=10)
    told = scrape.values("events_total")
    assert told == {
        ("c", "public.t"): 2705, ("u", "public.t"): 20, ("d", "public.t"): 3 + 5 + 1, ("c", "public.nokey"): 1,
        ("c", "public.arrays"): 1, ("d", "public.arrays"): 1, ("t", "public.arrays"): 1,
    }  # fmt: skip
    assert told == _true_events(command)
    assert scrape.value("errors_total", "ConversionError") == 2
    # pgoutput tells of no single one.
    lost = 3 if harness.PLUGIN == "wal2json" else 0
    assert scrape.value("lost_changes_total", "public.nokey") == lost
    # All records of the tables, and the letters; the offsets are ours.
    scrape.wait_for("acks_total", value=len(command.records()) + 2)
    _all_acked(scrape)
    assert scrape.value("milliseconds_behind_source_count") == 10
    assert scrape.value("registry_calls_total", "answered") >= 5

    source.execute(
        f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{source.slot}'"
    )
    scrape.wait_for("errors_total", "PostgresUnavailable", value=1)
    assert scrape.value("reconnects_total") == 1
    source.execute("INSERT INTO t VALUES (10001, 'after')")
    scrape.wait_for("events_total", "c", "public.t", value=2706)
    assert scrape.health() == (200, [])
    kinds = {error["kind"]: error for error in scrape.status()["errors"]}
    assert kinds.keys() == {"ConversionError", "PostgresUnavailable", *(["LostChange"] if lost else [])}
    assert "public.arrays" in kinds["ConversionError"]["message"]
    assert all(error["remedy"] for error in kinds.values())

    for path in ("/", "/status.json", "/metrics", "/health"):
        text = scrape.ask(path).text
        assert ROW not in text
        assert "pa55" not in text
    assert running.stop() == 0
    assert "pa55" not in running.stderr


def test_with_kafka_transactions_what_is_committed_counts(source: Source, command: Command) -> None:
    """Lag is measured to the commit; nothing is in flight behind it."""
    source.execute(TABLE, "INSERT INTO t VALUES (0)")
    running = command.start("run", settings={**PORT_FREE, "exactly.once.support": "required"})
    running.wait_for("streaming")
    scrape = Scrape(running)
    source.execute("INSERT INTO t VALUES (1)", "UPDATE t SET v = 'x' WHERE id = 1", "DELETE FROM t WHERE id = 1")
    scrape.wait_for("milliseconds_behind_source_count", value=3)
    assert scrape.values("events_total") == {(op, "public.t"): 1 for op in "cud"}
    # The snapshot's row, three events, a tombstone.
    scrape.wait_for("acks_total", value=5)
    _all_acked(scrape)
    assert running.stop() == 0


def test_a_snapshot_is_seen_while_it_goes_on(source: Source, command: Command) -> None:
    """Rows and chunks of the table that is copied; the one that waits behind a lock waits."""
    source.execute(
        TABLE, "INSERT INTO t SELECT i FROM generate_series(1, 200000) i",
        "CREATE TABLE z (id int PRIMARY KEY)", "ANALYZE",
    )  # fmt: skip
    settings = {**PORT_FREE, "snapshot.max.threads": 1, "snapshot.chunk.rows": 50000}
    with closing(Link(source.stack.postgres_port)) as link, source.connect() as holder:
        # The large table is not read before the lock on the other is held.
        link.bytes_per_second = 100_000
        running = command.start("run", settings={**settings, "database.port": link.port})
        scrape = Scrape(running)
        holder.autocommit = False
        # Not before: the slot's making would wait for it.
        scrape.wait_for("phase", "snapshot", value=1)
        holder.execute("LOCK TABLE z IN ACCESS EXCLUSIVE MODE")
        link.bytes_per_second = math.inf
        wait_for(lambda: scrape.value("snapshot_rows_total", "public.t") >= 199999, 30, "the large table is read")
        assert scrape.value("phase", "snapshot") == 1
        assert scrape.value("snapshot_chunks_to_do", "public.z") == 1
        tables = {table["name"]: table["snapshot"] for table in scrape.status()["tables"]}
        # The last one is held until it is known to be the last.
        assert (tables["public.t"]["rows"], tables["public.t"]["expected_rows"]) == (199999, 200000)
        assert tables["public.t"]["chunks"] >= 3
        assert tables["public.z"]["state"] == "waiting"
        assert scrape.health() == (200, [])
        holder.rollback()
        running.wait_for("streaming")
        tables = {table["name"]: table["snapshot"] for table in scrape.status()["tables"]}
        assert {snapshot["state"] for snapshot in tables.values()} == {"done"}
        assert scrape.value("snapshot_rows_total", "public.t") == 200000
        assert scrape.value("acks_total") == 200000
        assert running.stop() == 0


def test_kafka_away_is_seen_and_so_is_what_it_holds_back(source: Source, command: Command, broker: Stack) -> None:
    """The lag grows and is in the histogram when it is over; 503 where the slot holds back more than it may."""
    source.execute(TABLE)
    settings = {**PORT_FREE, "bootstrap.servers": broker.bootstrap_servers, "slot.max.retained.bytes": 1}
    running = command.start("run", settings=settings)
    scrape = Scrape(running)
    running.wait_for("streaming")
    broker.kill("kafka")
    source.execute("INSERT INTO t VALUES (1)")
    wait_for(lambda: scrape.value("unacked_milliseconds") > 2000, 30, "lag")
    assert scrape.value("in_flight_bytes") > 0
    assert scrape.value("milliseconds_behind_source_count") == 0
    wait_for(lambda: scrape.health() == (503, ["retained"]), 30, "too much is held back")
    assert scrape.value("healthy") == 0
    assert scrape.value("slot_retained_wal_bytes") > scrape.value("slot_retained_limit_bytes") == 1
    wait_for(lambda: any((sample[2] or 0) > 1000 for sample in scrape.status()["samples"]), 10, "it is in the plot")
    broker.start("kafka")
    scrape.wait_for("milliseconds_behind_source_count", value=1, seconds=60)
    wait_for(lambda: scrape.value("milliseconds_behind_source_sum") > 2000, what="it is in the sum")
    _all_acked(scrape)
    assert running.stop() == 0


def test_a_standby_is_healthy_and_says_so(source: Source, command: Command) -> None:
    """Its looks at the slot are no reconnects; a fault is told as one."""
    source.execute(TABLE)
    first = command.start("run")
    first.wait_for("streaming")
    second = command.start("run", settings=PORT_FREE)
    scrape = Scrape(second)
    scrape.wait_for("phase", "standby", value=1)
    reply = scrape.ask("/health")
    assert (reply.status, json.loads(reply.text)["phase"]) == (200, "standby")
    assert scrape.value("reconnects_total") == 0
    assert first.stop() == 0
    scrape.wait_for("phase", "streaming", value=1)
    assert second.stop() == 0


def test_an_address_that_is_taken_is_refused_before_anything_is_made(source: Source, command: Command) -> None:
    """Exit 3; there is no slot. A login that is none: exit 2."""
    source.execute(TABLE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = command.run("run", "--once", settings={"http.listen": address})
    assert done.returncode == 3, done.stderr
    assert f"http.listen={address}" in done.stderr
    assert "remedy: " in done.stderr
    assert source.confirmed_lsn() is None
    done = command.run("run", settings={**PORT_FREE, "http.basic.auth.user.info": "pa55-Ku2"})
    assert done.returncode == 2
    assert "http.basic.auth.user.info: must be user:password" in done.stderr
    assert "pa55" not in done.stderr


def test_who_may_ask(command: Command, source: Source) -> None:
    """Over a real socket: a login, a name of this machine, GET and HEAD."""
    running = command.start("run", settings={**PORT_FREE, "http.basic.auth.user.info": LOGIN})
    scrape = Scrape(running)
    right = {"Authorization": "Basic " + base64.b64encode(LOGIN.encode()).decode()}
    assert scrape.ask("/metrics").status == 401
    reply = scrape.ask("/metrics", right)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert scrape.ask("/", {**right, "Host": "evil.test"}).status == 421
    head = scrape.ask("/", right, "HEAD")
    assert (head.status, head.text) == (200, "")
    assert int(head.headers["Content-Length"]) > 1000
    assert scrape.ask("/", right, "POST").status == 405
    assert scrape.ask("/x", right).status == 404
    assert "Server" not in head.headers
    running.stop()
