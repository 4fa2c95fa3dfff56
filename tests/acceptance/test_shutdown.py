"""Told to stop, or PostgreSQL is, while somebody does not answer: bounded time, the right exit code, nothing lost."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.secured import Secured
from dev.stack import Stack
from tests.harness import Command, Source, source_of, wait_for
from tests.links import FAULT, TABLE, Watched, ids, silent
from tests.scrape import PORT_FREE, Scrape

Settings = dict[str, object]

# Ten, and what a busy machine takes for it.
BUSY_SECONDS = 12


@pytest.fixture
def source(secured: Secured) -> Iterator[Source]:
    """A database of the server that may be stopped."""
    with source_of(secured.postgres, f"t{secrets.token_hex(5)}") as made:
        yield made


@pytest.fixture
def settings(secured: Secured, command: Command) -> Settings:
    """Where the servers that may be stopped are."""
    command.bootstrap_servers = secured.bootstrap_servers
    return {"database.port": secured.postgres.postgres_port, "bootstrap.servers": secured.bootstrap_servers}


def catches(pid: int) -> bool:
    """Whether the process takes SIGTERM by itself."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("when", ["streaming", "copying", "beginning"])
def test_sigterm_while_postgres_is_frozen(
    source: Source, command: Command, secured: Secured, settings: Settings, stack: Stack, when: str
) -> None:
    """Exit 0 or 5 within the ten seconds that container engines give, whatever was asked of the server."""
    source.execute(TABLE)
    if when == "copying":
        source.execute("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 30000) i")
    rows = source.rows("SELECT id FROM t ORDER BY id")
    running = command.start("run", settings=settings) if when != "beginning" else None
    if running is not None:
        running.wait_for("streaming" if when == "streaming" else "snapshot of a table begins")
    with secured.frozen_postgres():
        if running is None:
            running = command.start("run", settings=settings)
            wait_for(lambda: catches(running.process.pid), 20, "it takes signals")
        elif when == "streaming":
            # Longer than it takes us to ask something beside the stream.
            silent(stack, 5)
        since = time.monotonic()
        assert running.stop(seconds=15) in (0, 5), running.stderr
        assert time.monotonic() - since < BUSY_SECONDS
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    assert ids(command) == [row[0] for row in rows]


def test_sigterm_while_a_copy_has_not_begun(source: Source, command: Command, settings: Settings) -> None:
    """The server answers with the first rows, which a query may take long to find."""
    source.execute(TABLE, "INSERT INTO t VALUES (1)")
    settings = {
        **settings, "snapshot.select.statement.overrides": "public.t",
        "snapshot.select.statement.overrides.public.t": "SELECT t.* FROM public.t, pg_sleep(60)",
    }  # fmt: skip
    running = command.start("run", settings=settings)
    wait_for(lambda: source.rows("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY%%pg_sleep%%'"), 20, "the query")
    since = time.monotonic()
    assert running.stop() == 0, running.stderr
    assert time.monotonic() - since < BUSY_SECONDS


def test_sigterm_while_kafka_is_frozen(source: Source, command: Command, secured: Secured, settings: Settings) -> None:
    """Exit 5 within ten seconds, also while reading has paused at the limit; what is unconfirmed comes again."""
    source.execute(TABLE)
    limit = 10_000
    running = command.start("run", settings={**settings, **PORT_FREE, "max.queue.size.in.bytes": limit})
    scrape = Scrape(running)
    running.wait_for("streaming")
    with secured.frozen_kafka():
        source.execute(*(f"INSERT INTO t VALUES ({n}, repeat('x', 300))" for n in range(100)))
        wait_for(lambda: scrape.value("in_flight_bytes") >= limit, what="reading pauses")
        since = time.monotonic()
        assert running.stop(seconds=15) == 5, running.stderr
        assert time.monotonic() - since < BUSY_SECONDS
    assert command.run("run", "--once", settings=settings).returncode == 0
    assert ids(command) == list(range(100))


@pytest.mark.parametrize("kafka", ["well", "frozen", "frozen, reading has paused"])
def test_a_fast_shutdown_of_postgres_does_not_wait_for_us(
    source: Source, command: Command, secured: Secured, settings: Settings, kafka: str
) -> None:
    """It ends soon, unconfirmed changes or not: nothing is confirmed that is not acked, and nothing is lost."""
    source.execute(TABLE)
    limit = 10_000 if kafka.endswith("paused") else 10_000_000
    running = command.start("run", settings={**settings, "max.queue.size.in.bytes": limit})
    running.wait_for("streaming")
    watched = Watched(source, command, running)
    watched.insert(10)
    watched.arrived()
    since = time.monotonic()
    if kafka == "well":
        watched.insert(100)
        secured.postgres.stop("postgres")
        took = time.monotonic() - since
    else:
        with secured.frozen_kafka():
            watched.insert(100)
            since = time.monotonic()
            secured.postgres.stop("postgres")
            took = time.monotonic() - since
    running.wait_for(FAULT)
    secured.postgres.start("postgres")
    assert took < 15
    watched.arrived()
    assert running.stop() == 0, running.stderr
