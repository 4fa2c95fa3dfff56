"""The stream's rarer events: identities, key changes, transactions, truncates, tables made meanwhile."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from producer.lsn import Lsn
from tests.harness import Command, Source, wait_for

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def synced(command: Command, settings: dict[str, object] | None = None) -> None:
    """A sync run that succeeds."""
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr


def events(command: Command, table: str = "public.t") -> list[Any]:
    """Records of one table, as they come."""
    return list(command.records(table))


def ops(records: list[Any]) -> list[str | None]:
    """What each record is; None for a tombstone."""
    return [record.value["op"] if record.value else None for record in records]


def test_one_truncate_of_two_tables(source: Source, command: Command) -> None:
    """Contract 5: one event a table, to each partition, null key, both of one transaction, ordinals apart."""
    source.execute(TABLE, "CREATE TABLE u (id int PRIMARY KEY)")
    settings: dict[str, object] = {"topic.creation.default.partitions": 3}
    synced(command, settings)
    source.execute("TRUNCATE t, u")
    synced(command, settings)
    positions: list[tuple[int, int]] = []
    for table in ("public.t", "public.u"):
        records = events(command, table)
        assert ops(records) == ["t"] * 3
        assert sorted(record.partition for record in records) == [0, 1, 2]
        assert all(record.key is None for record in records)
        found = {(r.value["source"]["commit_lsn"], r.value["source"]["ordinal"]) for r in records}
        assert len(found) == 1
        positions += found
    assert positions[0][0] == positions[1][0]
    assert {ordinal for _, ordinal in positions} == {1, 2}


def test_skipped_deletes_and_truncates(source: Source, command: Command) -> None:
    """Contract 3: skipped.operations=t,d leaves no delete, no tombstone, no truncate; the slot moves on."""
    source.execute(TABLE)
    settings: dict[str, object] = {"skipped.operations": "t,d"}
    synced(command, settings)
    source.execute("INSERT INTO t VALUES (1)", "DELETE FROM t", "TRUNCATE t", "INSERT INTO t VALUES (2)")
    synced(command, settings)
    assert ops(events(command)) == ["c", "c"]


def test_key_changes_under_full_identity(source: Source, command: Command) -> None:
    """Contract 5: delete with the whole old row, tombstone, create; an update that keeps the key is `u`."""
    source.execute(TABLE, "ALTER TABLE t REPLICA IDENTITY FULL", "INSERT INTO t VALUES (1, 'a'), (5, 'e')")
    synced(command)
    source.execute("UPDATE t SET id = 2 WHERE id = 1", "UPDATE t SET id = id, v = 'f' WHERE id = 5")
    synced(command)
    deleted, tombstone, created, updated = events(command)[2:]
    assert ops([deleted, tombstone, created, updated]) == ["d", None, "c", "u"]
    assert deleted.value["before"] == {"id": 1, "v": "a"}
    assert deleted.value["after"] is None
    assert (deleted.key, created.key, updated.key) == ({"id": 1}, {"id": 2}, {"id": 5})
    assert created.value["before"] is None
    assert updated.value["before"] == {"id": 5, "v": "e"}
    assert updated.headers == ()


def test_a_chain_of_key_changes_in_one_statement(source: Source, command: Command) -> None:
    """Contract 5, 7: every row moves up by one; the topic folds to the table."""
    source.execute(TABLE.replace("PRIMARY KEY", "PRIMARY KEY DEFERRABLE"), "ALTER TABLE t REPLICA IDENTITY FULL")
    source.execute("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 5) i")
    synced(command)
    source.execute("UPDATE t SET id = id + 1")
    synced(command)
    after = [record.value["after"] for record in events(command)[5:] if record.value and record.value["op"] != "d"]
    assert sorted((row["id"], row["v"]) for row in after) == source.rows("SELECT id, v FROM t ORDER BY id")


def test_a_table_without_key(source: Source, command: Command) -> None:
    """Contract 4: FULL identity and no unique index: null key, whole before-images, no tombstone."""
    source.execute("CREATE TABLE t (id int, v text)", "ALTER TABLE t REPLICA IDENTITY FULL")
    synced(command)
    source.execute("INSERT INTO t VALUES (1, 'a'), (1, 'a')", "UPDATE t SET v = 'b'", "DELETE FROM t")
    synced(command)
    records = events(command)
    assert ops(records) == ["c", "c", "u", "u", "d", "d"]
    assert all(record.key is None for record in records)
    assert records[-1].value["before"] == {"id": 1, "v": "b"}


def test_identity_by_an_index_of_two_columns(source: Source, command: Command) -> None:
    """Contract 4: the index's columns are the key, and a change of them a change of the key."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, b text NOT NULL, a int NOT NULL, v text)",
        "CREATE UNIQUE INDEX i ON t (a, b)", "ALTER TABLE t REPLICA IDENTITY USING INDEX i",
    )  # fmt: skip
    synced(command)
    source.execute("INSERT INTO t VALUES (1, 'b', 2, 'v')", "UPDATE t SET id = 9", "UPDATE t SET b = 'c'")
    synced(command)
    records = events(command)
    assert ops(records) == ["c", "u", "d", None, "c"]
    assert [record.key for record in records] == [{"a": 2, "b": "b"}] * 4 + [{"a": 2, "b": "c"}]
    assert records[2].value["before"] == {"id": None, "b": "b", "a": 2, "v": None}


