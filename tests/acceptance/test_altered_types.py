"""Types that are altered while rows of before wait in the log: each row has the attributes of its own moment."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Command, Source

pytestmark = pytest.mark.matrix


def test_attributes_added_to_a_composite_type(source: Source, command: Command) -> None:
    """An older row has none of them, nested and in arrays; a newer row's are carried, also after a stop."""
    source.execute(
        "CREATE TYPE address AS (street text)",
        "CREATE TYPE person AS (name text, home address)",
        "CREATE TABLE t (id int PRIMARY KEY, p person, many address[])",
        "INSERT INTO t VALUES (1, ROW('a', ROW('s'))::person, ARRAY[ROW('m')::address])",
    )
    assert command.run("run", "--once").returncode == 0
    source.execute(
        "INSERT INTO t VALUES (2, ROW('b', ROW('s'))::person, ARRAY[ROW('m')::address, NULL])",
        "ALTER TYPE address ADD ATTRIBUTE zip int",
        "ALTER TYPE person ADD ATTRIBUTE born date",
        "INSERT INTO t VALUES (3, ROW('c', ROW('s', 7), '1970-01-02')::person, ARRAY[ROW(NULL, 8)::address])",
    )
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    running = command.start("run")
    running.wait_for("streaming")
    source.execute("INSERT INTO t VALUES (4)", "ALTER TYPE address ADD ATTRIBUTE country text",
                   "INSERT INTO t VALUES (5, NULL, ARRAY[ROW('s', 9, 'c')::address])")  # fmt: skip
    assert running.stop() == 0
    # One after the other, with a row between that is neither what is known nor what is there now.
    source.execute("ALTER TYPE address ADD ATTRIBUTE a int",
                   "INSERT INTO t VALUES (6, NULL, ARRAY[ROW('s', 9, 'c', 1)::address])",
                   "ALTER TYPE address ADD ATTRIBUTE b int")  # fmt: skip
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    records: list[Any] = list(command.records("public.t"))
    after = {record.value["after"]["id"]: record.value["after"] for record in records}
    assert after[1] == {"id": 1, "p": {"name": "a", "home": {"street": "s"}}, "many": [{"street": "m"}]}
    assert after[2] == {
        "id": 2,
        "p": {"name": "b", "home": {"street": "s"}},
        "many": [{"street": "m"}, None],
    }
    assert after[3] == {
        "id": 3,
        "p": {"name": "c", "home": {"street": "s", "zip": 7}, "born": 1},
        "many": [{"street": None, "zip": 8}],
    }
    assert after[5]["many"] == [{"street": "s", "zip": 9, "country": "c"}]
    assert after[6]["many"] == [{"street": "s", "zip": 9, "country": "c", "a": 1}]


def test_a_type_that_stands_in_several_columns(source: Source, command: Command) -> None:
    """Altered while nobody reads: each row's schema has one definition of it, also where a column is null or new."""
    source.execute("CREATE TYPE pair AS (x int)", "CREATE TABLE t (id int PRIMARY KEY, a pair)")
    assert command.run("run", "--once").returncode == 0
    source.execute(
        "INSERT INTO t VALUES (1, '(1)')",
        "ALTER TYPE pair ADD ATTRIBUTE y text",
        "ALTER TABLE t ADD b pair",
        "INSERT INTO t VALUES (2, NULL, '(2,q)')",
        "INSERT INTO t VALUES (3, '(3,q)', '(3,r)')",
        "ALTER TYPE pair ADD ATTRIBUTE z int",
        "INSERT INTO t VALUES (4, NULL, '(4,r,5)')",
        "ALTER TABLE t ADD c pair[]",
        "INSERT INTO t VALUES (5, NULL, NULL, ARRAY[ROW(5, 's', 6)::pair])",
    )
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    records: list[Any] = list(command.records("public.t"))
    assert [{k: v for k, v in record.value["after"].items() if k != "id"} for record in records] == [
        {"a": {"x": 1}},
        {"a": None, "b": {"x": 2, "y": "q"}},
        {"a": {"x": 3, "y": "q"}, "b": {"x": 3, "y": "r"}},
        {"a": None, "b": {"x": 4, "y": "r", "z": 5}},
        {"a": None, "b": None, "c": [{"x": 5, "y": "s", "z": 6}]},
    ]


def test_an_attribute_dropped_before_its_rows_are_read(source: Source, command: Command) -> None:
    """What the type was at our last look is remembered; of what it was in between nothing tells: a clear stop."""
    source.execute(
        "CREATE TYPE address AS (street text, zip int)",
        "CREATE TABLE t (id int PRIMARY KEY, a address)",
    )
    assert command.run("run", "--once").returncode == 0
    source.execute(
        "INSERT INTO t VALUES (1, ROW('s', 1)::address)",
        "ALTER TYPE address DROP ATTRIBUTE zip, ADD ATTRIBUTE country text",
        "INSERT INTO t VALUES (2, ROW('s', 'c')::address)",
        "ALTER TYPE address DROP ATTRIBUTE country",
        "INSERT INTO t VALUES (3, ROW('s')::address)",
    )
    done = command.run("run", "--once")
    assert done.returncode == 4, done.stderr
    assert "table public.t, column a, at " in done.stderr
    records: list[Any] = list(command.records("public.t"))
    assert [record.value["after"]["a"] for record in records] == [{"street": "s", "zip": 1}]
