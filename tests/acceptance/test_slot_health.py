"""What becomes of a slot behind our back: recognised, told, and with snapshot.mode=when_needed mended."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dev.stack import Stack
from tests.harness import Command, Source, folded, source_of, wait_for

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
WHEN_NEEDED: dict[str, object] = {"snapshot.mode": "when_needed"}


def refused(command: Command, *words: str, settings: dict[str, object] | None = None) -> str:
    """`run` ends with exit 3; the reason holds the words, the remedy says how to recover."""
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "remedy:" in done.stderr
    for word in words:
        assert word in done.stderr
    return done.stderr


def ids(command: Command) -> set[int]:
    """The keys that a consumer has at the end."""
    return {row["id"] for row in folded(command.records("public.t")).get(f"{command.prefix}.public.t", {}).values()}


def test_a_physical_slot_of_that_name(source: Source, command: Command) -> None:
    """Contract 7: exit 3, in when_needed too: it is not ours to drop."""
    source.execute(TABLE, f"SELECT pg_create_physical_replication_slot('{source.slot}')")
    try:
        refused(command, "physical", "slot.name")
        refused(command, "physical", settings=WHEN_NEEDED)
    finally:
        source.execute(f"SELECT pg_drop_replication_slot('{source.slot}')")


def drop_while_it_runs(source: Source) -> None:
    """End the slot's reader and drop the slot before it is back, or end it again: one time we are the faster one."""
    with source.connect() as session:
        wait_for(lambda: _dropped(session, source.slot), what="the slot is dropped")


def _dropped(session: psycopg.Connection[tuple[object, ...]], slot: str) -> bool:
    session.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", (slot,))
    try:
        session.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
    except psycopg.errors.ObjectInUse:
        return False
    return True


def test_dropped_while_it_runs(source: Source, command: Command) -> None:
    """Contract 7: found at the next connection, exit 3."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    running = command.start("run")
    running.wait_for("streaming")
    drop_while_it_runs(source)
    assert running.process.wait(20) == 3
    assert "is gone" in running.stderr
    assert "when_needed" in running.stderr


def test_dropped_while_it_runs_and_needed(source: Source, command: Command) -> None:
    """Contract 7: when_needed recovers without a restart; what went meanwhile is deleted."""
    source.execute(TABLE, "INSERT INTO t SELECT generate_series(1, 5)")
    running = command.start("run", settings=WHEN_NEEDED)
    running.wait_for("streaming")
    wait_for(lambda: ids(command) == {1, 2, 3, 4, 5}, what="the first rows")
    drop_while_it_runs(source)
    source.execute("DELETE FROM t WHERE id = 2", "INSERT INTO t VALUES (6)")
    wait_for(lambda: ids(command) == {1, 3, 4, 5, 6}, 30, what="the rows of now")
    assert running.stop() == 0, running.stderr


def test_moved_while_the_snapshot_is_read(source: Source, command: Command) -> None:
    """Design 2: START would go on from where the slot stands, and say nothing: found once the slot is ours."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    held = "SELECT id, v FROM public.t WHERE (SELECT pg_advisory_xact_lock_shared(1)) IS NOT NULL"
    override = "snapshot.select.statement.overrides"
    with source.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(1)")
        running = command.start("run", settings={override: "public.t", f"{override}.public.t": held})
        running.wait_for("snapshot of a table begins")
        source.execute(
            "INSERT INTO t VALUES (0)", f"SELECT pg_replication_slot_advance('{source.slot}', pg_current_wal_lsn())"
        )
    assert running.process.wait(60) == 3, running.stderr
    assert "ahead of our position" in running.stderr


