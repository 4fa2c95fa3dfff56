"""Columns that are left out: of Value, of COPY, of the rights that are needed; on both paths and through DDL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import roles
from tests.harness import Command, Source

Settings = dict[str, object]


@pytest.fixture
def role(source: Source) -> Iterator[str]:
    """A role that may replicate, and read nothing."""
    with roles.role(source, "REPLICATION") as (name, _):
        yield name


def once(command: Command, settings: Settings) -> str:
    """Everything up to now; what was said."""
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    return done.stderr


def events(command: Command, table: str) -> list[Any]:
    """Operation, key, before and after of each event."""
    records: list[Any] = command.records(table)
    return [
        (record.value["op"], record.key, record.value["before"], record.value["after"])
        for record in records
        if record.value is not None
    ]


def test_neither_sent_nor_read(source: Source, command: Command, role: str) -> None:
    """The right to the columns that are left out is not needed; an excluded key column stays in the key."""
    source.execute(
        "CREATE TYPE odd AS (a int, b text)",
        "CREATE TABLE t (region text, id int, name text, secret text, strange odd[], PRIMARY KEY (id, region))",
        "ALTER TABLE t ALTER COLUMN secret SET STORAGE external",
        "INSERT INTO t VALUES ('eu', 1, 'a', repeat('s', 3000), ARRAY[(1, 'x')::odd])",
    )
    settings: Settings = {
        "database.user": role, "database.password": "p",
        "column.exclude.list": r"public\.t\.(secret|STRANGE|region)",
    }  # fmt: skip
    grant = f'GRANT SELECT ("region", "id", "name") ON "public"."t" TO "{role}";'
    refused = command.run("run", "--once", settings=settings)
    assert refused.returncode == 3
    assert grant in refused.stderr
    assert source.confirmed_lsn() is None
    checked = json.loads(command.run("check", "--json", settings=settings).stdout)
    assert any(finding["status"] == "failed" and grant in finding["remedy"] for finding in checked["findings"])

    source.execute(grant)
    source.publish()  # as an administrator would, for pgoutput
    assert command.run("check", settings=settings).returncode == 0
    once(command, settings)
    source.execute(
        "UPDATE t SET name = 'b'",  # without its large, unchanged value
        "UPDATE t SET secret = 'short', strange = '{}'",
        "UPDATE t SET region = 'us'",
        "DELETE FROM t",
    )
    once(command, settings)
    eu, us = {"id": 1, "region": "eu"}, {"id": 1, "region": "us"}
    assert events(command, "public.t") == [
        ("r", eu, None, {"id": 1, "name": "a"}),
        ("u", eu, None, {"id": 1, "name": "b"}),
        ("u", eu, None, {"id": 1, "name": "b"}),
        ("d", eu, {"id": 1, "name": None}, None),
        ("c", us, None, {"id": 1, "name": "b"}),
        ("d", us, {"id": 1, "name": None}, None),
    ]
    records: list[Any] = command.records("public.t")
    assert not any(name.startswith("__producer") for record in records for name, _ in record.headers)
    schema = json.loads(command.run("schemas", settings=settings).stdout)["public.t"]
    assert [field["name"] for field in schema["value"]["fields"][0]["type"][1]["fields"]] == ["id", "name"]


def test_a_large_value_that_is_sent_is_still_read_again(source: Source, command: Command) -> None:
    """Beside one that is not; and the other way round under FULL."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n int, big text, secret text)",
        "CREATE TABLE f (id int PRIMARY KEY, n int, big text, secret text)",
        "ALTER TABLE f REPLICA IDENTITY FULL",
        *(f"ALTER TABLE {t} ALTER COLUMN {c} SET STORAGE external" for t in "tf" for c in ("big", "secret")),
        *(f"INSERT INTO {t} VALUES (1, 0, repeat('b', 3000), repeat('s', 3000))" for t in "tf"),
    )
    settings: Settings = {"column.exclude.list": r".*\.secret"}
    once(command, settings)
    source.execute("UPDATE t SET n = 1", "UPDATE f SET n = 1")
    once(command, settings)
    for table, how in (("t", "reselected"), ("f", "before")):
        records: list[Any] = command.records(f"public.{table}")
        assert [record.value["after"] for record in records] == [
            {"id": 1, "n": n, "big": "b" * 3000} for n in (0, 1)
        ]  # fmt: skip
        assert json.loads(dict(records[1].headers)["__producer.unchanged"]) == {"big": how}


