"""Tables that are read beside the running stream: no key goes back in time, nothing is lost, under load."""

from __future__ import annotations

import random
import threading
from typing import Any

import psycopg
import pytest

from tests.harness import Command, Source, folded, wait_for

KEYS = 60


class Writers:
    """Sessions that change table t at random, some of it rolled back, until they are stopped."""

    def __init__(self, source: Source, seed: int, count: int = 3) -> None:
        self._source = source
        self._stop = threading.Event()
        self.transactions = 0
        self._failure: Exception | None = None
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(seed * 100 + number),)) for number in range(count)
        ]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self._failure is None, self._failure

    def _work(self, chance: random.Random) -> None:
        try:
            with self._source.connect() as connection:
                while not self._stop.is_set():
                    self._transaction(connection, chance)
        except psycopg.Error as error:
            self._failure = error

    def _transaction(self, connection: psycopg.Connection[Any], chance: random.Random) -> None:
        try:
            with connection.transaction() as whole:
                for _ in range(chance.randint(1, 4)):
                    self._change(connection, chance)
                if chance.random() < 0.2:
                    raise psycopg.Rollback(whole)
        except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
            return
        self.transactions += 1

    def _change(self, connection: psycopg.Connection[Any], chance: random.Random) -> None:
        one, other, value = chance.randint(1, KEYS), chance.randint(1, KEYS), chance.randint(0, 10**9)
        kind = chance.random()
        if kind < 0.35:
            connection.execute(
                "INSERT INTO t VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET v = excluded.v", (one, value)
            )
        elif kind < 0.65:
            connection.execute("UPDATE t SET v = %s WHERE id = %s", (value, one))
        elif kind < 0.8:
            connection.execute("DELETE FROM t WHERE id = %s", (one,))
        else:
            connection.execute("UPDATE t SET id = %s WHERE id = %s", (other, one))


def judge(source: Source, command: Command, settings: dict[str, object] | None = None) -> list[Any]:
    """Read to the end after a stop: per key the positions rise, and folding gives the table.

    Stopped inside a transaction, a run leaves its first events to be sent again by the next.
    """
    before_stop = len(list(command.records("public.t")))
    assert command.run("run", "--once", settings=settings or {}).returncode == 0
    records: list[Any] = list(command.records("public.t"))
    latest: dict[int, tuple[int, int]] = {}
    sent: set[tuple[int, tuple[int, int]]] = set()
    for number, record in enumerate(records):
        if record.value is None:
            continue
        position = (record.value["source"]["commit_lsn"], record.value["source"]["ordinal"])
        key = record.key["id"]
        if number < before_stop:
            sent.add((key, position))
        elif (key, position) in sent:
            continue
        assert key not in latest or position > latest[key], (key, latest[key], position, record.value["op"])
        latest[key] = position
    rows = {row[0]: row[1] for row in source.rows("SELECT id, v FROM t")}
    state = folded(records)[f"{command.prefix}.public.t"]
    assert {row["id"]: row["v"] for row in state.values()} == rows
    return records


@pytest.mark.parametrize("seed", [1, 2])
def test_a_slot_that_existed_before_is_read_under_load(source: Source, command: Command, seed: int) -> None:
    """Its stream runs from where it stands; every table is read beside it."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v bigint)",
        "INSERT INTO t SELECT i, i FROM generate_series(1, 30) i",
        f"SELECT pg_create_logical_replication_slot('{source.slot}', 'wal2json')",
        "INSERT INTO t SELECT i, -i FROM generate_series(31, 40) i",
    )
    with Writers(source, seed) as writers:
        wait_for(lambda: writers.transactions > 20, what="load")
        running = command.start("run")
        running.wait_for("snapshot of a table is read")
        done = writers.transactions
        wait_for(lambda: writers.transactions > done + 50, what="load behind the reading")
    assert running.stop() == 0, running.stderr
    records = judge(source, command)
    assert {record.value["source"]["snapshot"] for record in records if record.value} == {"incremental", "false"}


def test_a_table_renamed_into_the_selection_under_load(source: Source, command: Command) -> None:
    """Within seconds, without a restart, and without a step back for any key."""
    source.execute("CREATE TABLE other (id int PRIMARY KEY)", "CREATE TABLE hidden (id int PRIMARY KEY, v bigint)")
    source.execute("INSERT INTO hidden SELECT i, i FROM generate_series(1, 50) i")
    settings: dict[str, object] = {"table.include.list": "public.other,public.t"}
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    source.execute("ALTER TABLE hidden RENAME TO t")
    with Writers(source, 7) as writers:
        running.wait_for("snapshot of a table is read")
        done = writers.transactions
        wait_for(lambda: writers.transactions > done + 50, what="load behind the reading")
    assert running.stop() == 0, running.stderr
    judge(source, command, settings)


def test_keyless_tables_and_truncates_beside_a_reading(source: Source, command: Command) -> None:
    """A keyless table is read as a whole; a table that is emptied meanwhile has no rows left of before."""
    source.execute(
        "CREATE TABLE t (id int)",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "INSERT INTO t SELECT generate_series(1, 100)",
        "CREATE TABLE e (id int PRIMARY KEY)",
        "INSERT INTO e VALUES (1)",
        f"SELECT pg_create_logical_replication_slot('{source.slot}', 'wal2json')",
        "TRUNCATE e",
        "INSERT INTO e VALUES (2)",
        "DELETE FROM t WHERE id > 50",
    )
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    rows: list[Any] = list(command.records("public.t"))
    assert sorted(record.value["after"]["id"] for record in rows if record.value["op"] == "r") == list(range(1, 51))
    assert [record.value["op"] for record in rows[:50]] == ["d"] * 50
    emptied: list[Any] = list(command.records("public.e"))
    assert [record.value["op"] for record in emptied] == ["t", "c", "r"]
    assert "the snapshot is complete" in done.stderr
