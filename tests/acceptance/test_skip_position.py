"""run --skip-position: one named event is left out, the positions of all others are what they were."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.harness import Command, Source, folded


def positions(command: Command) -> dict[int, str]:
    """By ordinal, the operation of each event of the stream."""
    records: list[Any] = [record for record in command.records("public.t") if record.value]
    return {r.value["source"]["ordinal"]: r.value["op"] for r in records if r.value["op"] != "r"}


def once(command: Command, *positions: str, settings: dict[str, object] | None = None) -> str:
    named = [part for position in positions for part in ("--skip-position", position)]
    done = command.run("run", "--once", *named, settings=settings)
    assert done.returncode == 0, done.stderr
    return done.stderr


NANOSECONDS: dict[str, object] = {"time.precision.mode": "nanoseconds"}


def stopped_at(command: Command) -> str:
    """A run that ends in exit 4; the position that its remedy names."""
    done = command.run("run", "--once", settings=NANOSECONDS)
    assert done.returncode == 4, done.stderr
    named = re.search(r"run --skip-position (\S+)", done.stderr)
    assert named is not None, done.stderr
    assert f"(position {named[1]}" in done.stderr
    return named[1]


def test_a_poison_event(source: Source, command: Command) -> None:
    """Issue D.5: the error names the position, the remedy the option; the rest of the transaction goes out."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, d timestamp)", "INSERT INTO t VALUES (4)")
    once(command, settings=NANOSECONDS)
    with source.connect() as session, session.transaction():
        for values in ("1, '2026-01-01'", "2, '294276-12-31 23:59:59'", "3, '2026-01-01'"):
            session.execute(f"INSERT INTO t VALUES ({values})".encode())
    source.execute("UPDATE t SET id = 5, d = '294276-12-31 23:59:59' WHERE id = 4", "INSERT INTO t VALUES (6)")
    first = stopped_at(command)
    assert first.endswith(":2")
    done = command.run("run", "--once", "--skip-position", first, settings=NANOSECONDS)
    assert done.returncode == 4, "the next one"
    assert "an event was left out" in done.stderr
    assert positions(command) == {1: "c", 3: "c"}
    second = re.search(r"run --skip-position (\S+)", done.stderr)
    assert second is not None
    once(command, second[1], settings=NANOSECONDS)
    # Of the change of the key the delete is sent: the old key has gone.
    state = folded(command.records())[f"{command.prefix}.public.t"]
    assert sorted(row["id"] for row in state.values()) == [1, 3, 6]


def test_sound_events_of_each_kind(source: Source, command: Command) -> None:
    """One of each: insert, update, a half of a change of the key, delete with its tombstone, truncate."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1), (2, 2)")
    once(command)
    changes = (
        "INSERT INTO t VALUES (3, 3)",  # 1
        "UPDATE t SET v = 4 WHERE id = 1",  # 2
        "UPDATE t SET id = 5 WHERE id = 2",  # 3, 4
        "UPDATE t SET id = 6 WHERE id = 5",  # 5, 6
        "DELETE FROM t WHERE id = 1",  # 7
        "TRUNCATE t",  # 8
        "INSERT INTO t VALUES (9, 9)",  # 9
    )
    with source.connect() as session, session.transaction():
        xid = session.execute("SELECT txid_current()").fetchone()
        for change in changes:
            session.execute(change.encode())
    # The slot tells where it committed, before anything of it is read; a copy of it, whatever its own plugin.
    with source.connect() as session:
        copy = f"copy_{source.name}"
        session.execute("SELECT pg_copy_logical_replication_slot(%s, %s, true, 'wal2json')", (source.slot, copy))
        rows = session.execute(
            "SELECT data::json->>'lsn' FROM pg_logical_slot_peek_changes(%s, NULL, NULL, 'format-version', '2', "
            "'include-lsn', '1') WHERE xid = %s::text::xid AND data LIKE '{\"action\":\"C\"%%'",
            (copy, xid and xid[0]),
        ).fetchall()
    ((lsn,),) = rows
    told = once(command, *(f"{lsn}:{ordinal}" for ordinal in (1, 2, 3, 6, 7, 8)))
    assert told.count("an event was left out") == 6
    assert positions(command) == {4: "c", 5: "d", 9: "c"}
    assert len([record for record in command.records() if record.value is None]) == 1, "of the one delete"


def test_a_position_that_never_comes(source: Source, command: Command) -> None:
    """It is said at the end, and nothing is left out."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    once(command)
    source.execute("INSERT INTO t VALUES (1)")
    told = once(command, "0/1:1", "FFFFFFFF/0:1")
    assert told.count("the position was not met") == 2
    assert positions(command) == {1: "c"}


@pytest.mark.parametrize("wrong", ["", "1", "0/1", "0/1:", "0/1:x", "x/1:1", "0/1:-1", "0/1:1:1"])
def test_what_is_no_position(command: Command, wrong: str) -> None:
    """Exit 2, with the form."""
    done = command.run("run", "--skip-position", wrong)
    assert done.returncode == 2, done.stderr
    assert "LSN" in done.stderr
