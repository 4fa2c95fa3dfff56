"""A running producer whose links or peers are disturbed: what arrived, what came again, what it cost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import psycopg

from dev.stack import Stack
from producer.lsn import Lsn
from tests.harness import Command, Running, Source, folded, wait_for

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
FAULT = "a temporary fault"

Position = tuple[str, int, int]


def ids(command: Command) -> list[int]:
    """The keys in the topic's final state."""
    state = folded(command.records()).get(f"{command.prefix}.public.t", {})
    return sorted(row["id"] for row in state.values())


def positions(command: Command) -> Counter[Position]:
    """How often each event of the stream was sent."""
    values: list[Any] = [record.value for record in command.records() if record.value]
    return Counter(
        (record["op"], record["source"]["commit_lsn"], record["source"]["ordinal"])
        for record in values
        if record["op"] != "r"
    )


class Watched:
    """A running producer whose link is disturbed; knows what was confirmed before each fault."""

    def __init__(self, source: Source, command: Command, running: Running) -> None:
        self._source = source
        self._command = command
        self.running = running
        self._rows = 0
        self._confirmed: Counter[Position] = Counter()

    def insert(self, rows: int = 1) -> None:
        """So many transactions of one row."""
        first, self._rows = self._rows, self._rows + rows
        self._source.execute(*(f"INSERT INTO t VALUES ({n}, repeat('x', 300))" for n in range(first, self._rows)))

    def arrived(self, seconds: float = 30) -> None:
        """All rows are in the topic, and confirmed; none of what was confirmed before has come again."""
        wait_for(lambda: ids(self._command) == list(range(self._rows)), seconds, "all rows")
        end = Lsn.parse(str(self._source.rows("SELECT pg_current_wal_insert_lsn()::text")[0][0]))
        wait_for(lambda: Lsn.parse(self._source.confirmed_lsn() or "0/0") >= end, seconds, "all is confirmed")
        self.unrepeated()
        self._confirmed = positions(self._command)

    def faults(self) -> int:
        """How many were told."""
        return self.running.stderr.count(FAULT)

    def another_fault(self, before: int, seconds: float = 20) -> None:
        """It is noticed."""
        wait_for(lambda: self.faults() > before, seconds, "a fault is noticed")

    def unrepeated(self) -> None:
        """What was confirmed when all had last arrived has not come again."""
        now = positions(self._command)
        assert self._confirmed == Counter({place: now[place] for place in self._confirmed})

    def walsender(self) -> int | None:
        """Who serves it."""
        ((pid,),) = self._source.rows(
            f"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{self._source.slot}'"
        )
        return None if pid is None else int(str(pid))


def patient(source: Source, seconds: int) -> None:
    """The server's patience with a silent client."""
    source.execute(f"ALTER DATABASE {source.name} SET wal_sender_timeout = '{seconds}s'")


def silent(stack: Stack, seconds: float) -> None:
    """Nothing is done for so long: the time that somebody's patience takes."""
    with psycopg.connect(stack.postgres_dsn()) as connection:
        connection.execute(f"SELECT pg_sleep({seconds})".encode())


def peak_bytes(running: Running) -> int:
    """The most memory that the process has had."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024
