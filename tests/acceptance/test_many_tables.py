"""Many tables: what a start asks of registry and catalogue before the first row, and what it does not."""

from __future__ import annotations

import json
from contextlib import closing

from dev.stack import Stack
from producer.schema.registry import Registry
from tests.harness import Command, Source, wait_for
from tests.held_registry import held
from tests.history import allow_any

TABLES = 80
# Whose schemas are registered before the slot is made; each has a key's and a value's.
FIRST = 32


def make(source: Source, tables: int = TABLES) -> list[str]:
    """Tables of three rows each, in the order in which they are copied."""
    names = [f"t{number:03}" for number in range(tables)]
    with source.connect() as session:
        for name in names:
            session.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v text, n numeric(6,2))".encode())
            session.execute(f"INSERT INTO {name} SELECT g, 'v', g FROM generate_series(1, 3) g".encode())
    return names


def test_the_first_row_waits_for_the_first_tables_schemas_only(source: Source, command: Command, stack: Stack) -> None:
    """Schemas are registered when first needed, several at once: the first row is there while others are held back."""
    names = make(source)
    with held(stack.registry_url, 2 * FIRST) as registry:
        running = command.start("run", settings={"schema.registry.url": registry.url})
        running.wait_for("the slot was made", 60)
        wait_for(lambda: command.records(f"public.{names[0]}"), 60, f"the first row in:\n{running.stderr}")
        assert not registry.released.is_set()
        assert registry.asked < 2 * TABLES, "not all are asked for at once"
        registry.released.set()
        running.wait_for("the snapshot is complete", 60)
        assert running.stop() == 0
        assert registry.asked == 2 * TABLES, "each once"
    found = command.records()
    assert len(found) == 3 * TABLES
    markers = [str(record.value["source"]["snapshot"]) for record in found if isinstance(record.value, dict)]
    assert markers.count("first") == markers.count("last") == 1


def test_a_late_tables_schema_is_refused(source: Source, command: Command, stack: Stack) -> None:
    """Found when it is needed: exit 3, nothing lost, and once mended the snapshot goes on with what is missing."""
    names = make(source, FIRST + 8)
    subject = f"{command.prefix}.public.{names[-1]}-value"
    with closing(Registry(stack.registry_url)) as registry:
        registry.register(subject, json.dumps({"type": "record", "name": "Other", "fields": []}))
    for _ in range(2):
        done = command.run("run", "--once")
        assert done.returncode == 3, done.stderr
        assert subject in done.stderr
        assert "remedy:" in done.stderr
        assert command.records(f"public.{names[-1]}") == []
    source.execute(f"INSERT INTO {names[0]} VALUES (4)", f"UPDATE {names[-1]} SET v = 'w' WHERE id = 1")
    allow_any(stack.registry_url, subject)
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    for name in names:
        rows = {record.key["id"]: record.value for record in command.records(f"public.{name}")}  # type: ignore[index]
        assert sorted(rows) == ([1, 2, 3, 4] if name == names[0] else [1, 2, 3])
    assert rows[1]["after"]["v"] == "w"  # type: ignore[index]


def test_first_rows_ask_little_of_the_catalogue(source: Source, command: Command) -> None:
    """After a restart: what was known of a table, and still is in the catalogue, is not asked for at its first row."""
    names = make(source)
    assert command.run("run", "--once").returncode == 0
    with source.connect() as session:
        for name in names:
            session.execute(f"INSERT INTO {name} VALUES (4, 'w', 1)".encode())
    before = statements(source)
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    asked = statements(source) - before
    assert asked < TABLES, f"{asked} for {TABLES} tables"
    assert len(command.records()) == 4 * TABLES


def statements(source: Source) -> int:
    """Transactions of the database so far: a statement each, in autocommit mode."""
    # A session counts its own when it ends, a moment behind its client.
    others = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    wait_for(lambda: not source.rows(others), what="the others' sessions to end")
    return int(source.rows("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")[0][0])
