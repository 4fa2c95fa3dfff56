"""The product, as its user runs it: a process of its own, default settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import kafka
from bench.database import Backlog, Database
from bench.measure import Cost, run
from bench.systems import Live, Reading
from tests.harness import Running

_STAMPED = ("--set", "topic.creation.default.message.timestamp.type=LogAppendTime")
_STREAMS = " streaming "


class PgProducer:
    """`pg-producer run`."""

    name = "pg-producer"

    def topics(self, database: Database) -> list[str]:
        """`<prefix>.public.<table>`."""
        return [f"{database.name}.public.{table}" for table in database.tables]

    def attach(self, database: Database) -> None:
        """Drain whatever is there."""
        self._run(database, ("--once",), "no_data")

    def drain(self, backlog: Backlog) -> Cost:
        """`run --once`: ends when Kafka has acked all that the log held at its start."""
        return self._exactly(backlog.database, backlog.events, ("--once",), "no_data")

    def snapshot(self, database: Database, rows: int) -> Cost:
        """snapshot.mode=initial_only."""
        return self._exactly(database, rows, (), "initial_only")

    @contextmanager
    def stream(self, database: Database, reading: Reading = "no_data") -> Iterator[Live]:
        """`run`, in the background."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            started = time.time()
            with log.open("wb") as file:
                process = subprocess.Popen(
                    self._command(_STAMPED), env=self._environment(database, reading), stdout=file, stderr=file
                )
            running = Running(process, log)
            try:
                running.wait_for(_STREAMS, 120)
                yield Live((process.pid,), started)
                if code := running.stop():
                    raise SystemExit(f"pg-producer ended with {code}; it said:\n{running.stderr}")
            finally:
                if process.poll() is None:
                    running.stop(signal.SIGKILL)

    def _exactly(self, database: Database, events: int, arguments: Sequence[str], mode: str) -> Cost:
        topics = self.topics(database)
        before = kafka.count(database.stack, topics)
        cost = self._run(database, arguments, mode)
        found = kafka.count(database.stack, topics) - before
        if found != events:
            raise SystemExit(
                f"{database.name}'s topics grew by {found:,} records instead of {events:,}: no rate is worth anything"
            )
        return cost

    def _run(self, database: Database, arguments: Sequence[str], mode: str) -> Cost:
        snapshot = mode == "initial_only"
        return run(
            self._command((*arguments, *_STAMPED)),
            self._environment(database, mode),
            since="snapshot of a table begins" if snapshot else _STREAMS,
            find=lambda: database.pids("client backend" if snapshot else "walsender"),
            broker=database.stack.pid("kafka"),
        )

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "producer", "run", *arguments]

    def _environment(self, database: Database, mode: str) -> dict[str, str]:
        """Nothing of the developer's own settings."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("PRODUCER_")},
            **database.stack.environment(database.name),
            "PRODUCER_TOPIC_PREFIX": database.name,
            "PRODUCER_OFFSET_STORAGE_TOPIC": f"{database.name}.offsets",
            "PRODUCER_SNAPSHOT_MODE": mode,
        }


class PgProducerTuples(PgProducer):
    """The same with plugin.name=pgoutput, beside the other: a slot, topics and a position of its own."""

    name = "pg-producer-pgoutput"

    def topics(self, database: Database) -> list[str]:
        """Below a prefix of its own."""
        return [f"{self._prefix(database)}.public.{table}" for table in database.tables]

    def attach(self, database: Database) -> None:
        """The publication first: it must be older than the slot."""
        publication = f"producer_{database.name}"
        if not database.rows(f"SELECT 1 FROM pg_publication WHERE pubname = '{publication}'"):
            database.execute(f"CREATE PUBLICATION {publication} FOR ALL TABLES")
        super().attach(database)

    def _environment(self, database: Database, mode: str) -> dict[str, str]:
        prefix = self._prefix(database)
        return super()._environment(database, mode) | {
            "PRODUCER_PLUGIN_NAME": "pgoutput",
            "PRODUCER_SLOT_NAME": f"{database.slot}_pgoutput",
            "PRODUCER_TOPIC_PREFIX": prefix,
            "PRODUCER_OFFSET_STORAGE_TOPIC": f"{prefix}.offsets",
        }

    def _prefix(self, database: Database) -> str:
        return f"{database.name}.pgoutput"
