"""`status`: tells what it can, whatever is away, with the right exit code; contract 2."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness import Command, Source, wait_for

TABLES = (
    "CREATE TABLE t (id int, part text, v text, PRIMARY KEY (part, id))",
    "CREATE TABLE nokey (v text)",
)


def status(command: Command, code: int = 0, **settings: object) -> dict[str, Any]:
    done = command.run("status", "--json", settings={name.replace("_", "."): value for name, value in settings.items()})
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_from_nothing_to_a_lost_slot(source: Source, command: Command) -> None:
    """Before the first run, stopped, and with the slot gone: a hint each time, exit 0."""
    source.execute(*TABLES, "INSERT INTO t SELECT i, 'p', 'v' FROM generate_series(1, 5) i")
    before = status(command)
    assert before["ok"] is True
    assert before["slot"] is None
    assert [topic["partitions"] for topic in before["topics"]] == [None, None]
    assert "there is no slot" in before["findings"][0]["detail"]
    assert "pg-producer run" in before["findings"][0]["remedy"]

    assert command.run("run", "--once", settings={"topic.creation.default.partitions": 3}).returncode == 0
    stopped = status(command)
    assert stopped["ok"] is True
    assert stopped["topics"] == [
        {"table": "public.nokey", "topic": f"{command.prefix}.public.nokey", "key": [], "partitions": 3, "records": 0},
        {"table": "public.t", "topic": f"{command.prefix}.public.t", "key": ["part", "id"], "partitions": 3,
         "records": 5},
    ]  # fmt: skip
    (finding,) = stopped["findings"]
    assert "nobody reads the slot" in finding["detail"]
    text = command.run("status").stdout
    assert f"topic {command.prefix}.public.t, key part, id, partitions 3, records 5" in text
    assert "warning: slot: nobody reads the slot" in text
    assert "  remedy: `pg-producer run`" in text

    limited = status(command, slot_max_retained_bytes=1)
    assert limited["wal_budget"]["limit"] == "slot.max.retained.bytes"
    assert limited["wal_budget"]["safe_bytes"] < 0
    assert {finding["name"] for finding in limited["findings"]} == {"slot", "retained WAL"}

    source.execute(f"SELECT pg_drop_replication_slot('{source.slot}')")
    lost = status(command)
    assert lost["ok"] is False
    assert lost["position"] is not None
    (finding,) = lost["findings"]
    assert finding["status"] == "failed"
    assert "is gone" in finding["detail"]
    assert "when_needed" in finding["remedy"]
    checked = json.loads(command.run("check", "--json").stdout)["findings"]
    assert [one["detail"] for one in checked if one["name"] == "position"] == [finding["detail"]]


@pytest.mark.parametrize("support", ["requested", "required"])
def test_a_snapshot_beside_the_stream_is_completed(source: Source, command: Command, support: str) -> None:
    """A slot that `grants` has made: what the sync run says at its end is what is remembered."""
    source.execute(*TABLES, "INSERT INTO t SELECT i, 'p', 'v' FROM generate_series(1, 5) i")
    source.execute(command.run("grants").stdout)
    done = command.run("run", "--once", settings={"exactly.once.support": support})
    assert "the snapshot is complete" in done.stderr
    told = status(command)
    assert told["snapshot"] == {"state": "completed", "tables_done": 2, "tables": 2, "rows": 5, "unfinished": []}


def test_a_table_that_was_left_is_not_done(source: Source, command: Command) -> None:
    """Neither among those of now, nor when it is back: then it is to be read again."""
    source.execute(*TABLES, "INSERT INTO t VALUES (1, 'p', 'v'), (2, 'p', 'v')", "INSERT INTO nokey VALUES ('v')")
    assert command.run("run", "--once").returncode == 0
    left = {"state": "completed", "tables_done": 1, "tables": 1, "rows": 1, "unfinished": []}
    assert status(command, table_include_list="public.nokey")["snapshot"] == left
    assert command.run("run", "--once", settings={"table.include.list": "public.nokey"}).returncode == 0
    assert status(command, table_include_list="public.nokey")["snapshot"] == left
    back = status(command)["snapshot"]
    assert (back["tables_done"], back["tables"], back["rows"]) == (1, 2, 1)
    assert [one["table"] for one in back["unfinished"]] == ["public.t"]


def test_kafka_away(source: Source, command: Command) -> None:
    """The slot is told of all the same; exit 5."""
    source.execute(*TABLES)
    source.make_slot()
    found = status(command, 5, bootstrap_servers="127.0.0.1:1")
    assert found["slot"]["name"] == source.slot
    assert found["slot"]["retained_bytes"] >= 0
    assert (found["position"], found["snapshot"]["tables"], found["snapshot"]["rows"]) == (None, 2, None)
    assert found["findings"][0]["name"] == "kafka"
    assert found["findings"][0]["remedy"]


def test_a_slot_that_is_not_for_us(source: Source, command: Command) -> None:
    """Another plugin's: told as `run` would tell it."""
    source.execute(*TABLES, f"SELECT pg_create_logical_replication_slot('{source.slot}', 'test_decoding')")
    found = status(command)
    assert found["ok"] is False
    assert "belongs to the plugin test_decoding" in found["findings"][0]["detail"]


def test_a_stream_that_keeps_up_is_not_behind(source: Source, command: Command) -> None:
    """Seconds are measured, not read off the last commit: on a quiet table that is old, and nothing is late."""
    source.execute(*TABLES)
    running = command.start("run")
    running.wait_for("streaming")
    source.execute("INSERT INTO t VALUES (1, 'p', 'v')")

    def measured() -> bool:
        # Log that is not ours: the slot is behind by some bytes, for a moment.
        source.execute(*["SELECT pg_logical_emit_message(false, 'none', repeat('x', 1000))"] * 20)
        found = status(command)
        assert found["slot"]["active"] is True
        assert found["findings"] == []
        return bool(found["lag"]["seconds"] < 1.6)

    # A busy machine is late now and then; the commit is older each time.
    wait_for(measured, what="a stream that keeps up")
    assert running.stop() == 0
