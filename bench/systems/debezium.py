"""Debezium's PostgreSQL connector in a Kafka Connect worker of its own, seen from outside.

The worker runs through all rounds, warm: a connector is started for a piece of work and stopped behind it, and its
position is kept between. Time runs from the first record that the topics show to the last.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench import kafka
from bench.connect.progress import Progress
from bench.connect.variants import settings
from bench.connect.worker import Worker
from bench.database import Backlog, Database, backlog
from bench.measure import Cost, Find, processor_seconds, watched
from bench.systems import Live, Reading
from bench.tables import load_orders, orders
from dev.stack import Stack

_LOOK_SECONDS = 0.02
_STALLED_SECONDS = 120.0
_TURNS = 3


class Debezium:
    """One variant of its settings."""

    def __init__(self, stack: Stack, variant: str, plugins: Sequence[Path]) -> None:
        self.name = variant
        self._stack = stack
        self._worker = Worker(stack, variant, plugins)
        self._snapshots = 0
        self._read_to: dict[str, str] = {}
        self.worker_start_cpu_seconds = 0.0
        """What the JVM needs until it takes connectors."""
        self.warm_up_cpu_seconds = 0.0
        """What it used to get warm: the first rows cost several times of what the later ones do."""

    def start(self, warm_up: int) -> None:
        """Start the worker, and let it stream three such backlogs, and copy them, measured by nobody."""
        self._worker.start()
        self.worker_start_cpu_seconds = processor_seconds(self._worker.pid)
        if warm_up:
            with Database(self._stack, ["orders"]) as database:
                database.execute(orders())
                self.attach(database)
                for _ in range(_TURNS):
                    self.drain(backlog(database, warm_up, load_orders))
                self.snapshot(database, warm_up * _TURNS)
        self.warm_up_cpu_seconds = processor_seconds(self._worker.pid) - self.worker_start_cpu_seconds

    def end(self) -> None:
        """End the worker."""
        self._worker.end()

    def topics(self, database: Database) -> list[str]:
        """Its own prefix, below the database's."""
        return [f"{self._prefix(database)}.public.{table}" for table in database.tables]

    def attach(self, database: Database) -> None:
        """Make topics and slot, or read what is there."""
        kafka.create(self._stack, self.topics(database))
        # Loaders do not wait for the disc, and the server shows only what is there.
        database.settle()
        end = str(database.rows("SELECT pg_current_wal_lsn()::text")[0][0])
        if not self._slots(database):
            with self.stream(database):
                pass
        elif behind := self._behind(database):
            self._stream_on(database, behind)
        self._read_to[database.name] = end

    def drain(self, backlog: Backlog) -> Cost:
        """The connector goes on where it stopped."""
        cost = self._stream_on(backlog.database, backlog.events)
        self._read_to[backlog.database.name] = backlog.end
        return cost

    def snapshot(self, database: Database, rows: int) -> Cost:
        """snapshot.mode=initial_only, by a connector that has no position."""
        self._snapshots += 1
        connector = f"{self._slot(database)}_{self._snapshots}"
        return self._until(database, connector, rows, "initial_only", partial(database.pids, "client backend"))

    @contextmanager
    def stream(self, database: Database, reading: Reading = "no_data") -> Iterator[Live]:
        """A connector in the worker, which is warm: its start is not a process's."""
        started = time.time()
        with self._connected(database, self._slot(database), reading, prompt=True):
            deadline = time.monotonic() + _STALLED_SECONDS
            while not self._slots(database, "AND active"):
                self._check(self._slot(database), deadline)
                time.sleep(_LOOK_SECONDS)
            yield Live((self._worker.pid,), started)

    def _stream_on(self, database: Database, events: int) -> Cost:
        find = partial(database.pids, "walsender", "client backend")
        return self._until(database, self._slot(database), events, "no_data", find)

    def _behind(self, database: Database) -> int:
        """Rows written since: the slot's own position is a transaction behind the connector's."""
        slot = self._slot(database)
        rows = database.rows(
            f"SELECT count(*) FROM pg_logical_slot_peek_binary_changes("
            f"'{slot}', NULL, NULL, 'proto_version', '1', 'publication_names', '{slot}') "
            f"WHERE lsn >= '{self._read_to[database.name]}' AND chr(get_byte(data, 0)) IN ('I', 'U', 'D')"
        )
        return int(rows[0][0])

    def _until(self, database: Database, connector: str, events: int, mode: str, find: Find) -> Cost:
        """Run the connector until its topics have grown by so many records.

        Raises:
            SystemExit: they did not, or by more.
        """
        worker, progress = self._worker.pid, Progress(self._stack, self.topics(database))
        before, idle = progress.records(), processor_seconds(worker)
        # What is entered first is left last: the connector's stop is watched by nobody.
        with ExitStack() as stop, watched([worker], find, broker=self._stack.pid("kafka")) as stretch:
            stop.enter_context(self._connected(database, connector, mode))
            seen = self._wait(progress, connector, before + 1) - before
            began, start = time.monotonic(), processor_seconds(worker) - idle
            self._wait(progress, connector, before + events)
            seconds = time.monotonic() - began
        if (found := progress.records() - before) != events:
            raise SystemExit(f"{self.name}'s topics grew by {found:,} records instead of {events:,}")
        # The records that were there at the first look took none of the time.
        return replace(stretch.cost, seconds=seconds * events / max(1, events - seen), start_processor=start)

    def _wait(self, progress: Progress, connector: str, wanted: int) -> int:
        """Wait until there are so many records; how many there are then."""
        last, deadline = -1, 0.0
        while (found := progress.records()) < wanted:
            if found > last:
                last, deadline = found, time.monotonic() + _STALLED_SECONDS
            self._check(connector, deadline)
            time.sleep(_LOOK_SECONDS)
        return found

    def _check(self, connector: str, deadline: float) -> None:
        """Raise when the worker died, or when it is too late."""
        if self._worker.pid and time.monotonic() > deadline:
            # A task that failed says why.
            self._worker.running(connector)
            raise SystemExit(f"{connector} did nothing for {_STALLED_SECONDS:.0f} s; it said:\n{self._worker.said()}")

    @contextmanager
    def _connected(self, database: Database, connector: str, mode: str, *, prompt: bool = False) -> Iterator[None]:
        chosen = settings(
            self._stack, self.name, database.name, self._slot(database), self._prefix(database), mode, prompt=prompt
        )
        self._worker.run(connector, chosen)
        try:
            yield
        finally:
            self._worker.halt(connector)

    def _slots(self, database: Database, condition: str = "") -> bool:
        query = f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{self._slot(database)}' {condition}"
        return bool(database.rows(query))

    def _slot(self, database: Database) -> str:
        return f"{database.name}_{self.name.replace('-', '_')}"

    def _prefix(self, database: Database) -> str:
        return f"{database.name}.{self.name.replace('-', '_')}"
