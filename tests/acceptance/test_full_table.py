"""replication.method=FULL_TABLE: each run's topics hold what the tables held at one moment. A plain role suffices."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from producer import crash_points
from producer.pipeline import stages
from producer.pipeline.reconcile.topic_keys import compacted
from producer.settings import load_settings
from producer.sink.offsets import Loaded
from producer.sink.protocol import Sink
from tests.committed import settled
from tests.harness import Command, Source, folded, wait_for
from tests.scrape import PORT_FREE, Scrape

FULL: dict[str, object] = {"replication.method": "FULL_TABLE"}
# Little is in flight: a run takes seconds.
SLOW: dict[str, object] = {**FULL, "max.queue.size.in.bytes": 1500, "snapshot.max.threads": 1}


@pytest.fixture
def reader(source: Source) -> Iterator[dict[str, object]]:
    """A role that may connect, and nothing else yet; the settings to run as it."""
    role = f"r_{source.name}"
    source.execute(
        f"CREATE ROLE {role} LOGIN NOSUPERUSER NOREPLICATION PASSWORD 'p'",
        f"GRANT CONNECT ON DATABASE {source.name} TO {role}",
        f"GRANT USAGE ON SCHEMA public TO {role}",
    )
    yield {**FULL, "database.user": role, "database.password": "p"}
    source.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def run(command: Command, settings: dict[str, object], *more: str) -> str:
    done = command.run("run", *more, settings=settings)
    assert done.returncode == 0, done.stderr
    return done.stderr


def rows(command: Command, table: str, records: list[Any] | None = None) -> list[dict[str, Any]]:
    """The topic's final state."""
    found = folded(command.records(table) if records is None else records)
    return sorted(found.get(f"{command.prefix}.{table}", {}).values(), key=lambda row: row["id"])


@contextmanager
def sink_of(command: Command) -> Iterator[Sink]:
    """The producer's own, to ask with."""
    sink = stages.sink(load_settings(None, [], command.environment()).settings)
    try:
        yield sink
    finally:
        sink.close(0)


def remembered(command: Command) -> Loaded:
    """What the offsets topic holds."""
    with sink_of(command) as sink:
        return stages.offsets(load_settings(None, [], command.environment()).settings, sink).load(10)


def positions(records: list[Any]) -> None:
    """Contract 5: those of a key rise."""
    latest: dict[tuple[str, str], tuple[int, int]] = {}
    for record in records:
        if record.value is None:
            continue
        place = (record.topic, json.dumps(record.key, sort_keys=True))
        at = (record.value["source"]["commit_lsn"], record.value["source"]["ordinal"])
        assert at > latest.get(place, (-1, 0)), place
        assert at[1] == 0
        latest[place] = at


