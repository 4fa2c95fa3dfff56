"""What tests drive: a database of their own, the command as a subprocess, the topics decoded."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dev.stack import Stack
from producer.commands.publications import publications
from producer.lsn import Lsn
from producer.schema.registry import Registry
from producer.settings import load_settings
from producer.sink.reader import Record, TopicReader, table_topics
from producer.source.wire import Server

Row = tuple[Any, ...]

PLUGIN = "wal2json"
"""plugin.name of every command whose test says nothing else: `pytest --plugin pgoutput`."""
_FORCE_SINCE = 130000


def wait_for(condition: Callable[[], object], seconds: float = 20, what: str = "") -> None:
    """Wait until `condition` is true.

    Raises:
        AssertionError: it did not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(0.02)


class Source:
    """A database of the test's own."""

    def __init__(self, stack: Stack, name: str, encoding: str = "UTF8") -> None:
        self.stack = stack
        self.name = name
        self.slot = f"producer_{name}"
        with psycopg.connect(stack.postgres_dsn(), autocommit=True) as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'").format(
                    sql.Identifier(name), sql.Literal(encoding)
                )
                if encoding != "UTF8"
                else sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
            )
        # MULE_INTERNAL cannot be converted: its sessions speak it themselves.
        self._client_encoding = "UTF8" if encoding != "MULE_INTERNAL" else "SQL_ASCII"

    def connect(self) -> psycopg.Connection[Row]:
        """A superuser's session in autocommit mode, whose text is UTF-8."""
        return psycopg.connect(
            self.stack.postgres_dsn(self.name), autocommit=True, client_encoding=self._client_encoding
        )

    def execute(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def rows(self, query: str) -> list[Row]:
        """A query's rows."""
        with self.connect() as connection:
            return connection.execute(query.encode()).fetchall()

    def server(self, user: str | None = None, password: str | None = None) -> Server:
        """As the producer's own stages know it; a superuser's unless another is named."""
        return Server(
            host=self.stack.postgres_host, port=self.stack.postgres_port, user=user or self.stack.postgres_user,
            password=password or self.stack.postgres_password, dbname=self.name, application_name="test",
        )  # fmt: skip

    def publish(self, *before: str) -> None:
        """Publish all tables of now as the producer would: before a test makes pgoutput's slot by itself.

        What is to be done `before` is done in the same transaction.
        """
        settings = load_settings(None, ["topic.prefix=p", f"database.dbname={self.name}"], {}).settings
        self.execute("\n".join([*before, *publications(settings, "true")]))

    def make_slot(self, name: str | None = None) -> None:
        """Make the slot, or one of another name, before the producer does; what it reads is published before."""
        if PLUGIN == "pgoutput":
            self.publish()
        self.execute(f"SELECT pg_create_logical_replication_slot('{name or self.slot}', '{PLUGIN}')")

    def confirmed_lsn(self) -> str | None:
        """The slot's confirmed position; None when there is no slot."""
        found = self.rows(f"SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '{self.slot}'")
        return str(found[0][0]) if found else None

    def written(self, change: str) -> Lsn:
        """Change one row; where the log ended before the commit: what others wrote up to there may be confirmed."""
        ((lsn,),) = self.rows(f"WITH made AS ({change} RETURNING 1) SELECT pg_current_wal_insert_lsn()::text FROM made")
        return Lsn.parse(str(lsn))

    def major(self) -> int:
        """PostgreSQL's major version."""
        with self.connect() as connection:
            return connection.info.server_version // 10000

    def prints_nan(self) -> bool:
        """Whether the plugin can print NaN and Infinity (pgoutput, wal2json 2.6): asked of wal2json itself."""
        if PLUGIN == "pgoutput":
            return True
        slot = f"ability_{self.name}"
        with self.connect() as connection:
            connection.execute("SELECT pg_create_logical_replication_slot(%s, 'wal2json', true)", (slot,))
            try:
                connection.execute(
                    "SELECT * FROM pg_logical_slot_peek_changes(%s, NULL, NULL, 'numeric-data-types-as-string', '1')",
                    (slot,),
                )
            except psycopg.errors.InvalidParameterValue:
                return False
            return True

    def left(self) -> None:
        """Wait until none of us reads: a walsender takes its reader's last word, and lets go, when he is gone."""
        readers = (
            "SELECT FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid "
            "WHERE s.database = current_database() AND a.application_name LIKE 'pg-producer%'"
        )
        wait_for(lambda: not self.rows(readers), what="the server to let go of the slot")

    def drop(self) -> None:
        """Drop the database and its slots."""
        with psycopg.connect(self.stack.postgres_dsn(), autocommit=True) as admin:
            slots = admin.execute(
                "SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s", (self.name,)
            ).fetchall()
            for name, pid in slots:
                if pid is not None:
                    admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
                wait_for(lambda name=name: _dropped(admin, name), what=f"dropping slot {name}")  # type: ignore[misc]
            force = sql.SQL("WITH (FORCE)")
            if admin.info.server_version < _FORCE_SINCE:
                force = sql.SQL("")
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.name,))
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} {}").format(sql.Identifier(self.name), force))


