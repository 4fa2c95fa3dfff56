"""A primary dies; its standby, which keeps the slot in step, is promoted: the stream goes on there."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dev.stack import Stack
from tests.harness import Command, Source, folded, wait_for
from tests.proxy import Link

pytestmark = pytest.mark.matrix

PHYSICAL = "the_standby"
FOLLOWS = """
primary_conninfo = '{primary}'
primary_slot_name = '{slot}'
hot_standby_feedback = on
sync_replication_slots = on
synchronized_standby_slots = ''
"""


@pytest.fixture
def servers(stack: Stack, tmp_path: Path) -> Iterator[tuple[Stack, Stack]]:
    """A primary, and a standby without which the primary's slots do not go on."""
    if stack.postgres_major < 17:
        pytest.skip("standbys keep slots in step from PostgreSQL 17 on")
    primary, standby = (Stack(tmp_path / name, stack.cache, stack.postgres_major) for name in ("primary", "standby"))
    primary.start("postgres")
    standby.start("postgres")
    made_of, data = data_of(primary), data_of(standby)
    asked(
        primary,
        f"SELECT pg_create_physical_replication_slot('{PHYSICAL}', true)",
        f"ALTER SYSTEM SET synchronized_standby_slots = '{PHYSICAL}'",
    )
    primary.stop("postgres")
    standby.stop("postgres")
    shutil.rmtree(data)
    subprocess.run(["cp", "-a", made_of, data], check=True)
    (data / "standby.signal").touch()
    with (data / "postgresql.auto.conf").open("a") as conf:
        conf.write(FOLLOWS.format(primary=primary.postgres_dsn(), slot=PHYSICAL))
    primary.start("postgres")
    standby.start("postgres")
    yield primary, standby
    primary.wipe()
    standby.wipe()


def asked(server: Stack, *statements: str, dbname: str = "postgres") -> list[tuple[Any, ...]]:
    """The last statement's rows."""
    with psycopg.connect(server.postgres_dsn(dbname), autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def data_of(server: Stack) -> Path:
    """The running server's data, as we see it: it may live in a tree of its own."""
    root = Path(os.readlink(f"/proc/{server.pid('postgres')}/root"))
    return root / Path(asked(server, "SHOW data_directory")[0][0]).relative_to("/")


def arrived(command: Command, rows: int) -> bool:
    """Whether so many rows are there: not counted, for what was not confirmed may come again."""
    return {row["id"] for found in folded(command.records("public.t")).values() for row in found.values()} == set(
        range(rows)
    )


def test_the_stream_goes_on_at_the_promoted_standby(stack: Stack, servers: tuple[Stack, Stack], tmp_path: Path) -> None:
    """Issue D.3: `slot.failover`: by itself, nothing lost, no snapshot again."""
    primary, standby = servers
    source = Source(primary, f"t{secrets.token_hex(5)}")
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (0)")
    command = Command(stack, source, tmp_path)
    in_step = f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{source.slot}' AND synced AND NOT temporary"
    with closing(Link(primary.postgres_port)) as link:
        running = command.start(
            "run", settings={"database.port": link.port, "slot.failover": "true", "errors.retry.delay.max.ms": 500}
        )
        running.wait_for("streaming")
        source.execute("INSERT INTO t SELECT generate_series(1, 50)")
        wait_for(lambda: asked(standby, in_step), 60, "the slot to be in step")
        source.execute("INSERT INTO t SELECT generate_series(51, 100)")
        wait_for(lambda: arrived(command, 101), 60, "the primary's rows")
        primary.kill("postgres")
        asked(standby, "SELECT pg_promote()")
        link.target = standby.postgres_port
        asked(standby, "INSERT INTO t SELECT generate_series(101, 150)", dbname=source.name)
        wait_for(lambda: arrived(command, 151), 60, "the standby's rows")
        assert running.stop() == 0, running.stderr
    assert arrived(command, 151)
    records = command.records("public.t")
    assert [record.value["op"] for record in records].count("r") == 1  # type: ignore[index]
    command.end()
