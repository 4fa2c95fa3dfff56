"""The stream while it runs: shapes, keys, deletes, truncates, positions, stops and crashes."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from producer.lsn import Lsn
from tests import harness
from tests.harness import Command, Source, folded, wait_for

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def events(command: Command, table: str = "public.t") -> list[Any]:
    """Records of one table, as they come."""
    return list(command.records(table))


def wait_for_events(command: Command, count: int, table: str = "public.t") -> list[Any]:
    """Wait until so many records have arrived."""
    wait_for(lambda: len(events(command, table)) >= count, 20, f"{count} records")
    return events(command, table)


@pytest.mark.matrix
def test_columns_come_and_go_while_it_runs(source: Source, command: Command) -> None:
    """Every event has the shape of its own moment."""
    source.execute(TABLE)
    running = command.start("run")
    running.wait_for("streaming")
    source.execute(
        "INSERT INTO t VALUES (1, 'a')",
        "ALTER TABLE t ADD COLUMN extra numeric(6,3) DEFAULT 1.5",
        "INSERT INTO t VALUES (2, 'b', 2.125)",
        "UPDATE t SET v = 'c' WHERE id = 1",
        "ALTER TABLE t DROP COLUMN v",
        "INSERT INTO t VALUES (3, 3)",
        "ALTER TABLE t DROP COLUMN extra",
        "INSERT INTO t VALUES (4)",
    )
    records = wait_for_events(command, 5)
    shapes = [sorted(record.value["after"]) for record in records]
    assert shapes == [["id", "v"], ["extra", "id", "v"], ["extra", "id", "v"], ["extra", "id"], ["id"]]
    assert str(records[1].value["after"]["extra"]) == "2.125"
    assert running.stop() == 0


@pytest.mark.matrix
def test_a_change_of_the_key(source: Source, command: Command) -> None:
    """Delete, tombstone, create; headers name the other key; ordinals count both events."""
    source.execute(TABLE, "INSERT INTO t VALUES (1, 'a')")
    assert command.run("run", "--once").returncode == 0
    source.execute("UPDATE t SET id = 2, v = 'b'")
    assert command.run("run", "--once").returncode == 0
    deleted, tombstone, created = events(command)[1:]
    assert (deleted.key, tombstone.key, created.key) == ({"id": 1}, {"id": 1}, {"id": 2})
    assert tombstone.value is None
    assert (deleted.value["op"], created.value["op"]) == ("d", "c")
    assert deleted.value["before"] == {"id": 1, "v": None}
    assert created.value["after"] == {"id": 2, "v": "b"}
    assert [name for name, _ in deleted.headers] == ["__debezium.newkey"]
    assert [name for name, _ in created.headers] == ["__debezium.oldkey"]
    frame = deleted.headers[0][1][:5]
    assert deleted.headers[0][1] == frame + b"\x04"
    assert created.headers[0][1] == frame + b"\x02"
    assert [event.value["source"]["ordinal"] for event in (deleted, created)] == [1, 2]


@pytest.mark.matrix
def test_the_source_block(source: Source, command: Command) -> None:
    """Positions, transaction, times: what a consumer orders and de-duplicates by."""
    source.execute(TABLE)
    assert command.run("run", "--once").returncode == 0
    with source.connect() as connection, connection.transaction():
        xid = connection.execute("SELECT txid_current()").fetchone()
        connection.execute("INSERT INTO t VALUES (1), (2)")
        connection.execute("UPDATE t SET v = 'x' WHERE id = 1")
    assert command.run("run", "--once").returncode == 0
    blocks = [record.value["source"] for record in events(command)]
    assert xid is not None
    assert {block["txId"] for block in blocks} == {xid[0]}
    assert [block["ordinal"] for block in blocks] == [1, 2, 3]
    assert len({block["commit_lsn"] for block in blocks}) == 1
    for block in blocks:
        assert block["lsn"] < block["commit_lsn"]
        assert block["snapshot"] == "false"
        assert (block["db"], block["schema"], block["table"]) == (source.name, "public", "t")
        assert (block["connector"], block["name"]) == ("postgresql", command.prefix)
        assert block["sequence"].endswith(f'"{block["lsn"]}"]')
        assert block["ts_ms"] == block["ts_us"] // 1000
        assert block["ts_ns"] == block["ts_us"] * 1000


@pytest.mark.matrix
def test_replica_identities(source: Source, command: Command) -> None:
    """FULL sends the whole before-image; an index gives the key; nothing is invented."""
    source.execute(
        TABLE,
        "CREATE TABLE f (id int PRIMARY KEY, v text, n int)",
        "ALTER TABLE f REPLICA IDENTITY FULL",
        "CREATE TABLE i (id int PRIMARY KEY, code text NOT NULL, v text)",
        "CREATE UNIQUE INDEX by_code ON i (code)",
        "ALTER TABLE i REPLICA IDENTITY USING INDEX by_code",
        "INSERT INTO f VALUES (1, 'a', 1)",
        "INSERT INTO i VALUES (1, 'k', 'a')",
    )
    assert command.run("run", "--once").returncode == 0
    source.execute("UPDATE f SET v = 'b'", "DELETE FROM f", "UPDATE i SET v = 'b'", "DELETE FROM i")
    assert command.run("run", "--once").returncode == 0
    updated, deleted, _ = events(command, "public.f")[1:]
    assert updated.value["before"] == {"id": 1, "v": "a", "n": 1}
    assert deleted.value["before"] == {"id": 1, "v": "b", "n": 1}
    updated, deleted, _ = events(command, "public.i")[1:]
    assert updated.key == {"code": "k"}
    assert updated.value["before"] is None
    assert deleted.value["before"] == {"id": None, "code": "k", "v": None}


@pytest.mark.matrix
def test_truncate_reaches_every_partition(source: Source, command: Command) -> None:
    """One event a table, null key, the same position everywhere."""
    if harness.PLUGIN == "pgoutput" and source.major() < 11:
        pytest.skip("pgoutput tells of TRUNCATE from PostgreSQL 11 on")
    source.execute(TABLE, "CREATE TABLE u (id int PRIMARY KEY REFERENCES t)", "INSERT INTO t VALUES (1)")
    settings: dict[str, object] = {"topic.creation.default.partitions": 3}
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute("TRUNCATE t CASCADE")
    assert command.run("run", "--once", settings=settings).returncode == 0
    for table in ("public.t", "public.u"):
        marks = [record for record in events(command, table) if record.value["op"] == "t"]
        assert sorted(mark.partition for mark in marks) == [0, 1, 2]
        assert all(mark.key is None and mark.value["before"] is mark.value["after"] is None for mark in marks)
        assert len({(m.value["source"]["commit_lsn"], m.value["source"]["ordinal"]) for m in marks}) == 1


def test_tombstones_and_operations_can_be_left_out(source: Source, command: Command) -> None:
    """tombstones.on.delete=false; skipped.operations."""
    source.execute(TABLE)
    settings: dict[str, object] = {"tombstones.on.delete": "false", "skipped.operations": "t,u"}
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute("INSERT INTO t VALUES (1)", "UPDATE t SET v = 'x'", "DELETE FROM t", "TRUNCATE t")
    assert command.run("run", "--once", settings=settings).returncode == 0
    assert [record.value["op"] for record in events(command)] == ["c", "d"]


def test_snapshot_markers(source: Source, command: Command) -> None:
    """One first and one last in all, first and last of each table, true between; one position, ordinal 0."""
    source.execute(*(f"CREATE TABLE s{n} AS SELECT i AS id FROM generate_series(1, 4) i" for n in range(3)))
    source.execute("CREATE TABLE empty (id int PRIMARY KEY)", "CREATE TABLE single AS SELECT 1 AS id")
    assert command.run("run", "--once").returncode == 0
    records: list[Any] = list(command.records())
    marks = [record.value["source"]["snapshot"] for record in records]
    assert len(marks) == 13
    assert (marks.count("first"), marks.count("last")) == (1, 1)
    assert set(marks) <= {"first", "first_in_data_collection", "true", "last_in_data_collection", "last"}
    assert len({record.value["source"]["commit_lsn"] for record in records}) == 1
    assert {(record.value["source"]["ordinal"], record.value["op"]) for record in records} == {(0, "r")}


@pytest.mark.matrix
def test_an_idle_database_moves_its_slot(source: Source, command: Command) -> None:
    """Work elsewhere on the server, nothing here: the slot holds no WAL back."""
    source.execute(TABLE)
    running = command.start("run")
    running.wait_for("streaming")
    before = source.confirmed_lsn()
    with source.connect() as connection:
        connection.execute("SELECT pg_logical_emit_message(false, 'nobody', 'x')")
    assert before is not None
    wait_for(lambda: Lsn.parse(source.confirmed_lsn() or "0/0") > Lsn.parse(before), 15, "the slot to move")
    assert events(command) == []
    assert running.stop() == 0


def test_stop_and_start_again(source: Source, command: Command) -> None:
    """SIGTERM and SIGINT: exit 0 in bounded time, nothing lost, nothing sent again."""
    source.execute(TABLE)
    for number, how in enumerate((signal.SIGTERM, signal.SIGINT)):
        running = command.start("run")
        running.wait_for("streaming")
        source.execute(f"INSERT INTO t VALUES ({2 * number})")
        wait_for_events(command, 2 * number + 1)
        assert running.stop(how, 12) == 0
        source.execute(f"INSERT INTO t VALUES ({2 * number + 1})")
        assert command.run("run", "--once").returncode == 0
    assert [record.key["id"] for record in events(command)] == [0, 1, 2, 3]


def test_kill_9_loses_nothing(source: Source, command: Command) -> None:
    """In the middle of a backlog: what is repeated is in order, and the topic folds to the table."""
    source.execute(TABLE)
    assert command.run("run", "--once").returncode == 0
    for number in range(40):
        source.execute(f"INSERT INTO t SELECT i, 'n' FROM generate_series({number}000, {number}499) i")
    for wanted in (2000, 9000):
        running = command.start("run")
        wait_for(lambda wanted=wanted: len(events(command)) > wanted, 20, "a part")  # type: ignore[misc]
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    assert command.run("run", "--once").returncode == 0
    state = folded(events(command))[f"{command.prefix}.public.t"]
    assert len(state) == 20000
    assert sorted(row["id"] for row in state.values()) == [
        row[0] for row in source.rows("SELECT id FROM t ORDER BY id")
    ]
