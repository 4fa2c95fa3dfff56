"""A table read in chunks by several sessions: every row once, markers right, and nobody waits for us for ever."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from tests.harness import Command, Source, wait_for

ROWS = 20_000
CHUNKED: dict[str, object] = {"snapshot.max.threads": 3, "snapshot.chunk.rows": 1000, "snapshot.mode": "initial_only"}
FILL = f"INSERT INTO t SELECT i, repeat('x', i % 300) FROM generate_series(1, {ROWS}) i"


def test_every_row_comes_once_and_only_the_ends_are_marked(source: Source, command: Command) -> None:
    """Contract 5: one first and one last in a snapshot; the table was never analysed, and has holes."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text) WITH (autovacuum_enabled = false)", FILL,
        "DELETE FROM t WHERE id BETWEEN 3000 AND 9000", "CREATE TABLE u (id int PRIMARY KEY)",
        "INSERT INTO u SELECT generate_series(1, 3)",
    )  # fmt: skip
    done = command.run("run", settings=CHUNKED)
    assert done.returncode == 0, done.stderr
    records: list[Any] = list(command.records())
    rows = [record.value["after"] for record in records if record.value["source"]["table"] == "t"]
    assert Counter(row["id"] for row in rows) == Counter({*range(1, 3000), *range(9001, ROWS + 1)})
    assert all(len(row["v"]) == row["id"] % 300 for row in rows)
    marks = Counter(record.value["source"]["snapshot"] for record in records)
    assert marks["first"] == marks["last"] == 1
    assert marks["first_in_data_collection"] == marks["last_in_data_collection"] == 1
    assert next(record.offset for record in records if record.value["source"]["snapshot"] == "first") == 0


def test_a_table_that_somebody_waits_to_change_is_read_again_when_it_is_changed(
    source: Source, command: Command
) -> None:
    """Our lock stands in line behind an ALTER TABLE that waits for another: we may be what that one waits for."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", FILL)
    with source.connect() as blocker, source.connect() as other:
        blocker.execute("BEGIN")
        blocker.execute("SELECT FROM t LIMIT 0")
        altering = threading.Thread(target=other.execute, args=(b"ALTER TABLE t ADD COLUMN w int DEFAULT 7",))
        altering.start()
        waits = (
            "SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE NOT granted AND mode = 'AccessExclusiveLock' AND datname = current_database()"
        )
        wait_for(lambda: source.rows(waits), what="the ALTER TABLE waits")
        running = command.start("run", settings=CHUNKED)
        running.wait_for("is locked by somebody who waits to change it")
        blocker.execute("ROLLBACK")
        altering.join(20)
        assert not altering.is_alive()
        assert running.process.wait(30) == 0, running.stderr
    records: list[Any] = list(command.records("public.t"))
    rows = [record.value["after"] for record in records]
    assert len(rows) == ROWS
    assert all(row["w"] == 7 for row in rows)


def test_one_table_is_read_by_several_sessions(source: Source, command: Command) -> None:
    """Contract 3: `snapshot.max.threads` parallel readers, inside one table too."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", FILL, "ANALYZE t")
    # So slow that one sees it.
    running = command.start("run", settings={**CHUNKED, "max.queue.size.in.bytes": 1000})
    copies = f"SELECT FROM pg_stat_activity WHERE datname = '{source.name}' AND query LIKE 'COPY%'"
    wait_for(lambda: len(source.rows(copies)) > 1, what="two sessions to copy the table")
    assert running.stop() == 0, running.stderr
