"""Bad input: a one-line reason, a remedy, the right exit code, and nothing half-made left behind."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dev.stack import Stack
from tests import harness
from tests.harness import Command, Source, source_of, wait_for

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def refused(command: Command, code: int, *words: str, settings: dict[str, object] | None = None) -> str:
    """`run` ends with the code; reason and remedy hold the words."""
    done = command.run("run", settings=settings, seconds=40)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "remedy:" in done.stderr
    for word in words:
        assert word in done.stderr
    return done.stderr


def test_settings_that_are_wrong(command: Command) -> None:
    """Exit 2, all of them, the nearest key named."""
    text = refused(
        command, 2, "database.hostname", "2 settings", settings={"database.hostnam": "x", "database.port": "y"}
    )
    assert "did you mean" in text
    refused(command, 2, "not supported yet", settings={"value.subject.name.strategy": "RecordNameStrategy"})


def test_a_wrong_password(command: Command) -> None:
    """Exit 3; the password is in no output."""
    text = refused(
        command, 3, "password authentication failed", "database.password", settings={"database.password": "hunter2"}
    )
    assert "hunter2" not in text


def test_no_such_database_or_role(command: Command) -> None:
    """Exit 3, the setting named."""
    refused(command, 3, "does not exist", "database.dbname", settings={"database.dbname": "nowhere"})


def test_no_server(command: Command) -> None:
    """Exit 5 when the retry limit is reached."""
    refused(command, 5, "database.hostname", settings={"database.port": 1, "errors.retry.timeout": 300})


def test_no_right_to_replicate_or_to_read(source: Source, command: Command) -> None:
    """Exit 3, with the statement to paste; no slot is left."""
    role = f"reader_{source.name}"
    source.execute(TABLE, f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    as_role: dict[str, object] = {"database.user": role, "database.password": "p"}
    try:
        refused(command, 3, f'GRANT SELECT ON "public"."t" TO "{role}"', settings=as_role)
        source.execute(f"GRANT SELECT ON t TO {role}")
        source.publish()
        refused(command, 3, f'ALTER ROLE "{role}" REPLICATION', settings=as_role)
        assert source.confirmed_lsn() is None
        source.execute(f"ALTER ROLE {role} REPLICATION")
        assert command.run("run", "--once", settings=as_role).returncode == 0
    finally:
        source.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_no_table_is_selected(source: Source, command: Command) -> None:
    """Exit 3, the filters named."""
    source.execute(TABLE)
    refused(command, 3, "no table is selected", "table.include.list", settings={"table.include.list": "nowhere.t"})


def test_two_tables_would_share_a_topic(source: Source, command: Command) -> None:
    """Exit 2, both named, before anything is made."""
    source.execute('CREATE TABLE "a b" (id int PRIMARY KEY)', "CREATE TABLE a_b (id int PRIMARY KEY)")
    refused(command, 2, "public.a b", "public.a_b")
    assert source.confirmed_lsn() is None


def test_a_table_without_identity(source: Source, command: Command) -> None:
    """`check` fails and says how to mend it; `run` says it aloud, counts, and goes on."""
    source.execute("CREATE TABLE t (id int)", "INSERT INTO t VALUES (1)")
    checked = command.run("check")
    assert checked.returncode == 3
    assert 'ALTER TABLE "public"."t" REPLICA IDENTITY FULL;' in checked.stdout
    assert command.run("run", "--once").returncode == 0
    source.execute("UPDATE t SET id = 2", "INSERT INTO t VALUES (3)")
    done = command.run("run", "--once")
    assert done.returncode == 0
    assert "no replica identity" in done.stderr
    assert harness.PLUGIN == "pgoutput" or "lost=1" in done.stderr
    assert [record.value["op"] for record in command.records()] == ["r", "c"]  # type: ignore[index]


def test_a_slot_that_another_reads(source: Source, command: Command) -> None:
    """It waits, naming slot and pid; then exit 5. Free again, it is taken."""
    source.execute(TABLE)
    assert command.run("run", "--once").returncode == 0
    reader = command.start("run")
    reader.wait_for("streaming")
    done = command.run("run", settings={"errors.retry.timeout": 1500})
    assert done.returncode == 5, done.stderr
    assert f'"{source.slot}" is active for PID' in done.stderr
    assert command.run("check").returncode == 0, "beside one's own running producer it stays ok"
    assert command.run("slot", "drop", "--yes").returncode == 5
    standby = command.start("run")
    standby.wait_for("a temporary fault")
    assert reader.stop() == 0
    standby.wait_for("streaming")
    assert standby.stop() == 0


def test_a_slot_of_another_plugin(source: Source, command: Command) -> None:
    """Exit 3, both plugins named."""
    source.execute(TABLE, f"SELECT pg_create_logical_replication_slot('{source.slot}', 'test_decoding')")
    refused(command, 3, "test_decoding", "slot.name")


@pytest.mark.parametrize(
    ("behind_our_back", "words"),
    [
        ("SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())", "ahead of our position"),
        ("SELECT pg_drop_replication_slot('{slot}')", "is gone"),
        (
            "SELECT pg_drop_replication_slot('{slot}');SELECT pg_create_logical_replication_slot('{slot}', '{plugin}')",
            "ahead of our position",
        ),
    ],
)
def test_a_slot_moved_dropped_or_made_anew(source: Source, command: Command, behind_our_back: str, words: str) -> None:
    """Exit 3 and how to recover; `slot drop`, then everything begins again."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    assert command.run("run", "--once").returncode == 0
    source.execute("INSERT INTO t VALUES (2)")
    for statement in behind_our_back.format(slot=source.slot, plugin=harness.PLUGIN).split(";"):
        source.execute(statement)
    refused(command, 3, words, "slot drop")
    assert command.run("slot", "drop", "--yes").returncode == 0
    assert command.run("run", "--once").returncode == 0
    assert {record.value["after"]["id"] for record in command.records()} == {1, 2}  # type: ignore[index]


