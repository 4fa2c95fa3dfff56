"""What differs between the supported servers and plugins: found out, told, and of no consequence."""

from __future__ import annotations

from typing import Any

import pytest

from producer.lsn import Lsn
from tests import harness
from tests.findings import tried
from tests.harness import Command, Source, wait_for

pytestmark = pytest.mark.matrix

TABLES = ("CREATE TABLE t (id int PRIMARY KEY, v float8)", "CREATE TABLE other (id int)")
SETTINGS: dict[str, object] = {"table.include.list": "public.t"}


def _written(source: Source) -> Lsn:
    """Write a little that is not for us; where the log ends then."""
    source.execute("INSERT INTO other SELECT generate_series(1, 100)", "CREATE TABLE IF NOT EXISTS another (id int)")
    return Lsn.parse(source.rows("SELECT pg_current_wal_insert_lsn()::text")[0][0])


def _confirmed(source: Source) -> Lsn:
    return Lsn.parse(source.confirmed_lsn() or "0/0")


def test_the_server_is_one_that_we_test_on(source: Source, command: Command) -> None:
    """No warning of its version; NaN is a matter only where the plugin cannot print it."""
    source.execute(*TABLES)
    found = tried(command, 0, SETTINGS)
    version = found["server version"]
    assert version["status"] == "ok"
    assert version["detail"].startswith(f"PostgreSQL {source.major()}.")
    assert any("public.t.v" in one["detail"] for one in found.values()) is not source.prints_nan()
    other = found["other plugin"]["detail"]
    there = harness.PLUGIN == "wal2json" or source.stack.wal2json_version
    assert ("is installed and allowed too" in other) if there else (other == "wal2json is not installed here")


def test_transactions_without_anything_for_us_move_the_slot(source: Source, command: Command) -> None:
    """The plugin sends their begin and commit, or, from 2.7 on, nothing of them; between rows that are ours too."""
    source.execute(*TABLES)
    assert command.run("run", "--once", settings=SETTINGS).returncode == 0
    written = _written(source)
    assert command.run("run", "--once", settings=SETTINGS).returncode == 0
    assert _confirmed(source).page_start() >= written.page_start()
    running = command.start("run", settings=SETTINGS)
    running.wait_for("streaming")
    for number in range(3):
        written = _written(source)
        wait_for(lambda written=written: _confirmed(source) >= written, 20, "the slot to move")  # type: ignore[misc]
        source.execute(f"INSERT INTO t VALUES ({number}, 'NaN')")
    wait_for(lambda: len(command.records()) == 3, 20, "three rows")
    assert running.stop() == 0
    records: list[Any] = list(command.records())
    assert [record.key["id"] for record in records] == [0, 1, 2]
    assert [record.value["source"]["ordinal"] for record in records] == [1, 1, 1]


def test_messages_that_the_plugin_does_not_know_are_refused_before_a_slot_is_made(
    source: Source, command: Command
) -> None:
    """pgoutput before PostgreSQL 14; `check` says the same."""
    source.execute(*TABLES)
    asked: dict[str, object] = {**SETTINGS, "message.prefix.include.list": "p"}
    knows = harness.PLUGIN == "wal2json" or source.major() >= 14
    for words in (("check",), ("run", "--once")):
        done = command.run(*words, settings=asked)
        assert done.returncode == (0 if knows else 3), done.stdout + done.stderr
        assert knows or "does not tell of logical messages" in done.stdout + done.stderr
    assert (source.confirmed_lsn() is not None) is knows
