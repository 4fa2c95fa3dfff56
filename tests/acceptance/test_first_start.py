"""A first start that cannot succeed: the right exit code, the remedy, and no slot that holds WAL back."""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from dev.stack import Stack
from producer.errors import SlotInUse
from producer.schema.registry import Registry
from producer.source import slot
from producer.source.wire import connect_replication
from tests import harness
from tests.harness import Command, Source, source_of, wait_for
from tests.roles import role

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def refused(command: Command, code: int, *words: str, settings: dict[str, object] | None = None) -> str:
    """`run` ends with the code; reason and remedy hold the words; no slot is left."""
    done = command.run("run", "--once", settings=settings, seconds=40)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "remedy:" in done.stderr
    for word in words:
        assert word in done.stderr
    assert command.source.confirmed_lsn() is None, "no slot is left"
    return done.stderr


def test_a_schema_that_the_registry_refuses_at_once(stack: Stack, source: Source, command: Command) -> None:
    """Contract 5: exit 3 before anything is produced; `check` says it before."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    subject = f"{command.prefix}.public.t-value"
    with closing(Registry(stack.registry_url)) as registry:
        registry.register(subject, json.dumps({"type": "record", "name": "Other", "fields": []}))
    refused(command, 3, subject, "NONE")
    assert command.records() == []
    checked = command.run("check")
    assert checked.returncode == 3
    assert subject in checked.stdout


@pytest.mark.wal2json
def test_a_plugin_that_is_not_installed(source: Source, command: Command) -> None:
    """Contract 2: exit 3, and how to install it; `check` the same."""
    source.execute(TABLE, f"ALTER DATABASE {source.name} SET dynamic_library_path = '/nowhere'")
    refused(command, 3, 'could not access file "wal2json"', "apt-get install postgresql-")
    checked = command.run("check", "--json")
    assert checked.returncode == 3
    failed = [one for one in json.loads(checked.stdout)["findings"] if one["status"] == "failed"]
    assert any("wal2json" in one["detail"] and "apt-get install" in one["remedy"] for one in failed)


def test_a_slot_of_another_database(source: Source, command: Command, stack: Stack) -> None:
    """Contract 2: exit 3, both databases named; the slot is left alone."""
    source.execute(TABLE)
    with source_of(stack, f"{source.name}x") as other:
        other.execute(f"SELECT pg_create_logical_replication_slot('{source.slot}', '{harness.PLUGIN}')")
        done = command.run("run", "--once")
        assert done.returncode == 3, done.stderr
        for word in (source.name, other.name, "slot.name"):
            assert word in done.stderr
        assert command.run("check").returncode == 3
        assert other.confirmed_lsn() is not None or source.confirmed_lsn() is not None


@pytest.mark.parametrize("sessions", [1, 2])
def test_a_slot_made_by_a_start_that_failed_is_dropped(source: Source, command: Command, sessions: int) -> None:
    """Walsenders are not counted, the snapshot's readers are: the first or second is refused. Exit 5, no slot."""
    source.execute(TABLE, "CREATE TABLE u (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with role(source, f"REPLICATION CONNECTION LIMIT {sessions}") as (_, settings):
        source.execute(f"GRANT SELECT ON t, u TO {settings['database.user']}")
        source.publish()
        refused(command, 5, "too many connections", settings={**settings, "errors.retry.timeout": 500})


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_slot_that_another_is_making(source: Source, command: Command, how: signal.Signals) -> None:
    """Nothing is read from it, and no position is stored that would be its: whoever makes it may end before it is."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    source.publish()
    with source.connect() as holder:
        with holder.transaction():
            holder.execute("INSERT INTO t VALUES (2)")
            first = command.start("run")
            first.wait_for("the slot is made once older transactions have ended")
            second = command.start("run")
            second.wait_for("a temporary fault")
            assert first.stop(how) in (0, -how)
            if how == signal.SIGTERM:
                second.wait_for("the slot is made once older transactions have ended")
        second.wait_for("streaming")
    wait_for(lambda: len(command.records("public.t")) == 2, what="both rows")
    assert second.stop() == 0, second.stderr


def test_a_slot_that_another_has_just_made(source: Source) -> None:
    """Two first starts at once: one of them looks again."""
    with closing(connect_replication(source.server())) as one, closing(connect_replication(source.server())) as other:
        slot.create(one, source.server(), source.slot, harness.PLUGIN)
        with pytest.raises(SlotInUse, match="made"):
            slot.create(other, source.server(), source.slot, harness.PLUGIN)


def test_a_slot_whose_position_may_be_stored_stays(
    stack: Stack, source: Source, command: Command, tmp_path: Path
) -> None:
    """Kafka is frozen while the slot is made, and takes what it was sent once it is thawed: the next start goes on."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    broker = Stack(tmp_path / "broker" / "stack", stack.cache)
    broker.start("kafka")
    command.bootstrap_servers = broker.bootstrap_servers
    settings: dict[str, object] = {"bootstrap.servers": broker.bootstrap_servers}
    frozen = broker.pid("kafka")
    assert frozen is not None
    try:
        with source.connect() as holder, holder.transaction():
            holder.execute("INSERT INTO t VALUES (2)")
            running = command.start("run", settings=settings)
            running.wait_for("the slot is made once older transactions have ended")
            os.kill(frozen, signal.SIGSTOP)
        try:
            made = f"SELECT FROM pg_replication_slots WHERE slot_name = '{source.slot}' AND active_pid IS NULL"
            wait_for(lambda: source.rows(made), what="the slot is made")
            assert running.stop() == 5, running.stderr
        finally:
            os.kill(frozen, signal.SIGCONT)
        done = command.run("run", "--once", settings=settings)
        assert done.returncode == 0, done.stderr
        assert len(command.records("public.t")) == 2
    finally:
        broker.wipe()


@pytest.mark.parametrize(
    ("grant", "words"),
    [
        ("GRANT SELECT (id) ON t TO {user}", "GRANT SELECT ON"),
        ("GRANT SELECT ON t TO {user}; ALTER TABLE t ENABLE ROW LEVEL SECURITY", "BYPASSRLS"),
    ],
    ids=["some-columns", "row-level-security"],
)
def test_a_table_that_can_be_read_in_part_only(source: Source, command: Command, grant: str, words: str) -> None:
    """Contract 2: a missing right is exit 3 with the statement, found by `check`, before a slot is made."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    with role(source, "REPLICATION") as (_, settings):
        for statement in grant.format(user=settings["database.user"]).split(";"):
            source.execute(statement)
        checked = command.run("check", settings=settings)
        refused(command, 3, words, settings=settings)
        assert checked.returncode == 3, "check tries every precondition of run"
        assert words in checked.stdout


def test_topics_that_differ_only_by_a_dot(source: Source, command: Command) -> None:
    """Contract 4: equal once `.` is read as `_`: exit 2, both tables named."""
    source.execute(
        "CREATE SCHEMA a", "CREATE SCHEMA a_b", "CREATE TABLE a_b.c (id int PRIMARY KEY)",
        'CREATE TABLE a."b.c" (id int PRIMARY KEY)',
    )  # fmt: skip
    refused(command, 2, "a.b.c", "a_b.c")


def test_check_tells_all_that_can_be_told(source: Source, command: Command) -> None:
    """Contract 2: everything away at once is one finding each, exit 3."""
    source.execute(TABLE)
    away = {"database.port": 1, "bootstrap.servers": "127.0.0.1:1", "schema.registry.url": "http://127.0.0.1:1"}
    checked = command.run("check", "--json", settings=away)
    assert checked.returncode == 3, checked.stderr
    document = json.loads(checked.stdout)
    assert document["ok"] is False
    failed = {one["name"] for one in document["findings"] if one["status"] == "failed"}
    assert failed == {"source", "kafka", "schema registry"}
    assert all(one["remedy"] for one in document["findings"] if one["status"] == "failed")


@pytest.mark.parametrize("arguments", [("run", "--once"), ("check",), ("status",), ("tail", "--once")])
def test_secrets_are_in_no_output(source: Source, command: Command, arguments: tuple[str, ...]) -> None:
    """Contract 3: neither of the database, nor of the registry, nor of Kafka; right or wrong."""
    source.execute(TABLE)
    url = command.stack.registry_url.replace("://", "://someone:hunter2@")
    right: dict[str, object] = {"schema.registry.url": url, "log.level": "debug"}
    wrong: dict[str, object] = {
        "database.password": "hunter2",
        "schema.registry.url": "http://someone:hunter2@127.0.0.1:1",
        "producer.override.sasl.password": "hunter2",
        "producer.override.ssl.key.pem": "hunter2",
        "errors.retry.timeout": 0,
    }
    for settings in (right, wrong):
        done = command.run(*arguments, settings=settings)
        assert "hunter2" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_a_standby_is_refused(stack: Stack, tmp_path: Path) -> None:
    """Contract 7: a server in recovery is exit 3, and said once; nothing is concluded from what it does not have."""
    server = Stack(tmp_path / "standby", stack.cache)
    try:
        server.start("postgres")
        with source_of(server, "standby_test") as source:
            source.execute(TABLE)
            data = Path(source.rows("SHOW data_directory")[0][0])
            signal = data / "standby.signal"
            signal.touch()
            shutil.chown(signal, data.stat().st_uid, data.stat().st_gid)
            server.restart("postgres")
            command = Command(stack, source, tmp_path)
            there: dict[str, object] = {"database.port": server.postgres_port}
            refused(command, 3, "standby", "primary", settings=there)
            dropped = command.run("slot", "drop", "--yes", settings=there)
            assert (dropped.returncode, dropped.stdout) == (3, ""), dropped.stderr
            for arguments, code in ((("check", "--json"), 3), (("status", "--json"), 0)):
                looked = command.run(*arguments, settings=there)
                assert looked.returncode == code, looked.stderr
                failed = [one["name"] for one in json.loads(looked.stdout)["findings"] if one["status"] == "failed"]
                assert failed == ["primary"], looked.stdout
            with psycopg.connect(server.postgres_dsn(), autocommit=True) as admin:
                admin.execute("SELECT pg_promote()")
    finally:
        server.wipe()
