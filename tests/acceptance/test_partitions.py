"""A partitioned table is one table: one topic, whichever partition a row lives in."""

from __future__ import annotations

from typing import Any

import pytest

from tests import harness
from tests.harness import Command, Source, folded

pytestmark = pytest.mark.matrix

TABLE = (
    "CREATE TABLE t (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)",
    "CREATE TABLE t_north PARTITION OF t FOR VALUES IN ('n')",
    "CREATE TABLE t_rest PARTITION OF t DEFAULT PARTITION BY RANGE (id)",
    "CREATE TABLE t_rest_low PARTITION OF t_rest FOR VALUES FROM (0) TO (100)",
    "CREATE SCHEMA elsewhere",
)


@pytest.fixture
def settings(source: Source) -> dict[str, object]:
    """What partitioned tables need on this server."""
    if source.major() < 12:
        pytest.skip("partitioned tables are captured from PostgreSQL 12 on")
    by_root = harness.PLUGIN == "wal2json" or source.major() >= 13
    return {} if by_root else {"publication.autocreate.mode": "all_tables"}


def test_before_postgresql_12_they_are_refused(source: Source, command: Command) -> None:
    """Whoever publishes them, and before a slot is made."""
    if source.major() >= 12:
        pytest.skip("they are captured")
    source.execute("CREATE TABLE t (id int) PARTITION BY RANGE (id)", "CREATE TABLE other (id int PRIMARY KEY)")
    source.execute(f"CREATE PUBLICATION producer_{source.name} FOR ALL TABLES")
    for more in ({}, {"replication.method": "FULL_TABLE"}):
        done = command.run("run", "--once", settings=more)
        assert done.returncode == 3
        assert "captured from PostgreSQL 12 on: public.t" in done.stderr
        assert source.confirmed_lsn() is None
    done = command.run("run", "--once", settings={"table.exclude.list": "public.t"})
    assert done.returncode == 0, done.stderr


def test_the_script_of_grants_leaves_out_what_cannot_be_named(source: Source) -> None:
    """And publishes the others."""
    if source.major() >= 13:
        pytest.skip("a partitioned table is published by its root")
    source.execute("CREATE TABLE t (id int) PARTITION BY RANGE (id)", "CREATE TABLE other (id int PRIMARY KEY)")
    source.publish()
    assert source.rows("SELECT tablename::text FROM pg_publication_tables") == [("other",)]


def test_one_topic_for_the_root(source: Source, command: Command, settings: dict[str, object]) -> None:
    """Snapshot and stream; a row that moves stays one key's history; a partition made while it runs is seen."""
    source.execute(
        *TABLE, "CREATE TABLE other (id int PRIMARY KEY)", "INSERT INTO t VALUES (1, 'n', 'a'), (2, 's', 'b')"
    )
    settings["table.include.list"] = "public.t"
    first = command.run("run", "--once", settings=settings)
    assert first.returncode == 0, first.stderr
    source.execute(
        "UPDATE t SET v = 'c' WHERE id = 1",
        "UPDATE t SET region = 's' WHERE id = 1",
        "CREATE TABLE elsewhere.new PARTITION OF t_rest FOR VALUES FROM (100) TO (200)",
        "INSERT INTO t VALUES (150, 'x', 'new')",
        "INSERT INTO other VALUES (1)",
        "DELETE FROM t WHERE id = 2",
    )
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    records: list[Any] = list(command.records())
    assert {record.topic for record in records} == {f"{command.prefix}.public.t"}
    assert {record.value["source"]["table"] for record in records if record.value} == {"t"}
    assert [record.value and record.value["op"] for record in records] == [
        "r",
        "r",
        "u",
        "d",
        None,
        "c",
        "c",
        "d",
        None,
    ]
    rows = source.rows("SELECT id, region, v FROM t ORDER BY id")
    state = folded(records)[f"{command.prefix}.public.t"]
    assert sorted((row["id"], row["region"], row["v"]) for row in state.values()) == rows


def test_truncates(source: Source, command: Command, settings: dict[str, object]) -> None:
    """Of the root: one event. Of a partition alone: the table is compared, and the keys that are gone are deleted."""
    source.execute(*TABLE, "INSERT INTO t VALUES (1, 'n', 'a'), (2, 's', 'b')")
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute("TRUNCATE t", "INSERT INTO t VALUES (3, 'n', 'c')")
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    values: list[Any] = [record.value for record in command.records()]
    assert [value["op"] for value in values] == ["r", "r", "t", "c"]
    source.execute("TRUNCATE t_north")
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    assert "public.t_north was truncated" in done.stderr
    last: list[Any] = command.records()[-2:]
    assert [(record.key["id"], record.value and record.value["op"]) for record in last] == [(3, "d"), (3, None)]


def test_unchanged_toast_in_a_partition(source: Source, command: Command, settings: dict[str, object]) -> None:
    """The row is read again through its root."""
    source.execute(*TABLE, "ALTER TABLE t ADD COLUMN n int", "ALTER TABLE t_north ALTER COLUMN v SET STORAGE external")
    source.execute("INSERT INTO t VALUES (1, 'n', repeat('q', 4000), 1)")
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute("UPDATE t SET n = 2")
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    last: Any = command.records()[-1]
    assert last.value["after"] == {"id": 1, "region": "n", "v": "q" * 4000, "n": 2}
    assert last.headers == (("__producer.unchanged", b'{"v": "reselected"}'),)


def test_a_partition_with_another_order_of_columns(
    source: Source, command: Command, settings: dict[str, object]
) -> None:
    """Its rows have the root's order, key and schema: in snapshot, stream and before-images."""
    source.execute(
        *TABLE[:2],
        "CREATE TABLE odd (v text, id int NOT NULL, gone int, region text NOT NULL)",
        "ALTER TABLE odd DROP COLUMN gone",
        "ALTER TABLE t ATTACH PARTITION odd FOR VALUES IN ('o')",
        "ALTER TABLE odd REPLICA IDENTITY FULL",
        "INSERT INTO t VALUES (1, 'o', 'a')",
    )
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute("UPDATE t SET v = 'b'", "UPDATE t SET id = 2", "DELETE FROM t")
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    records: list[Any] = list(command.records())
    assert [record.value and record.value["op"] for record in records] == ["r", "u", "d", None, "c", "d", None]
    shown = [(record.value["before"], record.value["after"]) for record in records if record.value]
    rows = [{"id": 1, "region": "o", "v": "a"}, {"id": 1, "region": "o", "v": "b"}, {"id": 2, "region": "o", "v": "b"}]
    assert shown == [(None, rows[0]), (rows[0], rows[1]), (rows[1], None), (None, rows[2]), (rows[2], None)]
    assert [list(value) for value in (records[0].key, records[1].key)] == [["id", "region"]] * 2