def test_what_was_rolled_back_never_happened(source: Source, command: Command) -> None:
    """Contract 5: whole transactions and savepoints; ordinals have no gap; sequence is Debezium's."""
    source.execute(TABLE)
    synced(command)
    with source.connect() as session:
        for statement in (
            "BEGIN", "INSERT INTO t VALUES (1)", "ROLLBACK", "BEGIN", "INSERT INTO t VALUES (2)", "SAVEPOINT s",
            "INSERT INTO t VALUES (3)", "ROLLBACK TO s", "INSERT INTO t VALUES (4)", "COMMIT",
        ):  # fmt: skip
            session.execute(statement.encode())
    source.execute("INSERT INTO t VALUES (5)")
    synced(command)
    records = events(command)
    assert [record.key["id"] for record in records] == [2, 4, 5]
    blocks = [record.value["source"] for record in records]
    assert [block["ordinal"] for block in blocks] == [1, 2, 1]
    assert all(block["xmin"] is block["origin"] is None for block in blocks)
    for block in blocks:
        assert json.loads(block["sequence"])[1] == str(block["lsn"])
    assert json.loads(blocks[2]["sequence"])[0] == str(blocks[0]["commit_lsn"])


@pytest.mark.matrix
def test_writes_in_another_database_move_our_slot(source: Source, command: Command) -> None:
    """Contract 3: the slot of an idle database follows, with nothing written to it or to its topics."""
    source.execute(TABLE)
    running = command.start("run")
    running.wait_for("streaming")
    written = _write_elsewhere(source)
    wait_for(lambda: Lsn.parse(source.confirmed_lsn() or "0/0") >= written, 25, "the slot to move")
    assert events(command) == []
    assert running.stop() == 0
    assert source.rows("SELECT count(*) FROM t") == [(0,)]


def _write_elsewhere(source: Source) -> Lsn:
    with psycopg.connect(source.stack.postgres_dsn(), autocommit=True) as other:
        other.execute("SELECT pg_logical_emit_message(true, 'elsewhere', repeat('x', 100000))")
        row = other.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    return Lsn.parse(str(row[0]))


def test_a_table_made_between_two_runs(source: Source, command: Command) -> None:
    """Contract 4: nothing of it is lost, by snapshot or by stream."""
    source.execute(TABLE)
    synced(command)
    source.execute("CREATE TABLE n (id int PRIMARY KEY)", "INSERT INTO n VALUES (1)")
    synced(command)
    # Copied, and streamed: equal in the end.
    assert {record.key["id"] for record in events(command, "public.n")} == {1}


@pytest.mark.parametrize("how", ["made", "renamed"])
def test_a_table_made_while_it_runs(source: Source, command: Command, how: str) -> None:
    """Contract 4: a table that appears in the selection is snapshotted and streamed within 10 s, without a restart."""
    source.execute(TABLE, "CREATE SCHEMA hidden", "CREATE TABLE hidden.n (id int PRIMARY KEY)")
    running = command.start("run", settings={"schema.include.list": "public"})
    running.wait_for("streaming")
    if how == "made":
        source.execute("CREATE TABLE n (id int PRIMARY KEY)", "INSERT INTO n VALUES (1)")
    else:
        source.execute("INSERT INTO hidden.n VALUES (1)", "ALTER TABLE hidden.n SET SCHEMA public")
    source.execute("INSERT INTO t VALUES (1)", "INSERT INTO n VALUES (2)")
    wait_for(lambda: len(events(command)) == 1, 10, "the table of before")
    topic = f"{command.prefix}.public.n"

    def arrived() -> bool:
        return {record.key["id"] for record in list[Any](command.records()) if record.topic == topic} == {1, 2}

    wait_for(arrived, 12, "both rows of the new table")
    assert running.stop() == 0
