"""`check` on set-ups that were broken on purpose: every fault is a line of its own, all of them in one run."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import get_args

import psycopg
import pytest

from dev.stack import Stack
from producer.findings import Name
from producer.sink.kafka import KafkaSink
from producer.source.checks import capacity, plugin
from producer.source.checks.link import between, place
from producer.source.plugins import INSTEAD
from producer.source.wire import Server, connect, connect_replication
from tests import harness
from tests.findings import Settings, checked, lines, tried
from tests.harness import Command, Source, source_of, wait_for
from tests.proxy import Link, doctored
from tests.roles import role


def test_a_good_set_up(source: Source, command: Command) -> None:
    """Issue E.1: within seconds, nothing failed, nothing left behind, every line is one of the page's."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, tags text[])",
        "CREATE TABLE e (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE e_1 PARTITION OF e FOR VALUES FROM (0) TO (10)",
        "CREATE VIEW v AS SELECT * FROM t",
    )
    since = time.monotonic()
    checked(command, 0)
    assert time.monotonic() - since < 30, "on a machine that is busy with other tests"
    found = tried(command, 0)
    assert not lines(found, "failed")
    # Others may have one open on this server.
    assert lines(found, "warning") <= {"open transactions"}
    known = sorted(get_args(Name), key=len, reverse=True)
    assert all(any(name == one or name.startswith(f"{one} ") for one in known) for name in found)
    for name in (
        "connection", "server version", "session settings", "hosting platform", "primary", "encoding", "clocks", "role",
        "sessions", "wal_level", "slot", "retained WAL", "idle slots", "silent streams", "replication slots",
        "wal senders", "prepared transactions", "tables", "partitions", "plugin allowed", "replication right", "route",
        "plugin", "plugin loses", "other plugin", "read rights", "identity of public.t", "identity of public.e",
        "arrays", "kafka", "topics", "position", "schema registry", "registry settings", "schemas",
        *(["plugin version"] if harness.PLUGIN == "wal2json" else []),
    ):  # fmt: skip
        assert name in found, name
    assert "public.e (1)" in found["partitions"]["detail"]
    assert source.confirmed_lsn() is None
    # Others probe their databases on this server; ours is gone once the server has ended its session.
    probes = "SELECT FROM pg_replication_slots WHERE slot_name LIKE 'producer_probe%' AND database = current_database()"
    wait_for(lambda: not source.rows(probes), what="nothing is left behind")
    sink = KafkaSink(command.bootstrap_servers, client_id="test")
    try:
        facts, _ = sink.examine([f"{command.prefix}.public.t"], [])
    finally:
        sink.close(1)
    assert facts == {f"{command.prefix}.public.t": None}, "to ask whether a topic could be made does not make it"


def test_everything_about_the_tables_at_once(source: Source, command: Command) -> None:
    """Rights down to columns, identities of partitions, what is not captured, a filter that is misspelt, sessions."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a int, b int)",
        "CREATE TABLE nobody_s (id int PRIMARY KEY)", "ALTER TABLE nobody_s ENABLE ROW LEVEL SECURITY",
        "CREATE TABLE e (id int) PARTITION BY RANGE (id)",
        'CREATE TABLE "e One" PARTITION OF e FOR VALUES FROM (0) TO (10)',
        "CREATE TABLE e_2 PARTITION OF e FOR VALUES FROM (10) TO (20)",
        "ALTER TABLE e_2 REPLICA IDENTITY FULL",
        "CREATE UNLOGGED TABLE e_3 PARTITION OF e FOR VALUES FROM (20) TO (30)",
        "ALTER TABLE e_3 REPLICA IDENTITY FULL",
        'CREATE UNLOGGED TABLE "Quick" (id int PRIMARY KEY)',
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM t",
    )  # fmt: skip
    with role(source, "REPLICATION CONNECTION LIMIT 2 VALID UNTIL 'tomorrow'") as (user, settings):
        source.execute(f"GRANT SELECT (id, a) ON t TO {user}", f"GRANT SELECT ON e TO {user}")
        settings |= {
            "table.include.list": r"public\.(t|nobody_s|e|Quick|v|m),public\.custmers",
            "database.initial.statements": "SET timezone = 'Europe/Berlin'",
            "topic.creation.default.cleanup.policy": "compact",
        }
        found = checked(command, 3, settings)
    assert lines(found, "warning") >= {
        "role", "filters", "table public.Quick", "not captured", "unlogged partitions",
    }  # fmt: skip
    compacted = f"topic {command.prefix}.public.e"
    assert lines(found, "failed") == {
        "session settings", "sessions", "read rights", "identity of public.e", compacted,
        *(["publication"] if harness.PLUGIN == "pgoutput" else []),
    }  # fmt: skip
    assert "its table has no key" in found[compacted]["detail"]
    assert "row-level security" in found["read rights"]["detail"], "the last of its lines; it may not be read either"
    assert "timezone is 'Europe/Berlin', not 'UTC'" in found["session settings"]["detail"]
    assert "custmers" in found["filters"]["detail"]
    assert 'ALTER TABLE "public"."Quick" SET LOGGED;' in found["table public.Quick"]["remedy"]
    identity = found["identity of public.e"]
    assert 'ALTER TABLE "public"."e One" REPLICA IDENTITY FULL;' in identity["remedy"]
    assert "e_2" not in identity["remedy"]
    assert "1 of its" in identity["detail"]
    assert f'ALTER ROLE "{user}" CONNECTION LIMIT' in found["sessions"]["remedy"]


def test_what_others_keep_open(source: Source, command: Command) -> None:
    """A slot that another reads, and one that must be made beside a transaction that is open."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with source.connect() as session:
        session.execute("BEGIN")
        session.execute("INSERT INTO t VALUES (1)")
        found = checked(command, 0)
    assert found["plugin"]["status"] == "ok"
    assert "would wait for open transactions" in found["plugin"]["detail"]
    source.make_slot()
    reader = command.start("run", settings={"name": "another"})
    reader.wait_for("streaming")
    taken = checked(command, 3)
    assert lines(taken, "failed") == {"slot"}
    assert "pg-producer another" in taken["slot"]["detail"]
    assert reader.stop() == 0