def test_included_columns_only(source: Source, command: Command) -> None:
    """Exclude wins over include; another table has none of its columns, and still its key."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a int, b int)",
        "CREATE TABLE u (id int PRIMARY KEY, a int)",
        "CREATE TABLE k (a int)",
        "INSERT INTO t VALUES (1, 2, 3)",
        "INSERT INTO u VALUES (1, 2)",
        "INSERT INTO k VALUES (7), (8)",
    )
    settings: Settings = {"column.include.list": r"public\.t\..*", "column.exclude.list": r"public\.t\.b,x\.y\.z"}
    said = once(command, settings)
    assert r"column.exclude.list: x\.y\.z names no column of a selected table" in said
    source.execute("INSERT INTO u VALUES (2, 2)", "INSERT INTO k VALUES (9)", "DELETE FROM u WHERE id = 1")
    once(command, settings)
    assert events(command, "public.t") == [("r", {"id": 1}, None, {"id": 1, "a": 2})]
    assert events(command, "public.u") == [
        ("r", {"id": 1}, None, {}), ("c", {"id": 2}, None, {}), ("d", {"id": 1}, {}, None),
    ]  # fmt: skip
    assert events(command, "public.k") == [("r", None, None, {})] * 2 + [("c", None, None, {})]


def test_a_column_goes_by_the_name_of_its_moment(source: Source, command: Command) -> None:
    """Rows of older shapes too, read after the column was renamed, another dropped and one added under the old name."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, secret text, n int, m text)", "INSERT INTO t VALUES (1, 's', 1, 'm')"
    )
    settings: Settings = {"column.exclude.list": r"public\.t\.secret", "column.mask.with.1.chars": r"public\.t\.m"}
    once(command, settings)
    source.execute(
        "INSERT INTO t VALUES (2, 's', 2, 'm')",
        "INSERT INTO t VALUES (3, 's', 3, 'm')",
        "ALTER TABLE t RENAME COLUMN secret TO shown",
        "ALTER TABLE t RENAME COLUMN m TO o",
        "INSERT INTO t VALUES (4, 's', 4, 'm')",
        "ALTER TABLE t DROP COLUMN n",
        "ALTER TABLE t ADD COLUMN secret int",
        "INSERT INTO t VALUES (5, 's', 'm', 5)",
    )
    once(command, settings)
    assert [after for _, _, _, after in events(command, "public.t")] == [
        {"id": 1, "n": 1, "m": "*"}, {"id": 2, "n": 2, "m": "*"}, {"id": 3, "n": 3, "m": "*"},
        {"id": 4, "shown": "s", "n": 4, "o": "m"}, {"id": 5, "shown": "s", "o": "m"},
    ]  # fmt: skip


def test_partitions_follow_their_root(source: Source, command: Command) -> None:
    """Filters, masks and keys name the root, whatever the partition and the order of its columns."""
    source.execute(
        "CREATE TABLE t (id int, secret text, mail text, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE low (n int, mail text, id int NOT NULL, secret text)",
        "ALTER TABLE t ATTACH PARTITION low FOR VALUES FROM (0) TO (10)",
        "INSERT INTO t VALUES (1, 's', 'm1', 1)",
    )
    settings: Settings = {
        "column.exclude.list": r"public\.t\.secret,public\.low\.n",
        "column.mask.with.2.chars": r"public\.t\.mail,public\.high\.n",
    }
    once(command, settings)
    source.execute(
        "CREATE TABLE high PARTITION OF t FOR VALUES FROM (10) TO (20)",
        "UPDATE t SET n = 2",
        "INSERT INTO t VALUES (11, 's', 'm11', 11)",
    )
    once(command, settings)
    assert [after for _, _, _, after in events(command, "public.t")] == [
        {"id": 1, "mail": "**", "n": 1}, {"id": 1, "mail": "**", "n": 2}, {"id": 11, "mail": "**", "n": 11},
    ]  # fmt: skip


def test_a_table_without_columns(source: Source, command: Command) -> None:
    """Its rows are events of no columns; one without rows waits for its columns, which may be its key."""
    source.execute("CREATE TABLE bare ()", "CREATE TABLE later ()", "INSERT INTO bare DEFAULT VALUES")
    once(command, {})
    source.execute(
        "INSERT INTO bare DEFAULT VALUES", "ALTER TABLE later ADD id int PRIMARY KEY", "INSERT INTO later VALUES (1)"
    )
    once(command, {})
    assert events(command, "public.bare") == [("r", None, None, {}), ("c", None, None, {})]
    assert events(command, "public.later")[0] == ("c", {"id": 1}, None, {"id": 1})
