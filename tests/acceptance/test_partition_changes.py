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


def once(command: Command, code: int = 0) -> str:
    done = command.run("run", "--once", settings=ONLY_T)
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


def test_attached_where_only_the_root_may_be_read(source: Source, command: Command) -> None:
    """A right to the root is a right to the rows of its partitions, as `grants` gives it."""
    role = f"reader_{source.name}"
    source.execute(*ROOT, *LONER, "CREATE SCHEMA hidden", "ALTER TABLE loner SET SCHEMA hidden")
    settings = {**ONLY_T, "database.user": role, "database.password": "p"}
    source.execute(command.run("grants", settings=settings).stdout, f"ALTER ROLE {role} PASSWORD 'p'")
    try:
        for statement in ("SELECT 1", ATTACH.replace("loner", "hidden.loner"), "UPDATE t SET v = 'new' WHERE id = 7"):
            source.execute(statement)
            done = command.run("run", "--once", settings=settings)
            assert done.returncode == 0, done.stderr
            assert rows_match(source, command)
    finally:
        source.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
    read: list[Any] = [r.key for r in command.records("public.t") if r.value and r.value["op"] == "r"]  # type: ignore[index]
    assert sorted(key["id"] for key in read) == [1, 7, 8]


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
    """Contract 5: a reconcile of the root: its keys, and no others, are deleted; once."""
    source.execute(*ROOT, "CREATE TABLE t_s PARTITION OF t FOR VALUES IN ('s')", "INSERT INTO t VALUES (2, 's', 'b')")
    once(command)
    if running:
        background = command.start("run", settings=ONLY_T)
        background.wait_for("streaming")
        source.execute(gone)
        background.wait_for("the topic was compared")
        assert background.stop() == 0, background.stderr
        text = background.stderr
    else:
        source.execute(gone)
        text = once(command)
    assert "public.t_n of public.t was detached or dropped" in text
    source.execute("INSERT INTO t VALUES (3, 's', 'c')")
    assert "the topic was compared" not in once(command)
    records: list[Any] = command.records("public.t")
    deletes = [record for record in records if record.value is None or record.value["op"] == "d"]
    assert [record.key for record in deletes] == [{"id": 1, "region": "n"}] * 2
    assert rows_match(source, command)


def test_a_table_that_the_settings_leave_out(source: Source, command: Command) -> None:
    """Its partitions are not gone: nothing is compared, nothing stops; back in the selection, what changed is sent."""
    source.execute(*ROOT, "CREATE TABLE u (id int PRIMARY KEY)")
    assert command.run("run", "--once").returncode == 0
    source.execute("DELETE FROM t", "INSERT INTO t VALUES (2, 'n', 'b')")
    done = command.run("run", "--once", settings={"table.exclude.list": "public.t"})
    assert done.returncode == 0, done.stderr
    assert command.run("run", "--once").returncode == 0
    assert rows_match(source, command)


def test_a_partition_of_a_table_that_cannot_be_compared(source: Source, command: Command) -> None:
    """Without a key it cannot be told which rows are gone: exit 4; a detached one stops once."""
    source.execute(
        "CREATE TABLE t (id int, region text) PARTITION BY LIST (region)",
        "CREATE TABLE t_n PARTITION OF t FOR VALUES IN ('n')", "ALTER TABLE t_n REPLICA IDENTITY FULL",
        # To pgoutput, a TRUNCATE of all partitions at once is one of the table.
        "CREATE TABLE t_s PARTITION OF t FOR VALUES IN ('s')", "ALTER TABLE t_s REPLICA IDENTITY FULL",
        "ALTER TABLE t REPLICA IDENTITY FULL", "INSERT INTO t VALUES (1, 'n')",
    )  # fmt: skip
    once(command)
    source.execute("ALTER TABLE t DETACH PARTITION t_n")
    text = once(command, 4)
    assert "public.t_n of public.t was detached or dropped" in text
    assert "remedy: run again" in text
    once(command)
    source.execute("ALTER TABLE t ATTACH PARTITION t_n FOR VALUES IN ('n')")
    once(command)
    source.execute("TRUNCATE t_n")
    for _ in range(2):
        assert "public.t_n was truncated" in once(command, 4)


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