def test_a_pooler_s_greeting(source: Source, command: Command, stack: Stack) -> None:
    """The process that a pooler names in its greeting is not the server's: here the proxy changes it."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with doctored(stack.postgres_port, b"K\0\0\0\x0c\0", b"K\0\0\0\x0c\1") as port:
        found = checked(command, 0, {"database.port": port})
    assert found["route"]["status"] == "warning"
    assert "a pooler stands in between" in found["route"]["detail"]


def test_full_table_needs_no_log(source: Source, command: Command) -> None:
    """Issue E.4: a read-only role suffices where every table is copied; initial_only is alike in that."""
    source.execute("CREATE TABLE t (id int)", "INSERT INTO t VALUES (1)")
    with role(source, "NOREPLICATION") as (user, settings):
        source.execute(f"GRANT SELECT ON t TO {user}")
        copied = {**settings, "snapshot.mode": "initial_only"}
        found = checked(command, 0, copied)
        assert command.run("run", settings=copied).returncode == 0
    absent = {"wal_level", "slot", "plugin", "replication right", "wal senders", "identity of public.t"}
    assert absent.isdisjoint(found)
    assert found["route"]["status"] == "ok"


def sender_free(source: Source) -> None:
    """Wait until the server has ended the last command's walsender: there is one place."""
    senders = "SELECT FROM pg_stat_activity WHERE backend_type = 'walsender'"
    wait_for(lambda: not source.rows(senders), what="the walsender's end")


