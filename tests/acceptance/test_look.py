"""The commands that look: their output, their forms, their options."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Command, Source

TABLE = "CREATE TABLE t (id int PRIMARY KEY, price numeric(6,2), at timestamptz)"
COMMANDS = ("run", "check", "status", "schemas", "tail", "slot drop", "grants", "verify", "worker")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_version_everywhere(command: Command, name: str) -> None:
    """Exit 0, on stdout."""
    shown = command.run(*name.split(), "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    for option in ("--config", "--set", "--version", "Examples:", "Exit codes:"):
        assert option in shown.stdout
    version = command.run(*name.split(), "--version")
    assert version.returncode == 0
    assert "pg-producer" in version.stdout
    assert "(transcoder compiled)" in version.stdout


def test_a_group_of_commands_tells_its_version_too(command: Command) -> None:
    """`slot --version`, as everywhere."""
    assert command.run("slot", "--version").stdout == command.run("--version").stdout


@pytest.mark.parametrize("arguments", [("worker",)])
def test_what_is_not_there_yet_says_so(command: Command, arguments: tuple[str, ...]) -> None:
    """Exit 2, and what to do meanwhile."""
    done = command.run(*arguments)
    assert done.returncode == 2
    assert "not supported yet" in done.stderr
    assert "remedy:" in done.stderr


def test_wrong_usage_is_exit_2(command: Command) -> None:
    """An unknown command or option."""
    for arguments, meant in ((("rnu",), "run"), (("run", "--onse"), "--once"), (("slot", "dorp"), "drop")):
        done = command.run(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("error: No such ")
        assert meant in done.stderr
        assert "  remedy: pg-producer" in done.stderr


def test_alone_it_prints_what_there_is(command: Command) -> None:
    """So does a group."""
    for arguments, named in (((), "check"), (("slot",), "drop")):
        done = command.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"\n  {named} " in done.stdout


def test_the_shell_can_complete_it(command: Command) -> None:
    """README's line gives bash a function."""
    done = subprocess.run(
        [sys.executable, "-m", "producer"], env={**command.environment(), "_PG_PRODUCER_COMPLETE": "bash_source"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "complete -o nosort -F" in done.stdout


def test_check_status_schemas_tail_and_slot_drop(source: Source, command: Command) -> None:
    """A connector's life, looked at from outside."""
    source.execute(TABLE, "INSERT INTO t VALUES (1, 1.5, '2026-01-01 00:00+00')")
    checked = command.run("check", "--json")
    assert checked.returncode == 0, checked.stdout
    findings = json.loads(checked.stdout)["findings"]
    assert {finding["status"] for finding in findings} <= {"ok", "warning"}
    hidden = any("public.t.price" in finding["detail"] for finding in findings)
    assert hidden is not source.prints_nan(), "NaN is hidden by wal2json before 2.6"

    before = json.loads(command.run("status", "--json").stdout)
    assert (before["slot"], before["snapshot"]["state"]) == (None, None)
    assert command.run("run", "--once").returncode == 0
    source.left()
    status = json.loads(command.run("status", "--json").stdout)
    assert status["slot"]["name"] == source.slot
    assert status["slot"]["active"] is False
    assert status["snapshot"] == {"state": "completed", "tables_done": 1, "tables": 1, "rows": 1, "unfinished": []}
    assert status["lag"].keys() == {"bytes", "seconds"}
    topic = f"{command.prefix}.public.t"
    assert status["topics"] == [{"table": "public.t", "topic": topic, "key": ["id"], "partitions": 1, "records": 1}]
    assert f"topic {command.prefix}.public.t" in command.run("status").stdout

    schemas = json.loads(command.run("schemas").stdout)["public.t"]
    assert schemas["key"]["fields"] == [{"name": "id", "type": "int"}]
    assert schemas["value"]["name"] == "Envelope"

    for arguments in ((), ("public.t",), ("t",)):
        shown = command.run("tail", *arguments, "--once")
        assert shown.returncode == 0, shown.stderr
        (line,) = shown.stdout.splitlines()
        event = json.loads(line)
        assert event["key"] == {"id": 1}
        assert event["value"]["after"] == {"id": 1, "price": "1.50", "at": "2026-01-01T00:00:00.000000Z"}

    assert command.run("slot", "drop", stdin="n\n").returncode == 1
    assert source.confirmed_lsn() is not None
    assert command.run("slot", "drop", stdin="y\n").returncode == 0
    assert source.confirmed_lsn() is None


@pytest.mark.parametrize("name", ["shop.toml", "shop.json", "shop.properties", "connector.json"])
def test_each_kind_of_settings_file(source: Source, command: Command, tmp_path: Path, name: str) -> None:
    """--config, beside the environment and --set."""
    source.execute(TABLE)
    file = tmp_path / name
    file.write_text(
        {
            "shop.toml": '[table.include]\nlist = "public.t"\n',
            "shop.json": '{"table.include.list": "public.t"}',
            "shop.properties": "table.include.list=public.t\n",
            "connector.json": '{"name": "c", "config": {"table.include.list": "public.t", "key.converter": "x"}}',
        }[name]
    )
    done = command.run("schemas", "--config", str(file))
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)) == ["public.t"]
    assert ("key.converter" in done.stderr) == (name == "connector.json")


def test_every_line_of_the_log_is_json_when_asked(source: Source, command: Command) -> None:
    """log.format=json: progress and errors too."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    asked: dict[str, object] = {"log.format": "json"}
    good = command.run("run", "--once", settings=asked)
    bad = command.run("run", settings={**asked, "database.dbname": "nowhere"})
    worse = command.run("run", settings={**asked, "database.port": "x"})
    assert (good.returncode, bad.returncode, worse.returncode) == (0, 3, 2)
    for line in (good.stderr + bad.stderr + worse.stderr).splitlines():
        assert {"event", "level", "timestamp"} <= set(json.loads(line))
    assert json.loads(bad.stderr.splitlines()[-1])["remedy"]


def test_initial_only_and_no_data(source: Source, command: Command) -> None:
    """A copy without a slot; a slot without a copy."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    assert command.run("run", settings={"snapshot.mode": "initial_only"}).returncode == 0
    assert source.confirmed_lsn() is None
    assert [record.value["op"] for record in command.records()] == ["r"]  # type: ignore[index]
    assert command.run("run", "--once", settings={"snapshot.mode": "no_data"}).returncode == 0
    source.execute("INSERT INTO t VALUES (2)")
    assert command.run("run", "--once", settings={"snapshot.mode": "no_data"}).returncode == 0
    assert [record.value["op"] for record in command.records()] == ["r", "c"]  # type: ignore[index]


def test_a_slot_that_existed_before_is_used(source: Source, command: Command) -> None:
    """Everything that it holds is streamed; the rows follow where they belong, marked as read later."""
    source.execute(TABLE)
    source.make_slot()
    source.execute("INSERT INTO t VALUES (1), (2)", "DELETE FROM t WHERE id = 2")
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    events = [(record.key, record.value) for record in command.records()]
    assert [value["op"] if value else None for _, value in events] == ["c", "c", "d", None, "r"]  # type: ignore[index]
    assert events[-1][1]["source"]["snapshot"] == "incremental"  # type: ignore[index]
