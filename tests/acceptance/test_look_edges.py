"""The commands that look, at their edges: precedence, bad files, servers away, pipes, a running producer."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Command, Source, wait_for

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def test_later_settings_win(source: Source, command: Command, tmp_path: Path) -> None:
    """Contract 2: defaults < file < environment < --set."""
    source.execute(TABLE)
    file = tmp_path / "shop.toml"
    file.write_text('[topic]\nprefix = "of.the.file"\n[database]\nhostname = "127.0.0.1"\n')

    def topic(*more: str, environment: dict[str, str]) -> str:
        clean = {name: value for name, value in command.environment().items() if name != "PRODUCER_TOPIC_PREFIX"}
        done = subprocess.run(
            [sys.executable, "-m", "producer", "schemas", "--config", str(file), *more],
            env={**clean, **environment}, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["public.t"]["topic"])

    there = {"PRODUCER_TOPIC_PREFIX": "of.the.environment"}
    assert topic(environment={}) == "of.the.file.public.t"
    assert topic(environment=there) == "of.the.environment.public.t"
    assert topic("--set", "topic.prefix=of.set", environment=there) == "of.set.public.t"
    assert topic("--set", "topic.prefix=a", "--set", "topic.prefix=b", environment=there) == "b.public.t"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("absent.toml", None),
        ("bad.toml", "[database\n"),
        ("bad.json", '{"topic.prefix": '),
        ("list.json", "[]"),
        ("shop.yaml", "topic.prefix: x"),
        ("latin.properties", "topic.prefix=\xe9"),
    ],
)
def test_a_settings_file_that_cannot_be_read(command: Command, tmp_path: Path, name: str, text: str | None) -> None:
    """Contract 2: exit 2, the file named, a remedy."""
    file = tmp_path / name
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    done = command.run("check", "--config", str(file))
    assert done.returncode == 2, done.stderr
    assert name in done.stderr
    assert "remedy:" in done.stderr
    assert "Traceback" not in done.stderr


def test_passwords_from_elsewhere(source: Source, command: Command, tmp_path: Path) -> None:
    """Contract 3: ${file:…} and ${env:…}; one that is not there is exit 2, named."""
    source.execute(TABLE)
    file = tmp_path / "secrets.properties"
    file.write_text(f"pg = {source.stack.postgres_password}\n")
    for reference, code in ((f"${{file:{file}:pg}}", 0), ("${env:PRODUCER_DATABASE_PASSWORD}", 0), ("${env:NO}", 2)):
        done = command.run("schemas", settings={"database.password": reference})
        assert done.returncode == code, done.stderr
    assert "NO" in done.stderr


def test_a_variable_that_is_nearly_a_setting(command: Command) -> None:
    """Contract 3: exit 2 when it is close to a known key, else a warning."""
    for name, code in (("PRODUCER_DATABASE_HOSTNAM", 2), ("PRODUCER_OF_FILMS", 0)):
        done = subprocess.run(
            [sys.executable, "-m", "producer", "schemas"], env={**command.environment(), name: "x"},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert name in done.stderr
    assert json.loads(done.stdout) == {}


def test_schemas_needs_neither_kafka_nor_registry(source: Source, command: Command) -> None:
    """Contract 2: the database alone; a table without key has none."""
    source.execute(TABLE, "CREATE TABLE n (id int)")
    away: dict[str, object] = {"bootstrap.servers": "127.0.0.1:1", "schema.registry.url": "http://127.0.0.1:1"}
    done = command.run("schemas", settings=away)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == {"public.n", "public.t"}
    assert found["public.n"]["key"] is None
    value = next(field for field in found["public.t"]["value"]["fields"] if field["name"] == "before")
    assert value["type"][0] == "null"


def test_status_and_check_beside_a_running_producer(source: Source, command: Command) -> None:
    """Contract 2: check stays ok; status knows the reader, the lag, the position; as text the same."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    running = command.start("run")
    running.wait_for("streaming")
    source.execute("INSERT INTO t VALUES (2)")
    wait_for(lambda: len(command.records()) == 2, what="both rows")
    checked = command.run("check", "--json")
    assert checked.returncode == 0, checked.stdout
    assert json.loads(checked.stdout)["ok"] is True
    status = json.loads(command.run("status", "--json").stdout)
    assert status["slot"]["active"] is True
    assert status["slot"]["reader"] == f"pg-producer {command.prefix}"
    assert status["position"] is not None
    text = command.run("status").stdout
    for word in ("active: True", f"name: {source.slot}", "state: completed", f"{command.prefix}.public.t"):
        assert word in text
    assert command.run("slot", "drop", "--yes").returncode == 5
    assert running.stop() == 0


@pytest.mark.parametrize("arguments", [("status",), ("schemas",), ("slot", "drop", "--yes")])
def test_servers_away_are_exit_5(command: Command, arguments: tuple[str, ...]) -> None:
    """Contract 2: one line of reason, a remedy, bounded time."""
    done = command.run(*arguments, settings={"database.port": 1}, seconds=30)
    assert done.returncode == 5, done.stderr
    assert "remedy:" in done.stderr
    assert done.stdout == ""