def test_run_after_run(source: Source, command: Command, reader: dict[str, object]) -> None:
    """Rows changed, gone and inserted again, a table emptied, columns that may not be seen, partitions; no slot."""
    role = reader["database.user"]
    source.execute(
        "CREATE TABLE a (id int PRIMARY KEY, v text NOT NULL)",
        "INSERT INTO a SELECT i, 'v' FROM generate_series(1, 50) i",
        "CREATE TABLE c (id int PRIMARY KEY, v int, secret text)", "INSERT INTO c VALUES (1, 1, 's'), (2, 2, 's')",
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (100)", "INSERT INTO p SELECT generate_series(1, 5)",
        "CREATE TABLE n (id int PRIMARY KEY)", "CREATE TABLE hidden (id int PRIMARY KEY)",
        f"GRANT SELECT ON a, p, n TO {role}", f"GRANT SELECT (id, v) ON c TO {role}",
    )  # fmt: skip
    settings = {
        **reader, "table.exclude.list": "public.hidden", "column.exclude.list": "public.c.secret",
        "topic.creation.default.partitions": 2,
    }  # fmt: skip
    checked = command.run("check", settings=settings)
    assert checked.returncode == 0, checked.stdout
    assert "wal_level" not in checked.stdout
    assert "replication" not in checked.stdout
    run(command, settings)
    assert source.rows("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == [(0,)]
    with sink_of(command) as sink:
        assert compacted(sink, f"{command.prefix}.public.a")
    first: list[Any] = command.records()
    assert Counter(record.value["source"]["snapshot"] for record in first if record.topic.endswith(".a")).keys() >= {
        "true"
    }
    markers = Counter(record.value["source"]["snapshot"] for record in first)
    assert (markers["first"], markers["last"], markers["incremental"]) == (1, 1, 0)
    assert {record.value["op"] for record in first} == {"r"}
    source.execute(
        "UPDATE a SET v = 'new' WHERE id = 1", "DELETE FROM a WHERE id IN (2, 3)", "INSERT INTO a VALUES (2, 'again')",
        "INSERT INTO a VALUES (99, 'more')", "TRUNCATE p", "UPDATE c SET v = 9 WHERE id = 2",
    )  # fmt: skip
    run(command, settings, "--once")
    records: list[Any] = command.records()
    positions(records)
    assert [(row["id"], row["v"]) for row in rows(command, "public.a", records)] == source.rows(
        "SELECT id, v FROM a ORDER BY id"
    )
    assert rows(command, "public.c", records) == [{"id": 1, "v": 1}, {"id": 2, "v": 9}]
    assert rows(command, "public.p", records) == []
    deletes = [record for record in records if record.value and record.value["op"] == "d"]
    assert sorted((record.topic.rpartition(".")[2], record.key["id"]) for record in deletes) == [
        ("a", 3), *(("p", number) for number in range(1, 6)),
    ]  # fmt: skip
    assert sum(record.value is None for record in records) == len(deletes)
    assert len(records) == len(first) + 50 + 2 + 2 * len(deletes)
    status = json.loads(command.run("status", "--json", settings=settings).stdout)
    assert (status["slot"], status["snapshot"]["state"]) == (None, "completed")
    assert (status["snapshot"]["tables_done"], status["snapshot"]["tables"], status["snapshot"]["rows"]) == (4, 4, 52)
    assert status["snapshot"]["unfinished"] == []
    assert status["lag"]["seconds"] >= 0
    compared = command.run("verify", "--json", settings=settings)
    assert (compared.returncode, json.loads(compared.stdout)["slot_behind_bytes"]) == (0, None), compared.stdout
    assert "since the last run" in compared.stderr
    # An idle server: its log does not grow, positions do. A table that is left out keeps its topic.
    said = run(command, {**settings, "table.exclude.list": r"public\.(hidden|p|a)"})
    assert "keys_deleted=0" in said
    more: list[Any] = command.records()
    positions(more)
    assert len(more) == len(records) + 2
    dropped = command.run("slot", "drop", "--yes", settings=settings)
    assert (dropped.returncode, "there is no replication slot" in dropped.stdout) == (0, True), dropped.stderr


def test_killed_in_the_midst(source: Source, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that were done stay done, the others are read as of now; the run after it copies all."""
    source.execute(
        "CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a SELECT generate_series(1, 1000)",
        "CREATE TABLE b (id int PRIMARY KEY, pad text)",
        "INSERT INTO b SELECT i, repeat('x', 300) FROM generate_series(1, 900) i", "ANALYZE",
    )  # fmt: skip
    run(command, FULL)
    source.execute("DELETE FROM a WHERE id = 1", "DELETE FROM b WHERE id = 1")
    before = remembered(command).offset
    assert before is not None
    # The larger table is done, of the other one the rows are acked: it is not compared yet.
    monkeypatch.setenv(crash_points.VARIABLE, "chunk_acked:2")
    assert command.run("run", settings=SLOW).returncode == -signal.SIGKILL
    monkeypatch.delenv(crash_points.VARIABLE)
    marks = remembered(command).tables
    assert marks["public.a"].position > before.lsn >= marks["public.b"].position
    source.execute("DELETE FROM a WHERE id = 2", "DELETE FROM b WHERE id = 2")
    copied = len(command.records("public.a"))
    assert "gone on with" in run(command, FULL)
    assert len(command.records("public.a")) == copied
    records: list[Any] = command.records("public.b")
    positions(records)
    assert [row["id"] for row in rows(command, "public.b", records)] == list(range(3, 901))
    assert {record.value["source"]["snapshot"] for record in records[-890:] if record.value} == {"incremental"}
    assert "gone on with" not in run(command, FULL)
    assert [row["id"] for row in rows(command, "public.a")] == list(range(3, 1001))


def test_one_view_of_all_tables(source: Source, command: Command) -> None:
    """What transactions move between two tables is never seen twice, nor in neither."""
    source.execute(
        "CREATE TABLE a (id int PRIMARY KEY, v int)", "INSERT INTO a SELECT i, 100 FROM generate_series(1, 300) i",
        "CREATE TABLE b (LIKE a INCLUDING ALL)", "INSERT INTO b SELECT i, 100 FROM generate_series(301, 600) i",
    )  # fmt: skip
    ended, moves = threading.Event(), 0

    def move() -> None:
        nonlocal moves
        with source.connect() as connection:
            while not ended.is_set():
                one, other, there, back = moves % 300 + 1, moves % 300 + 301, *(("a", "b") if moves % 7 else ("b", "a"))
                with connection.transaction():
                    connection.execute(f"UPDATE {there} SET v = v - 1 WHERE id = {one}".encode())
                    connection.execute(f"UPDATE {back} SET v = v + 1 WHERE id = {other}".encode())
                    connection.execute(
                        f"WITH gone AS (DELETE FROM {there} WHERE id = {one} RETURNING *) "
                        f"INSERT INTO {back} SELECT * FROM gone".encode()
                    )
                moves += 1

    thread = threading.Thread(target=move)
    thread.start()
    try:
        for settings in ({**FULL, "snapshot.chunk.rows": 50}, {**FULL, "exactly.once.support": "required"}):
            began = moves
            wait_for(lambda began=began: moves > began + 20, what="load")  # type: ignore[misc]
            run(command, settings)
            settled(command)
            records: list[Any] = command.records()
            positions(records)
            held = [*rows(command, "public.a", records), *rows(command, "public.b", records)]
            assert sorted(row["id"] for row in held) == list(range(1, 601))
    finally:
        ended.set()
        thread.join()
    run(command, FULL)
    records = command.records()
    for table in ("a", "b"):
        shown = [(row["id"], row["v"]) for row in rows(command, f"public.{table}", records)]
        assert shown == source.rows(f"SELECT id, v FROM {table} ORDER BY id")


def test_two_runs_at_once_and_a_stop(source: Source, command: Command) -> None:
    """The second waits for the first; SIGTERM ends in the midst, exit 0, and what is half done is not to be read."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
    source.execute("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 20000) i")
    running = command.start("run", settings={**SLOW, "exactly.once.support": "required"})
    running.wait_for("snapshot of a table begins")
    running.process.send_signal(signal.SIGSTOP)
    second = command.run("run", settings={**FULL, "errors.retry.timeout": 0})
    assert second.returncode == 5, second.stderr
    assert "is under way (pid " in second.stderr
    running.process.send_signal(signal.SIGTERM)
    assert running.stop(signal.SIGCONT) == 0, running.stderr
    assert "told to stop" in running.stderr
    assert command.records("public.t") == []
    status = json.loads(command.run("status", "--json", settings=FULL).stdout)
    assert (status["snapshot"]["state"], status["snapshot"]["tables_done"]) == ("running", 0)
    assert [one["table"] for one in status["snapshot"]["unfinished"]] == ["public.t"]
    run(command, FULL)
    assert len(rows(command, "public.t")) == 20000


def test_the_session_that_holds_the_lock_is_lost(source: Source, command: Command) -> None:
    """A temporary fault: the rest of the run takes the lock anew, and what was done is not copied again."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 100)",
        "CREATE TABLE z (id int PRIMARY KEY)", "INSERT INTO z VALUES (1)",
    )  # fmt: skip
    with source.connect() as holder:
        # One table stands until the loss is noticed; the other is done before.
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE z IN ACCESS EXCLUSIVE MODE")
        running = command.start("run", settings={**SLOW, "errors.retry.delay.max.ms": 100})
        waits = (
            "SELECT FROM pg_locks JOIN pg_database d ON d.oid = database "
            "WHERE NOT granted AND datname = current_database()"
        )
        # From here on for seconds that session is asked nothing else.
        wait_for(lambda: running.stderr.count("a snapshot was taken") > 1 and source.rows(waits), 30, "a second look")
        (gone,) = source.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database "
            "WHERE locktype = 'advisory' AND datname = current_database()"
        )
        assert gone == (True,)
        running.wait_for("holding the lock of the run")
        holder.execute("ROLLBACK")
    assert running.process.wait(60) == 0, running.stderr
    assert "the full-table run is complete" in running.stderr
    assert len(command.records("public.t")) == 100
    assert len(command.records("public.z")) == 1
    assert remembered(command).tables["public.t"].rows == 100


def test_a_row_that_no_record_can_carry_lives(source: Source, command: Command) -> None:
    """Its key is not deleted; where the key is not known, none is."""
    settings = {
        **FULL, "errors.tolerance": "all", "time.precision.mode": "nanoseconds", "message.key.columns": "public.u:id"
    }  # fmt: skip
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, d timestamp)", "INSERT INTO t VALUES (1), (2), (3)",
        "CREATE TABLE u (id int)", "INSERT INTO u VALUES (1), (2), (3)",
    )  # fmt: skip
    run(command, settings)
    source.execute(
        "UPDATE t SET d = '294276-12-31 23:59:59' WHERE id = 2", "DELETE FROM t WHERE id = 3",
        "UPDATE u SET id = NULL WHERE id = 2", "DELETE FROM u WHERE id = 3",
    )  # fmt: skip
    assert "no key was deleted" in run(command, settings)
    assert [row["id"] for row in rows(command, "public.t")] == [1, 2]
    assert [row["id"] for row in rows(command, "public.u")] == [1, 2, 3]
    source.execute("UPDATE u SET id = 2 WHERE id IS NULL")
    run(command, settings)
    assert [row["id"] for row in rows(command, "public.u")] == [1, 2]


def test_what_is_refused(source: Source, command: Command) -> None:
    """Before anything is sent: tables without a key, masked keys, named positions."""
    source.execute(
        "CREATE TABLE k (id int NOT NULL)", "CREATE TABLE t (id text PRIMARY KEY)", "INSERT INTO t VALUES ('1')"
    )
    done = command.run("run", settings=FULL)
    assert (done.returncode, "message.key.columns=public.k:" in done.stderr) == (3, True), done.stderr
    assert command.run("check", settings=FULL).returncode == 3
    mask = {**FULL, "table.exclude.list": "public.k", "column.mask.with.3.chars": "public.t.id"}
    done = command.run("run", settings=mask)
    assert (done.returncode, "the key column id is masked" in done.stderr) == (3, True), done.stderr
    done = command.run("run", "--skip-position", "0/1:1", settings=FULL)
    assert (done.returncode, "FULL_TABLE reads tables only" in done.stderr) == (2, True), done.stderr
    assert command.records() == []


def test_from_the_log_and_back(source: Source, command: Command) -> None:
    """A slot that keeps its log is not left behind; from full tables to the log, what has gone between is deleted."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 4)")
    run(command, {}, "--once")
    source.execute("DELETE FROM t WHERE id = 1")
    done = command.run("run", settings=FULL)
    assert (done.returncode, "pg-producer slot drop" in done.stderr) == (3, True), done.stderr
    assert command.run("slot", "drop", "--yes", settings=FULL).returncode == 0
    assert source.confirmed_lsn() is None
    run(command, FULL)
    assert [row["id"] for row in rows(command, "public.t")] == [2, 3, 4]
    source.execute("DELETE FROM t WHERE id = 2")
    done = command.run("run", "--once")
    assert (done.returncode, "FULL_TABLE" in done.stderr) == (3, True), done.stderr
    run(command, {"snapshot.mode": "when_needed"}, "--once")
    records: list[Any] = command.records("public.t")
    positions(records)
    assert [row["id"] for row in rows(command, "public.t", records)] == [3, 4]


def test_it_is_seen_at_work(source: Source, command: Command) -> None:
    """Its phase is that of a snapshot, behind a locked table too."""
    source.execute(*(f"CREATE TABLE {name} (id int PRIMARY KEY)" for name in "tz"))
    with source.connect() as holder:
        holder.autocommit = False
        holder.execute("LOCK TABLE z IN ACCESS EXCLUSIVE MODE")
        running = command.start("run", settings={**FULL, **PORT_FREE})
        scrape = Scrape(running)
        scrape.wait_for("phase", "snapshot", value=1)
        assert scrape.health() == (200, [])
        holder.rollback()
    assert running.process.wait(60) == 0, running.stderr
