"""Tables that are read beside the running stream: no key goes back in time, nothing is lost, under load."""

from __future__ import annotations

from typing import Any

import pytest

from dev.stack import Stack
from tests.harness import Command, Source, folded, source_of, wait_for
from tests.writers import Writers, judge


@pytest.mark.parametrize("seed", [1, 2])
def test_a_slot_that_existed_before_is_read_under_load(source: Source, command: Command, seed: int) -> None:
    """Its stream runs from where it stands; every table is read beside it."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v bigint)",
        "INSERT INTO t SELECT i, i FROM generate_series(1, 30) i",
    )
    source.make_slot()
    source.execute("INSERT INTO t SELECT i, -i FROM generate_series(31, 40) i")
    with Writers(source, seed) as writers:
        wait_for(lambda: writers.transactions > 20, what="load")
        running = command.start("run")
        running.wait_for("snapshot of a table is read")
        done = writers.transactions
        wait_for(lambda: writers.transactions > done + 50, what="load behind the reading")
    assert running.stop() == 0, running.stderr
    records = judge(source, command)
    assert {record.value["source"]["snapshot"] for record in records if record.value} == {"incremental", "false"}


def test_a_transaction_of_another_database_is_not_waited_for(stack: Stack, source: Source, command: Command) -> None:
    """Contract 4: one that runs when we start may be a predecessor's event, but never one of another database."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    source.make_slot()
    source.execute("INSERT INTO t VALUES (1)")
    with source_of(stack, f"{source.name}_other") as other, other.connect() as writer, writer.transaction():
        writer.execute("CREATE TABLE o (id int)")
        source.execute("INSERT INTO t VALUES (2)")
        done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    assert {"c", "r"} == {record.value["op"] for record in list[Any](command.records("public.t"))}


def test_a_table_renamed_into_the_selection_under_load(source: Source, command: Command) -> None:
    """Within seconds, without a restart, and without a step back for any key."""
    source.execute("CREATE TABLE other (id int PRIMARY KEY)", "CREATE TABLE hidden (id int PRIMARY KEY, v bigint)")
    source.execute("INSERT INTO hidden SELECT i, i FROM generate_series(1, 50) i")
    settings: dict[str, object] = {"table.include.list": "public.other,public.t"}
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    source.execute("ALTER TABLE hidden RENAME TO t")
    with Writers(source, 7) as writers:
        # The other one's was read at the start.
        running.wait_for("snapshot of a table is read table=public.t ")
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
    )
    source.make_slot()
    source.execute("TRUNCATE e", "INSERT INTO e VALUES (2)", "DELETE FROM t WHERE id > 50")
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    rows: list[Any] = list(command.records("public.t"))
    assert sorted(record.value["after"]["id"] for record in rows if record.value["op"] == "r") == list(range(1, 51))
    assert [record.value["op"] for record in rows[:50]] == ["d"] * 50
    emptied: list[Any] = list(command.records("public.e"))
    assert [record.value["op"] for record in emptied] == ["t", "c", "r"]
    assert "the snapshot is complete" in done.stderr


def test_a_table_that_is_to_be_changed_while_it_is_read(source: Source, command: Command) -> None:
    """ALTER TABLE waits for our lock, a row that is read again by its key for the ALTER: the lock is given up."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n int, big text)",
        "ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL",
        "INSERT INTO t SELECT i, 0, repeat('x', 3000) FROM generate_series(1, 5000) i",
    )
    source.make_slot()
    running = command.start("run", settings={"snapshot.chunk.rows": 50})
    running.wait_for("snapshot of a table begins")
    with source.connect() as connection:
        connection.execute("SET statement_timeout = '20s'")
        for number in range(3):
            connection.execute("UPDATE t SET n = n + 1 WHERE id % 50 = 0")
            connection.execute(f"ALTER TABLE t ADD COLUMN c{number} int")
    source.execute("INSERT INTO t VALUES (0, 0, '')")
    wait_for(lambda: any(record.key == {"id": 0} for record in command.records("public.t")), 30, running.stderr)
    assert running.stop() == 0, running.stderr


def test_a_table_that_was_left_out_for_a_while(source: Source, command: Command) -> None:
    """Never lose: what was changed while the settings did not select it comes with a comparison, deletes too."""
    source.execute("CREATE TABLE a (id int PRIMARY KEY, v int)", "CREATE TABLE b (id int PRIMARY KEY)")
    source.execute("INSERT INTO a VALUES (1, 1), (2, 2)", "INSERT INTO b VALUES (1)")
    without: dict[str, object] = {"table.exclude.list": "public.a"}
    assert command.run("run", "--once").returncode == 0
    assert command.run("run", "--once", settings=without).returncode == 0
    source.execute("UPDATE a SET v = 10 WHERE id = 1", "DELETE FROM a WHERE id = 2", "INSERT INTO a VALUES (3, 3)")
    assert command.run("run", "--once", settings=without).returncode == 0
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    assert "selected again" in done.stderr
    (rows,) = folded(command.records("public.a")).values()
    assert sorted(row["v"] for row in rows.values()) == [3, 10]
    sent = len(command.records("public.a"))
    assert command.run("run", "--once").returncode == 0
    assert len(command.records("public.a")) == sent
    # A comparison needs all rows: refused before anything is stored, and the next start without it goes on.
    assert command.run("run", "--once", settings=without).returncode == 0
    override: dict[str, object] = {
        "snapshot.select.statement.overrides": "public.a",
        "snapshot.select.statement.overrides.public.a": "SELECT * FROM public.a WHERE id > 1",
    }
    refused = command.run("run", "--once", settings=override)
    assert refused.returncode == 3
    assert "SELECT of its own" in refused.stderr
    assert command.run("run", "--once").returncode == 0


def test_a_table_that_was_called_otherwise_for_a_while(source: Source, command: Command) -> None:
    """Never lose: what was changed under a name that is not selected, while we ran, comes with a comparison."""
    source.execute("CREATE TABLE a (id int PRIMARY KEY, v int)", "CREATE TABLE b (id int PRIMARY KEY)")
    source.execute("INSERT INTO a VALUES (1, 1), (2, 2)", "INSERT INTO b VALUES (1)")
    running = command.start("run", settings={"table.include.list": "public.a,public.b"})
    running.wait_for("streaming")
    source.execute("INSERT INTO a VALUES (4, 4)", "ALTER TABLE a RENAME TO hidden")
    running.wait_for("tables left the selection")
    source.execute("UPDATE hidden SET v = 10 WHERE id = 1", "DELETE FROM hidden WHERE id = 2")
    source.execute("ALTER TABLE hidden RENAME TO a", "INSERT INTO a VALUES (3, 3)")

    def same() -> bool:
        (rows,) = folded(command.records("public.a")).values()
        return sorted(row["v"] for row in rows.values()) == [3, 4, 10]

    wait_for(same, what="the topic to be the table")
    assert running.stop() == 0, running.stderr