def test_kafka_or_registry_away_at_the_start(source: Source, command: Command) -> None:
    """Exit 5 in bounded time, and no slot is left."""
    source.execute(TABLE)
    refused(command, 5, "bootstrap.servers", settings={"bootstrap.servers": "127.0.0.1:1", "errors.retry.timeout": 100})
    refused(
        command,
        5,
        "schema.registry.url",
        settings={"schema.registry.url": "http://127.0.0.1:1", "errors.retry.timeout": 100},
    )
    assert source.confirmed_lsn() is None


def test_registry_away_while_the_stream_goes_on(source: Source, command: Command) -> None:
    """Exit 5 in bounded time: that PostgreSQL talks is no answer of the registry's."""
    source.execute(TABLE)
    assert command.run("run", "--once").returncode == 0
    source.execute("CREATE TABLE later (id int PRIMARY KEY)")
    settings: dict[str, object] = {"schema.registry.url": "http://127.0.0.1:1", "errors.retry.timeout": 1500}
    refused(command, 5, "schema.registry.url", settings=settings)


def test_a_topic_that_is_missing_and_may_not_be_made(source: Source, command: Command) -> None:
    """Exit 3, the topic named."""
    source.execute(TABLE)
    refused(command, 3, f"{command.prefix}.public.t", settings={"topic.creation.enable": "false"})
    assert source.confirmed_lsn() is None


def test_a_schema_that_the_registry_refuses(source: Source, command: Command) -> None:
    """Exit 3 before anything is produced, the slot untouched; mended, it goes on from there."""
    source.execute(TABLE, "INSERT INTO t VALUES (1, 'one')")
    assert command.run("run", "--once").returncode == 0
    source.execute("ALTER TABLE t ALTER COLUMN v TYPE int USING 7", "INSERT INTO t VALUES (2, 8)")
    text = refused(command, 3, f"{command.prefix}.public.t-value", "409", "NONE")
    assert "public.t" in text
    tolerant: dict[str, object] = {"errors.tolerance": "all"}
    refused(command, 3, f"{command.prefix}.public.t-value", "409", settings=tolerant)
    assert len(command.records()) == 1
    source.execute("ALTER TABLE t ALTER COLUMN v TYPE text USING v::text", "DELETE FROM t WHERE id = 2")


@pytest.fixture(scope="module")
def strange(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A PostgreSQL of our own, to be set up wrongly; Kafka and registry are the shared ones."""
    folder = tmp_path_factory.mktemp("strange")
    server = Stack(folder / "stack", stack.cache)
    server.start("postgres")
    yield server
    server.wipe()


def _alter(stack: Stack, *statements: str) -> None:
    with psycopg.connect(stack.postgres_dsn(), autocommit=True) as admin:
        for statement in statements:
            admin.execute(statement.encode())


@pytest.mark.wal2json
def test_a_server_that_is_not_set_up(stack: Stack, strange: Stack, tmp_path: Path) -> None:
    """wal_level and a plugin that is not allowed: exit 3 with the exact statement."""
    with source_of(strange, f"t{secrets.token_hex(5)}") as source:
        command = Command(stack, source, tmp_path)
        there: dict[str, object] = {"database.port": strange.postgres_port}
        source.execute(TABLE)
        _alter(strange, "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding", "SELECT pg_reload_conf()")
        wait_for(lambda: "wal2json" not in source.rows("SHOW output_plugin_libraries")[0][0])
        statement = "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json;"
        instead = "or set plugin.name=pgoutput"
        refused(command, 3, "may not be used as an output plugin", "42501", statement, instead, settings=there)
        checked = command.run("check", settings=there)
        assert checked.returncode == 3
        assert statement in checked.stdout
        _alter(strange, statement, "ALTER SYSTEM SET wal_level = replica")
        strange.restart("postgres")
        refused(command, 3, "wal_level is replica", "ALTER SYSTEM SET wal_level = logical;", settings=there)
        assert source.confirmed_lsn() is None
        _alter(strange, "ALTER SYSTEM SET wal_level = logical")
        strange.restart("postgres")
        assert command.run("run", "--once", settings=there).returncode == 0