@pytest.fixture(scope="module")
def cramped(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A PostgreSQL of our own with hardly any room; Kafka and registry are the shared ones."""
    made = Stack(tmp_path_factory.mktemp("cramped") / "stack", stack.cache)
    made.start("postgres")
    with psycopg.connect(made.postgres_dsn(), autocommit=True) as admin:
        for setting in (
            "max_replication_slots = 1", "max_wal_senders = 1", "max_prepared_transactions = 2",
            "wal_sender_timeout = 0", "max_slot_wal_keep_size = '64MB'",
        ):  # fmt: skip
            admin.execute(f"ALTER SYSTEM SET {setting}".encode())
    made.restart("postgres")
    yield made
    made.wipe()


def test_a_server_without_room(stack: Stack, cramped: Stack, tmp_path: Path) -> None:
    """No slot is free: the parameter to raise; its other limits are told."""
    with source_of(cramped, f"t{secrets.token_hex(5)}") as source:
        source.execute(
            "CREATE TABLE t (id int PRIMARY KEY)", "SELECT pg_create_physical_replication_slot('of_another')"
        )
        found = checked(Command(stack, source, tmp_path), 3, {"database.port": cramped.postgres_port})
        source.execute("SELECT pg_drop_replication_slot('of_another')")
    assert lines(found, "failed") == {"replication slots"}
    assert "ALTER SYSTEM SET max_replication_slots = " in found["replication slots"]["remedy"]
    assert found["plugin"]["status"] == "warning", "a slot is needed to try it"
    assert found["silent streams"]["status"] == "warning"
    assert "max_slot_wal_keep_size 67 MB" in found["retained WAL"]["detail"]


def test_beside_a_producer_that_took_the_last_walsender(stack: Stack, cramped: Stack, tmp_path: Path) -> None:
    """Its session shows that the right and the plugin are there: `check` stays ok."""
    with source_of(cramped, f"t{secrets.token_hex(5)}") as source:
        source.execute("CREATE TABLE t (id int PRIMARY KEY)")
        command = Command(stack, source, tmp_path)
        there: Settings = {"database.port": cramped.postgres_port}
        reader = command.start("run", settings=there)
        reader.wait_for("streaming")
        found = checked(command, 0, there)
        assert reader.stop() == 0
    assert not lines(found, "failed")
    assert found["plugin"]["status"] == "ok"


@pytest.mark.wal2json
def test_a_plugin_that_is_refused(stack: Stack, cramped: Stack, tmp_path: Path) -> None:
    """From most roles it is hidden what is allowed: trying tells, with the statement, and what else would do."""
    with source_of(cramped, f"t{secrets.token_hex(5)}") as source, role(source, "REPLICATION") as (user, settings):
        source.execute(
            "CREATE TABLE t (id int PRIMARY KEY)", f"GRANT SELECT ON t TO {user}",
            "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding", "SELECT pg_reload_conf()",
        )  # fmt: skip
        wait_for(lambda: "wal2json" not in source.rows("SHOW output_plugin_libraries")[0][0])
        settings["database.port"] = cramped.postgres_port
        command = Command(stack, source, tmp_path)
        found = checked(command, 3, settings)
        statement = "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json;"
        source.execute(statement, "SELECT pg_reload_conf()")
        wait_for(lambda: "wal2json" in source.rows("SHOW output_plugin_libraries")[0][0])
        sender_free(source)
        allowed = checked(command, 0, settings)
    assert lines(found, "failed") == {"plugin"}
    assert "hidden from us" in found["plugin allowed"]["detail"]
    assert statement in found["plugin"]["remedy"]
    assert INSTEAD in found["plugin"]["remedy"]
    assert allowed["plugin"]["status"] == "ok"


def test_the_other_plugin(stack: Stack, cramped: Stack, tmp_path: Path) -> None:
    """It is tried too, in the one place for a slot: installed, not allowed (though that is hidden), not there."""
    with source_of(cramped, f"t{secrets.token_hex(5)}") as source, role(source, "REPLICATION") as (user, settings):
        source.execute("CREATE TABLE t (id int PRIMARY KEY)", f"GRANT SELECT ON t TO {user}")
        settings |= {"database.port": cramped.postgres_port, "plugin.name": "pgoutput"}
        told = checked(Command(stack, source, tmp_path), 3, settings)["other plugin"]["detail"]
        assert "wal2json is installed and allowed too, and loses: " in told
        source.execute('ALTER SYSTEM SET output_plugin_libraries = pgoutput, "none"', "SELECT pg_reload_conf()")
        wait_for(lambda: "none" in source.rows("SHOW output_plugin_libraries")[0][0])
        sender_free(source)
        told = checked(Command(stack, source, tmp_path), 3, settings)["other plugin"]["detail"]
        sender_free(source)
        with closing(connect_replication(source.server())) as walsender:
            assert plugin.standing(walsender, "none") == "absent"
            assert plugin.standing(walsender, "pgoutput") == "usable"
        source.execute(
            "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json", "SELECT pg_reload_conf()"
        )
        wait_for(lambda: "wal2json" in source.rows("SHOW output_plugin_libraries")[0][0])
    assert told == "wal2json is not allowed here"


def test_transactions_that_were_left_open(stack: Stack, cramped: Stack) -> None:
    """A prepared one that nobody owns keeps a slot from being made; the statement that ends it does."""
    with source_of(cramped, f"t{secrets.token_hex(5)}") as source, source.connect() as session:
        session.execute("CREATE TABLE t (id int PRIMARY KEY)")
        for statement in ("BEGIN", "INSERT INTO t VALUES (1)", "PREPARE TRANSACTION 'it''s left'"):
            session.execute(statement.encode())
        young = list(capacity.transactions(session, has_slot=False))
        assert [one.status for one in young] == ["ok", "ok"]
        prepared, _ = capacity.transactions(session, has_slot=False, seconds=0)
        assert prepared.status == "failed"
        assert source.name in prepared.detail
        beside, _ = capacity.transactions(session, has_slot=True, seconds=0)
        assert beside.status == "warning"
        (statement,) = re.findall(r"ROLLBACK PREPARED '.*';", prepared.remedy)
        session.execute(statement.encode())
        assert [one.status for one in capacity.transactions(session, has_slot=False, seconds=0)] == ["ok", "ok"]
        with source.connect() as other:
            other.execute("BEGIN")
            other.execute("INSERT INTO t VALUES (2)")
            _, still_open = capacity.transactions(session, has_slot=False, seconds=0)
            assert still_open.status == "warning"
            assert f"pg_terminate_backend({other.info.backend_pid})" in still_open.remedy


def test_a_load_balancer(stack: Stack, cramped: Stack) -> None:
    """Two sessions by the same address at two servers."""
    link = Link(stack.postgres_port)
    try:
        at = Server(
            host="127.0.0.1", port=link.port, user=stack.postgres_user, password=stack.postgres_password,
            dbname="postgres", application_name="test",
        )  # fmt: skip
        with connect(at) as first:
            with connect(at) as second:
                assert between([place(first), place(second)], [place(first).pid]).status == "ok"
            link.target = cramped.postgres_port
            with connect(at) as third:
                found = between([place(first), place(third)], [place(first).pid])
        assert found.status == "failed"
        assert "a load balancer stands in between" in found.detail
    finally:
        link.close()