@pytest.fixture(scope="module")
def server(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A PostgreSQL of our own, to be taken back in time; Kafka and registry are the shared ones."""
    made = Stack(tmp_path_factory.mktemp("server") / "stack", stack.cache)
    made.start("postgres")
    yield made
    made.wipe()


@pytest.fixture
def own(stack: Stack, server: Stack, tmp_path: Path) -> Iterator[Command]:
    """The command on that server; two rows are delivered."""
    with source_of(server, f"t{secrets.token_hex(5)}") as source:
        command = Command(stack, source, tmp_path)
        source.execute(TABLE, "INSERT INTO t VALUES (1), (2)")
        assert command.run("run", "--once", settings=at(server)).returncode == 0
        yield command
        command.end()


def at(server: Stack, **more: object) -> dict[str, object]:
    return {"database.port": server.postgres_port, **more}


def data_of(source: Source) -> Path:
    return Path(source.rows("SHOW data_directory")[0][0])


def timeline(source: Source) -> int:
    return int(source.rows("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")[0][0], 16)


def promote(server: Stack, source: Source) -> None:
    """Have the server end a recovery: it begins another timeline."""
    data = data_of(source)
    server.stop("postgres")
    signal = data / "recovery.signal"
    signal.touch()
    shutil.chown(signal, data.stat().st_uid, data.stat().st_gid)
    with (data / "postgresql.auto.conf").open("a") as conf:
        conf.write("restore_command = 'false'\n")
    server.start("postgres")
    wait_for(lambda: not source.rows("SELECT pg_is_in_recovery()")[0][0], what="the promotion")


def test_lost_for_its_wal(server: Stack, own: Command) -> None:
    """Contract 7: max_slot_wal_keep_size used up: exit 3; when_needed makes a new slot and compares."""
    source = own.source
    source.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()")
    source.execute("DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (3)")
    for _ in range(3):
        source.execute("SELECT pg_switch_wal()", "CREATE TABLE gone ()", "DROP TABLE gone", "CHECKPOINT")
    wait_for(
        lambda: (
            source.rows(f"SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{source.slot}'") == [("lost",)]
        ),
        what="the slot is lost",
    )
    refused(own, "is lost", "max_slot_wal_keep_size", "when_needed", settings=at(server))
    checked = own.run("check", settings=at(server))
    assert checked.returncode == 3
    assert "is lost" in checked.stdout
    source.execute("ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")
    done = own.run("run", "--once", settings=at(server, **WHEN_NEEDED))
    assert done.returncode == 0, done.stderr
    assert ids(own) == {2, 3}


def test_an_older_backup(server: Stack, own: Command) -> None:
    """Issue D.3: the same server, its log ends before our position: exit 3; when_needed mends the topics."""
    source = own.source
    data = data_of(source)
    server.stop("postgres")
    backup = data.with_name("backup")
    subprocess.run(["cp", "-a", data, backup], check=True)
    server.start("postgres")
    source.execute("INSERT INTO t VALUES (3)", "DELETE FROM t WHERE id = 1")
    assert own.run("run", "--once", settings=at(server)).returncode == 0
    assert ids(own) == {2, 3}
    server.stop("postgres")
    shutil.rmtree(data)
    backup.rename(data)
    server.start("postgres")
    refused(own, "has gone back", "its log ends at", "when_needed", settings=at(server))
    # Recovered to now, it is another timeline that left ours before our position.
    promote(server, source)
    refused(own, "has gone back", f"timeline {timeline(source)} left that at", settings=at(server))
    done = own.run("run", "--once", settings=at(server, **WHEN_NEEDED))
    assert done.returncode == 0, done.stderr
    assert ids(own) == {1, 2}


def test_promoted_with_and_without_the_slot(server: Stack, own: Command) -> None:
    """Issue D.3: another timeline that holds all of ours: with the slot it goes on, without it exit 3."""
    source = own.source
    source.execute("INSERT INTO t VALUES (3)")
    promote(server, source)
    source.execute("INSERT INTO t VALUES (4)")
    done = own.run("run", "--once", settings=at(server))
    assert done.returncode == 0, done.stderr
    assert ids(own) == {1, 2, 3, 4}
    assert [record.value["op"] for record in own.records("public.t")] == ["r", "r", "c", "c"]  # type: ignore[index]
    before = timeline(source)
    promote(server, source)
    source.execute(f"SELECT pg_drop_replication_slot('{source.slot}')")
    refused(own, "is gone", f"timeline {before}, now {before + 1}", "slot.failover", settings=at(server))


def test_another_server(stack: Stack, server: Stack, own: Command, command: Command) -> None:
    """Contract 7: the position is of another system: exit 3, both named."""
    command.source.execute(TABLE)
    elsewhere: dict[str, object] = {"name": own.prefix, "topic.prefix": own.prefix}
    refused(command, "belongs to another server", "system id", settings=elsewhere)


def test_the_budget_is_forecast(server: Stack, own: Command) -> None:
    """Issue D.6: `status` and the log tell when max_slot_wal_keep_size will be used up."""
    source = own.source
    write = "SELECT pg_logical_emit_message(false, 'none', repeat('x', 100000))"
    source.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '200MB'", "SELECT pg_reload_conf()")
    running = own.start("run", settings=at(server))
    running.wait_for("streaming")

    def told() -> bool:
        source.execute(write)
        return "the WAL budget of the slot is nearly used up" in running.stderr

    wait_for(told, what="the warning")
    budget: dict[str, float] = {}

    def near() -> bool:
        looking = own.start("status", "--json", settings=at(server))
        while looking.process.poll() is None:
            source.execute(write)
        assert looking.process.returncode == 0, looking.stderr
        budget.update(json.loads(looking.stderr)["wal_budget"])
        # It measures for a second, in which we may have written nothing.
        return budget["bytes_per_second"] > 100_000

    wait_for(near, 60, "growth in the second that is measured")
    assert budget["safe_bytes"] > 0
    assert 0 <= budget["seconds_left"] < 3600
    assert "wal_budget:" in own.run("status", settings=at(server)).stdout
    assert running.stop() == 0
    source.execute("ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")
