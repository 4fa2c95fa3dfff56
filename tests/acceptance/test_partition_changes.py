"""Partitions that come and go: attached with rows, detached, dropped, truncated; running and stopped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Command, Source, folded, wait_for
from tests.history import History

ROOT = (
    "CREATE TABLE t (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)",
    "CREATE TABLE t_n PARTITION OF t FOR VALUES IN ('n')",
    "INSERT INTO t VALUES (1, 'n', 'a')",
)
# Of its own before it is attached, with another order of columns.
LONER = (
    "CREATE TABLE loner (v text, region text NOT NULL, id int NOT NULL, PRIMARY KEY (id, region))",
    "INSERT INTO loner VALUES ('old', 'l', 7), ('older', 'l', 8)",
)
ATTACH = "ALTER TABLE t ATTACH PARTITION loner FOR VALUES IN ('l')"
ONLY_T: dict[str, object] = {"table.include.list": "public.t"}


def rows_match(source: Source, command: Command) -> bool:
    state = folded(command.records("public.t")).get(f"{command.prefix}.public.t", {})
    found = sorted((row["id"], row["region"], row["v"]) for row in state.values())
    return found == source.rows("SELECT id, region, v FROM t ORDER BY id, region")


def once(command: Command, code: int = 0, prefix: str | None = None) -> str:
    settings = {**ONLY_T, "topic.prefix": prefix} if prefix else ONLY_T
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == code, done.stderr
    return done.stderr


def test_attached_with_rows_while_it_is_stopped(source: Source, command: Command) -> None:
    """Its rows of before reach the topic, once; what was made as a partition is streamed, not copied."""
    source.execute(*ROOT, *LONER)
    once(command)
    source.execute(
        "INSERT INTO loner VALUES ('late', 'l', 9)", ATTACH, "UPDATE t SET v = 'new' WHERE id = 7",
        "CREATE TABLE t_s PARTITION OF t FOR VALUES IN ('s')", "INSERT INTO t VALUES (2, 's', 'b')",
    )  # fmt: skip
    once(command)
    assert rows_match(source, command)
    read: list[Any] = [r.key for r in command.records("public.t") if r.value and r.value["op"] == "r"]  # type: ignore[index]
    assert sorted(key["id"] for key in read) == [1, 7, 8, 9]
    source.execute("UPDATE t SET v = 'again'", "DELETE FROM t WHERE id = 8")
    once(command)
    assert rows_match(source, command)
    assert sum(bool(r.value) and r.value["op"] == "r" for r in command.records("public.t")) == 4  # type: ignore[index]


def test_attached_with_rows_while_it_runs(source: Source, command: Command) -> None:
    """Its rows reach the topic within seconds, and its later changes."""
    source.execute(*ROOT, *LONER)
    running = command.start("run", settings=ONLY_T)
    running.wait_for("streaming")
    # Not ours yet: the name must be forgotten when it is.
    source.execute("INSERT INTO loner VALUES ('late', 'l', 9)", "INSERT INTO t VALUES (3, 'n', 'c')", ATTACH)
    wait_for(lambda: rows_match(source, command), 40, running.stderr)
    source.execute("UPDATE t SET v = 'new' WHERE id = 7", "DELETE FROM t WHERE id = 8")
    wait_for(lambda: rows_match(source, command), 20, running.stderr)
    assert running.stop() == 0


@pytest.mark.parametrize("gone", ["ALTER TABLE t DETACH PARTITION t_n", "DROP TABLE t_n"])
@pytest.mark.parametrize("running", [False, True])
def test_a_partition_that_is_gone(gone: str, running: bool, source: Source, command: Command) -> None:
    """Exit 4, once: its keys stay in the topic; the next start goes on."""
    source.execute(*ROOT, "CREATE TABLE t_s PARTITION OF t FOR VALUES IN ('s')")
    once(command)
    if running:
        background = command.start("run", settings=ONLY_T)
        background.wait_for("streaming")
        source.execute(gone)
        assert background.process.wait(40) == 4
        text = background.stderr
    else:
        source.execute(gone)
        text = once(command, 4)
    assert "public.t_n of public.t was detached or dropped" in text
    assert "remedy: run again" in text
    source.execute("INSERT INTO t VALUES (2, 's', 'b')")
    once(command)
    assert [record.key for record in command.records("public.t")] == [
        {"id": 1, "region": "n"}, {"id": 2, "region": "s"},
    ]  # fmt: skip


def test_a_detached_partition_is_deleted_by_the_remedy(source: Source, command: Command) -> None:
    """Attached again, its rows deleted, and detached: its keys are gone from the topic."""
    source.execute(*ROOT)
    once(command)
    source.execute("ALTER TABLE t DETACH PARTITION t_n")
    once(command, 4)
    source.execute("ALTER TABLE t ATTACH PARTITION t_n FOR VALUES IN ('n')")
    once(command)
    source.execute("DELETE FROM t_n")
    once(command)
    source.execute("ALTER TABLE t DETACH PARTITION t_n")
    once(command, 4)
    once(command)
    assert rows_match(source, command)


def test_a_truncated_partition_and_its_remedy(source: Source, command: Command) -> None:
    """Exit 4 at every start, until the slot is given up and a new topic begun."""
    source.execute(*ROOT)
    once(command)
    source.execute("TRUNCATE t_n", "INSERT INTO t VALUES (5, 'n', 'e')")
    for _ in range(2):
        assert "public.t_n was truncated" in once(command, 4)
    dropped = command.run("slot", "drop", "--yes", settings=ONLY_T)
    assert dropped.returncode == 0, dropped.stderr
    command.prefix = f"{command.prefix}x"
    once(command, prefix=command.prefix)
    assert rows_match(source, command)


def test_rows_that_move(source: Source, command: Command) -> None:
    """One key's history, between partitions of other orders, schemas, identities and levels."""
    source.execute(
        *ROOT[:2], "CREATE SCHEMA far", "CREATE TABLE far.rest (v text, id int NOT NULL, region text NOT NULL)",
        "ALTER TABLE t ATTACH PARTITION far.rest DEFAULT", "ALTER TABLE far.rest REPLICA IDENTITY FULL",
        "CREATE TABLE t_deep PARTITION OF t FOR VALUES IN ('d') PARTITION BY RANGE (id)",
        "CREATE TABLE t_low PARTITION OF t_deep FOR VALUES FROM (0) TO (100)",
    )  # fmt: skip
    once(command)
    history = History()
    with source.connect() as session:
        history.run(session, ["INSERT INTO t VALUES (1, 'n', 'a')", "UPDATE t SET v = 'b' WHERE id = 1"])
        session.execute(b"UPDATE t SET region = 'other' WHERE id = 1")
        history.run(session, ["INSERT INTO t VALUES (2, 'x', 'in the default')"])
        session.execute(b"UPDATE t SET region = 'd', v = 'deep' WHERE id = 1")
        session.execute(b"UPDATE t SET region = 'n' WHERE id = 1")
        session.execute(b"DELETE FROM t WHERE id = 2")
    once(command)
    assert rows_match(source, command)
    records: list[Any] = command.records("public.t")
    ops = [(record.value and record.value["op"], record.key["id"], record.key["region"]) for record in records]
    assert ops == [
        ("c", 1, "n"), ("u", 1, "n"), ("d", 1, "n"), (None, 1, "n"), ("c", 1, "other"), ("c", 2, "x"),
        ("d", 1, "other"), (None, 1, "other"), ("c", 1, "d"), ("d", 1, "d"), (None, 1, "d"), ("c", 1, "n"),
        ("d", 2, "x"), (None, 2, "x"),
    ]  # fmt: skip
    # FULL where it is so.
    assert records[6].value["before"] == {"id": 1, "region": "other", "v": "b"}
    assert records[9].value["before"] == {"id": 1, "region": "d", "v": None}