def _dropped(admin: psycopg.Connection[Row], name: str) -> bool:
    try:
        admin.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
            (name,),
        )
    except psycopg.errors.ObjectInUse:
        return False
    return True


class Running:
    """The command in the background; what it prints goes to a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def stderr(self) -> str:
        """What it said so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float = 30) -> None:
        """Wait until it says `text`."""

        def said() -> bool:
            assert self.process.poll() is None or text in self.stderr, f"it ended: {self.stderr}"
            return text in self.stderr

        wait_for(said, seconds, f"{text!r} in:\n{self.stderr}")

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 20) -> int:
        """Signal it and wait; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(seconds)


class Command:
    """`pg-producer` with the settings of one test."""

    def __init__(self, stack: Stack, source: Source, folder: Path) -> None:
        self.stack = stack
        self.source = source
        self.prefix = source.name
        self.folder = folder
        self.bootstrap_servers = stack.bootstrap_servers
        self._running: list[Running] = []

    def environment(self, settings: Mapping[str, object] | None = None) -> dict[str, str]:
        """The process's environment: nothing of the developer's own settings, and stdout buffered, as a user's is."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PRODUCER_") and k != "PYTHONUNBUFFERED"}
        own = {
            **self.stack.environment(self.source.name), "PRODUCER_TOPIC_PREFIX": self.prefix,
            "PRODUCER_PLUGIN_NAME": PLUGIN,
        }  # fmt: skip
        return {**clean, **own}

    def _argv(self, arguments: tuple[str, ...], settings: Mapping[str, object]) -> list[str]:
        sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        return [sys.executable, "-m", "producer", *arguments, *sets]

    def run(
        self,
        *arguments: str,
        settings: Mapping[str, object] | None = None,
        seconds: float = 60,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end; the caller looks at returncode, stdout, stderr."""
        return subprocess.run(
            self._argv(arguments, settings or {}), env=self.environment(), text=True, capture_output=True,
            timeout=seconds, check=False, input=stdin,
        )  # fmt: skip

    def start(self, *arguments: str, settings: Mapping[str, object] | None = None) -> Running:
        """Start it in the background."""
        log = self.folder / f"producer-{len(self._running)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                self._argv(arguments or ("run",), settings or {}),
                env=self.environment(),
                stdout=file,
                stderr=file,
            )
        running = Running(process, log)
        self._running.append(running)
        return running

    def end(self) -> None:
        """Leave nothing running; pytest shows what they said beside a failure."""
        for running in self._running:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait(10)
            print(f"{running.log.name}:\n{running.stderr[-8000:]}")

    def records(self, table: str | None = None) -> list[Record]:
        """All records of the tables' topics, or of one table's, in their topics' order."""
        return self.topics(table_topics(self.prefix) if table is None else [f"{self.prefix}.{table}"])

    def topics(self, wanted: list[str] | re.Pattern[str]) -> list[Record]:
        """All records of topics; none of one that is not there."""
        registry = Registry(self.stack.registry_url)
        reader = TopicReader(self.bootstrap_servers, {}, registry.schema)
        with contextlib.closing(registry):
            return list(reader.records(wanted, once=True))


def folded(records: list[Record]) -> dict[str, dict[str, Any]]:
    """The topics' final state: for each topic the last row by key, as a compacting consumer sees it."""
    state: dict[str, dict[str, Any]] = {}
    for record in records:
        rows = state.setdefault(record.topic, {})
        key = json.dumps(record.key, default=str, sort_keys=True)
        value: Any = record.value
        if value is None or value["op"] == "d":
            rows.pop(key, None)
        elif value["op"] == "t":
            rows.clear()
        else:
            rows[key] = value["after"]
    return state


@contextmanager
def source_of(stack: Stack, name: str, encoding: str = "UTF8") -> Iterator[Source]:
    """A database that is gone afterwards."""
    source = Source(stack, name, encoding)
    try:
        yield source
    finally:
        source.drop()
