"""TRUNCATE: one event for each selected table that it empties, to every partition of its topic."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Command, Source

SETUP = (
    "CREATE TABLE a (id serial PRIMARY KEY)",
    "CREATE TABLE b (id int PRIMARY KEY REFERENCES a)",
    "CREATE TABLE c (id int PRIMARY KEY)",
    "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)",
    "CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (0) TO (100)",
    "CREATE TABLE p_more PARTITION OF p DEFAULT PARTITION BY RANGE (id)",
    "CREATE TABLE p_deep PARTITION OF p_more DEFAULT",
    "CREATE TABLE hidden (id int PRIMARY KEY REFERENCES a)",
)
SETTINGS: dict[str, object] = {"topic.creation.default.partitions": 3, "table.exclude.list": "public.hidden"}
CASES = {
    "one": ("TRUNCATE c", "c"),
    "several": ("TRUNCATE c, p", "cp"),
    "cascade": ("TRUNCATE a CASCADE", "ab"),
    "restart": ("TRUNCATE c RESTART IDENTITY", "c"),
    "partitioned": ("TRUNCATE p", "p"),
    "hidden": ("TRUNCATE hidden", ""),
}


def emptied(command: Command, table: str) -> list[Any]:
    records: list[Any] = command.records(f"public.{table}")
    return [record for record in records if record.value["op"] == "t"]


def once(command: Command, **more: object) -> None:
    done = command.run("run", "--once", settings={**SETTINGS, **more})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", CASES)
def test_truncate(case: str, source: Source, command: Command) -> None:
    """Null key, no images, the same position in every partition; nothing for the others."""
    statement, tables = CASES[case]
    source.execute(*SETUP)
    once(command)
    source.execute(statement)
    once(command)
    for table in "abcp":
        events = emptied(command, table)
        assert sorted(event.partition for event in events) == ([0, 1, 2] if table in tables else [])
        positions = {(e.value["source"]["commit_lsn"], e.value["source"]["ordinal"]) for e in events}
        assert len(positions) == (table in tables)
        for event in events:
            assert event.key is event.value["before"] is event.value["after"] is None
            assert event.value["source"]["table"] == table
    assert not [record for record in command.records() if record.topic.endswith(("hidden", "p_low", "p_deep"))]


def test_between_rows_of_its_transaction(source: Source, command: Command) -> None:
    """Ordinals tell the order: rows before it are gone, rows behind it stay."""
    source.execute(*SETUP)
    once(command)
    with source.connect() as session, session.transaction():
        for statement in ("INSERT INTO c VALUES (1)", "TRUNCATE c, p", "INSERT INTO c VALUES (2)", "TRUNCATE c"):
            session.execute(statement.encode())
    once(command)
    records: list[Any] = command.records("public.c")
    events = {(record.value["source"]["ordinal"], record.value["op"]) for record in records}
    ordinals = [ordinal for ordinal, _ in sorted(events)]
    assert [op for _, op in sorted(events)] == ["c", "t", "c", "t"]
    other: list[Any] = emptied(command, "p")
    assert sorted({*ordinals, other[0].value["source"]["ordinal"]}) == [1, 2, 3, 4, 5]


def test_left_out(source: Source, command: Command) -> None:
    """skipped.operations=t: no event, and the truncate of a partition alone stops nothing."""
    source.execute(*SETUP)
    once(command)
    source.execute("TRUNCATE c, p", "TRUNCATE p_low", "INSERT INTO c VALUES (3)")
    once(command, **{"skipped.operations": "t"})
    records: list[Any] = command.records()
    assert [(record.topic, record.value["op"]) for record in records] == [(f"{command.prefix}.public.c", "c")]