def test_slot_drop_asks(source: Source, command: Command) -> None:
    """Contract 2: no answer is no; the question is no result; there is nothing to drop: exit 0."""
    source.execute(TABLE)
    assert command.run("slot", "drop", "--yes").returncode == 0
    assert command.run("run", "--once").returncode == 0
    asked = command.run("slot", "drop")
    assert asked.returncode == 1
    assert source.slot in asked.stderr
    assert asked.stdout == ""
    assert source.confirmed_lsn() is not None
    assert command.run("slot", "drop", "--yes").returncode == 0
    assert source.confirmed_lsn() is None


def test_slot_drop_waits_a_moment_for_whoever_has_just_stopped(source: Source, command: Command) -> None:
    """As in `run --once && slot drop`: the server lets go of the slot a moment behind its reader's end."""
    source.execute(TABLE)
    running = command.start("run")
    running.wait_for("streaming")
    ((walsender,),) = source.rows(f"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{source.slot}'")
    os.kill(int(str(walsender)), signal.SIGSTOP)
    try:
        assert running.stop() == 0, running.stderr
        dropping = command.start("slot", "drop", "--yes")
        waits = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        wait_for(lambda: source.rows(waits) or dropping.process.poll() is not None, what="it has looked")
    finally:
        os.kill(int(str(walsender)), signal.SIGCONT)
    assert dropping.process.wait(20) == 0, dropping.stderr
    assert source.confirmed_lsn() is None


def test_a_question_in_json_lines(source: Source, command: Command) -> None:
    """Contract 3: every line on stderr is one JSON document, the question and its end too."""
    source.execute(TABLE)
    assert command.run("run", "--once").returncode == 0
    for answer, code in (("", 1), ("n\n", 1), ("y\n", 0)):
        asked = command.run("slot", "drop", settings={"log.format": "json"}, stdin=answer)
        assert asked.returncode == code
        question, *rest = [json.loads(line) for line in asked.stderr.splitlines()]
        assert source.slot in question["event"]
        assert [line["event"] for line in rest] == ["aborted"] * code
    assert source.confirmed_lsn() is None


@pytest.mark.parametrize("form", ["text", "json"])
def test_ctrl_c_is_no_bug(source: Source, command: Command, form: str) -> None:
    """Exit 130, and a word, while it waits for a registry that is silent."""
    source.execute(TABLE)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        registry = f"http://127.0.0.1:{silent.getsockname()[1]}"
        running = command.start("check", settings={"schema.registry.url": registry, "log.format": form})
        asked, _ = silent.accept()
        with asked:
            assert running.stop(signal.SIGINT, 10) == 130
    said = running.stderr.splitlines()
    assert (json.loads(said[-1])["event"] if form == "json" else said[-1]) == "interrupted"
    assert "" not in said


@pytest.mark.parametrize("name", ["schemas", "check"])
def test_a_full_output(source: Source, command: Command, name: str) -> None:
    """Exit 3, and what to do; whether it was written at once, or bit by bit."""
    source.execute(TABLE)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "producer", name], env=command.environment(), stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert done.stderr == "error: the output: No space left on device\n  remedy: make room, then run again\n"


def test_tail_follows_until_interrupted(source: Source, command: Command) -> None:
    """Contract 2: new events appear; Ctrl-C ends it orderly; --from-end leaves the old out."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    assert command.run("run", "--once").returncode == 0
    for how in (signal.SIGINT, signal.SIGTERM):
        tail = command.start("tail")
        tail.wait_for('"id": 1')
        code = tail.stop(how, 10)
        assert "Traceback" not in tail.stderr
        assert code in (0, 130) if how == signal.SIGINT else code in (0, 143, -signal.SIGTERM)


def test_tail_into_a_closed_pipe(source: Source, command: Command) -> None:
    """As `tail | head -1`: no traceback, no exit 1."""
    source.execute(TABLE, "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 2000) i")
    assert command.run("run", "--once").returncode == 0
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "producer", "tail"], env=command.environment(), stdout=write, stderr=subprocess.PIPE
    ) as tail:
        os.close(write)
        assert os.read(read, 10)
        os.close(read)
        _, said = tail.communicate(timeout=30)
    assert b"Traceback" not in said, said
    assert b"Exception" not in said, said
    assert tail.returncode == 0


@pytest.mark.parametrize("arguments", [("nowhere",), ("public.nowhere",), ("--topic", "nowhere")])
def test_tail_of_a_topic_that_is_not_there(source: Source, command: Command, arguments: tuple[str, ...]) -> None:
    """An answer, not silence and not a bug: a later run may make it."""
    source.execute(TABLE)
    done = command.run("tail", *arguments, "--once", seconds=40)
    assert (done.returncode, done.stdout) == (0, "")
    topic = "nowhere" if "--topic" in arguments else f"{command.prefix}.public.nowhere"
    assert f"there is no such topic topic={topic}" in done.stderr
    tail = command.start("tail", *arguments)
    tail.wait_for("there is no such topic yet")
    tail.stop(signal.SIGTERM, 10)
