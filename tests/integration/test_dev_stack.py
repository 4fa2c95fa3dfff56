"""The development stack itself, in a folder of its own: it starts, survives, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from dev.fetch import once
from dev.install import install
from dev.rest import call
from dev.shell import StackError
from dev.stack import NAMES, Stack

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for this module; each test starts what it needs of it."""
    made = Stack(tmp_path_factory.mktemp("dev") / "stack", Stack.load().cache)
    yield made
    made.wipe()


@pytest.fixture
def whole(shared: Stack) -> Stack:
    shared.start()
    return shared


@pytest.fixture
def one(shared: Stack) -> Stack:
    shared.start("postgres")
    return shared


def dev(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line."""
    return subprocess.run(
        [sys.executable, "-m", "dev", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=150,
        env={**os.environ, "DEV_STACK_DIR": str(stack.folder), "DEV_CACHE_DIR": str(stack.cache)},
    )  # fmt: skip


def processes(stack: Stack) -> list[str]:
    """Every process that works in the stack's data; looked for without the stack's own code."""
    kept = json.loads((stack.folder / "stack.json").read_text())
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            folder = str((entry / "cwd").readlink())
        except OSError:
            continue
        if kept["data"] in folder or kept["data"] in words:
            found.append(f"{entry.name} {words}")
    return found


def kafka(stack: Stack) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.bootstrap_servers, "log_level": 0})


def remember(stack: Stack) -> int:
    """Leave something with each server; returns a schema's id."""
    with psycopg.connect(stack.postgres_dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    admin = kafka(stack)
    if "kept" not in admin.list_topics(timeout=10).topics:
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(10)
    schema = Schema('{"type": "record", "name": "Kept", "fields": []}', "AVRO")
    with SchemaRegistryClient({"url": stack.registry_url}) as registry:
        return int(registry.register_schema("kept-value", schema))


def recall(stack: Stack, schema: int) -> None:
    with psycopg.connect(stack.postgres_dsn()) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM kept").fetchone() == (True,)
    assert "kept" in kafka(stack).list_topics(timeout=10).topics
    with SchemaRegistryClient({"url": stack.registry_url}) as registry:
        assert registry.get_latest_version("kept-value").schema_id == schema
        assert registry.get_compatibility() == "BACKWARD"


def test_start_is_idempotent_and_status_tells(shared: Stack) -> None:
    assert dev(shared, "start").returncode == 0
    before = json.loads(dev(shared, "status", "--json").stdout)
    assert [row["server"] for row in before] == list(NAMES)
    assert all(row["running"] and Path(row["log"]).exists() for row in before)
    assert dev(shared, "start").returncode == 0
    assert json.loads(dev(shared, "status", "--json").stdout) == before
    assert [row["pid"] for row in before] == [shared.pid(name) for name in NAMES]


def test_env_is_what_the_producer_and_psql_read(one: Stack) -> None:
    script = f'eval "$({sys.executable} -m dev env)" && env'
    told = subprocess.run(
        ["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "DEV_STACK_DIR": str(one.folder)},
    ).stdout.splitlines()  # fmt: skip
    assert f"PGPORT={one.postgres_port}" in told
    assert f"PRODUCER_SCHEMA_REGISTRY_URL={one.registry_url}" in told
    assert {f"{name}={value}" for name, value in one.environment().items()} <= set(told)


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_server_comes_back_with_its_data_and_port(whole: Stack, name: str) -> None:
    schema = remember(whole)
    address = whole.environment()
    assert dev(whole, "kill", name).returncode == 0
    assert not whole.running(name)
    assert all(whole.running(other) for other in NAMES if other != name)
    whole.start(name)
    assert whole.environment() == address
    recall(whole, schema)


def test_a_restart_keeps_data_and_port(whole: Stack) -> None:
    schema = remember(whole)
    address, before = whole.environment(), [whole.pid(name) for name in NAMES]
    for name in NAMES:
        whole.restart(name)
    assert whole.environment() == address
    assert all(new != old for new, old in zip([whole.pid(name) for name in NAMES], before, strict=True))
    recall(whole, schema)


def test_stop_leaves_no_process(whole: Stack) -> None:
    assert len(processes(whole)) >= len(NAMES)
    whole.stop()
    assert processes(whole) == []
    assert not any(whole.running(name) for name in NAMES)
    assert list(whole.folder.glob("*.pid")) == []


def test_connect_comes_only_when_named(whole: Stack) -> None:
    assert not whole.running("connect")
    whole.start("connect")
    try:
        plugins: Any = call(f"{whole.connect_url}/connector-plugins")
        assert "io.debezium.connector.jdbc.JdbcSinkConnector" in [plugin["class"] for plugin in plugins]
        assert [row["server"] for row in json.loads(dev(whole, "status", "--json").stdout)] == [*NAMES, "connect"]
    finally:
        whole.stop("connect")
    assert not any("ConnectStandalone" in line for line in processes(whole))
    assert all(whole.running(name) for name in NAMES)


def test_a_stack_of_before_there_was_connect_can_be_stopped(one: Stack) -> None:
    """Its ports were chosen when fewer servers were known."""
    file = one.folder / "stack.json"
    kept = json.loads(file.read_text())
    del kept["ports"]["connect"]
    file.write_text(json.dumps(kept))
    assert dev(one, "status").returncode == 0
    assert dev(one, "kill", "connect").returncode == 1
    assert dev(one, "stop").returncode == 0
    assert processes(one) == []
    one.start("postgres")
    assert "connect" in json.loads(file.read_text())["ports"]


def test_a_lost_pid_file_does_not_hide_a_server(one: Stack) -> None:
    before = one.pid("postgres")
    (one.folder / "postgres.pid").unlink()
    assert one.pid("postgres") == before
    one.start("postgres")
    assert one.pid("postgres") == before
    one.stop("postgres")
    assert not [line for line in processes(one) if "postgres" in line]


def test_a_stale_pid_file_names_nobody(one: Stack) -> None:
    """After a crash of the machine, the pid may be anybody's."""
    one.stop("postgres")
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (one.folder / "postgres.pid").write_text(json.dumps({"pid": stranger.pid, "started": "another boot 1"}))
        assert not one.running("postgres")
        one.stop("postgres")
        one.start("postgres")
        one.kill("postgres")
        assert stranger.poll() is None
        stranger.kill()


def test_orphans_of_a_dead_postmaster_are_ended(one: Stack) -> None:
    pid = one.pid("postgres")
    assert pid is not None
    with psycopg.connect(one.postgres_dsn(), autocommit=True) as connection:
        backend = connection.info.backend_pid
        # Stopped, it cannot notice that its postmaster is gone.
        os.kill(backend, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        one.start("postgres")
        assert one.pid("postgres") != pid
        assert not any(line.startswith(f"{backend} ") for line in processes(one))


def test_a_port_that_another_took_is_given_up(one: Stack) -> None:
    one.stop("postgres")
    before = one.postgres_port
    with socket.create_server(("127.0.0.1", before)):
        one.start("postgres")
        assert one.postgres_port != before
    with psycopg.connect(one.postgres_dsn()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_postgres_decodes_with_wal2json(one: Stack) -> None:
    with psycopg.connect(one.postgres_dsn(), autocommit=True) as connection:
        connection.execute("SELECT pg_create_logical_replication_slot('probe', 'wal2json', true)")
        connection.execute("SELECT * FROM pg_logical_slot_peek_changes('probe', NULL, NULL)")


def test_postgres_asks_for_the_password_over_tcp_only(one: Stack) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(one.postgres_dsn().replace("password=postgres", "password=wrong"))
    socket_dsn = f"host={one.postgres_socket} port={one.postgres_port} user={one.postgres_user} dbname=postgres"
    with psycopg.connect(socket_dsn) as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("logical",)


def test_a_server_that_does_not_start_tells_its_log(one: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    one.stop("kafka")
    monkeypatch.setenv("DEV_KAFKA_HEAP", "1m")
    with pytest.raises(StackError, match=r"kafka ended at its start; the end of .*kafka\.log:\n(.|\n)*heap"):
        one.start("kafka")
    assert not one.running("kafka")
    monkeypatch.setenv("DEV_KAFKA_HEAP", "much")
    with pytest.raises(StackError, match="DEV_KAFKA_HEAP=much"):
        one.start("kafka")


def test_stacks_stand_side_by_side_and_a_wipe_takes_all(one: Stack, tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 20) / "stack"
    other = Stack(deep, one.cache)
    assert dev(other, "status").returncode == 1
    other.start("postgres")
    kept = json.loads((deep / "stack.json").read_text())
    assert other.postgres_port != one.postgres_port
    other.wipe()
    assert not any(Path(place).exists() for place in (deep, kept["data"], kept["socket"]))
    assert one.running("postgres")
    other.wipe()


def test_an_interrupted_fetch_leaves_nothing_half_made(tmp_path: Path) -> None:
    target = tmp_path / "jars"
    killed = tmp_path / ".unfinished-killed"
    killed.mkdir()

    def interrupted(unfinished: Path) -> None:
        unfinished.mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(target, interrupted)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    once(target, Path.mkdir)
    once(target, shutil.rmtree)
    assert target.is_dir()


@pytest.mark.parametrize(
    ("programs", "told"),
    [((), "not Debian"), (("apt-get",), "run as root: apt-get update && apt-get install .*postgresql-15"),
     (("apt-get", "sudo"), "run by hand: sudo apt-get update && sudo apt-get install .*postgresql-15")],
)  # fmt: skip
def test_what_cannot_be_installed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: tuple[str, ...], told: str
) -> None:
    for program in programs:
        (tmp_path / program).write_text("#!/bin/sh\ncase $* in *update*) exit 1;; esac\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("dev.install.PG_BIN", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(StackError, match=told):
        install(["postgres"])
