"""What is measured: pg-producer, its limits (pg_recvlogical, COPY, producing ready bytes), and its peers.

A peer is one more class with these methods; `bench.__main__` puts it beside pg-producer, and every workload asks
all the systems that it was given.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from bench.database import Backlog, Database
from bench.measure import Cost

Reading = Literal["initial", "no_data"]
"""Whether tables are copied before the stream (Debezium's names of snapshot.mode)."""


class Drains(Protocol):
    """Reads a backlog from the log to its end."""

    name: str
    """As results.json has it."""

    def attach(self, database: Database) -> None:
        """Be where the log ends now, topics made: what is written from here on is the backlog. Called each round."""

    def drain(self, backlog: Backlog) -> Cost:
        """Read it from there to its end, every event acked by Kafka where the system writes to Kafka.

        Raises:
            SystemExit: the topics have not grown by exactly `backlog.events`.
        """


class Snapshots(Protocol):
    """Copies all tables once."""

    name: str

    def snapshot(self, database: Database, rows: int) -> Cost:
        """Copy them from nothing; it may be called again, and copies all again.

        Raises:
            SystemExit: the topics have not grown by exactly `rows`.
        """


@dataclass(frozen=True, slots=True)
class Live:
    """A system at work."""

    processes: tuple[int, ...]
    started: float
    """When it was executed, seconds since 1970."""


class System(Drains, Snapshots, Protocol):
    """A whole CDC system."""

    def topics(self, database: Database) -> list[str]:
        """Its topics of the tables, in the tables' order; each of one partition."""

    def stream(self, database: Database, reading: Reading = "no_data") -> AbstractContextManager[Live]:
        """Run it in the background; inside of the block it has said that it streams. It is gone afterwards.

        Topics that it makes have message.timestamp.type=LogAppendTime.
        """
