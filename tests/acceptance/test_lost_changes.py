"""Changes that the source does not log are counted, told, and told again at the end."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.harness import Command, Source

# pgoutput tells of no single one.
pytestmark = pytest.mark.wal2json


def _lost(text: str) -> dict[str, int]:
    """The totals that the last lines tell."""
    found = re.findall(r"changes were lost: .* table=(\S+) lost=(\d+)", text)
    return {table.strip("'"): int(count) for table, count in found}


def test_both_ways_of_having_no_identity(source: Source, command: Command) -> None:
    """NOTHING, and DEFAULT without a primary key: inserts come, each lost change is counted, `check` names both."""
    source.execute(
        "CREATE TABLE nothing (id int PRIMARY KEY, v int)", "ALTER TABLE nothing REPLICA IDENTITY NOTHING",
        "CREATE TABLE keyless (id int, v int)", "CREATE TABLE whole (id int PRIMARY KEY, v int)",
    )  # fmt: skip
    checked = command.run("check")
    assert checked.returncode == 3
    assert "identity of public.nothing: REPLICA IDENTITY NOTHING" in checked.stdout
    assert "identity of public.keyless: no primary key" in checked.stdout
    assert command.run("run", "--once").returncode == 0
    for table in ("nothing", "keyless", "whole"):
        source.execute(
            f"INSERT INTO {table} VALUES (1, 1), (2, 2), (3, 3)", f"UPDATE {table} SET v = 0", f"DELETE FROM {table}"
        )
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    for table in ("nothing", "keyless"):
        first = re.search(rf"a change was not logged by the source: .*table=public\.{table}", done.stderr)
        assert first, done.stderr
        assert [r.value["op"] for r in list[Any](command.records(f"public.{table}"))] == ["c"] * 3
    assert _lost(done.stderr) == {"public.keyless": 6, "public.nothing": 6}
    quiet = command.run("run", "--once")
    assert _lost(quiet.stderr) == {}


def test_names_with_quotes_and_dots(source: Source, command: Command) -> None:
    """The plugin does not escape them: what the name means is known from the selection."""
    odd = '"a.b"."c"".""d ""e"" \'f\'"'
    source.execute('CREATE SCHEMA "a.b"', f"CREATE TABLE {odd} (id int)", f"INSERT INTO {odd} VALUES (1)")
    assert command.run("run", "--once").returncode == 0
    source.execute(f"UPDATE {odd} SET id = 2")
    done = command.run("run", "--once", settings={"log.format": "json"})
    assert done.returncode == 0, done.stderr
    assert '"table": "a.b.c\\".\\"d \\"e\\" \'f\'", "lost": 1' in done.stderr


def test_only_selected_tables_count(source: Source, command: Command) -> None:
    """With a partitioned table the plugin is asked for every table: a partition counts for its root, others do not."""
    source.execute(
        "CREATE TABLE root (id int, v int) PARTITION BY RANGE (id)",
        "CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10)", "CREATE TABLE elsewhere (id int)",
    )  # fmt: skip
    settings = {"table.include.list": "public.root"}
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute(
        "INSERT INTO elsewhere VALUES (1)", "UPDATE elsewhere SET id = 2",
        "CREATE TABLE later PARTITION OF root FOR VALUES FROM (10) TO (20)",
        "INSERT INTO root VALUES (1, 1), (11, 1)", "UPDATE root SET v = 2", "DELETE FROM root WHERE id = 11",
    )  # fmt: skip
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    assert _lost(done.stderr) == {"public.root": 3}
    assert "elsewhere" not in done.stderr
