"""What systems are set to work on: data, and the way each workload is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.database import Database
from bench.report import Result
from bench.rounds import Rounds
from bench.systems import Drains, System
from dev.stack import Stack


@dataclass(frozen=True, slots=True)
class Bench:
    """What every workload is run with."""

    stack: Stack
    systems: tuple[System, ...]
    rounds: int
    repeats: int
    """How often each may be repeated where others disturbed it."""
    scale: float
    limits: tuple[Drains, ...] = ()
    """Of streams, beside pg_recvlogical with wal2json."""

    def wants(self, rounds: Rounds, most: int | None = None) -> bool:
        """Whether one more is to be done; `most`: undisturbed ones, where fewer than elsewhere are enough."""
        return rounds.wanting(min(self.rounds, most or self.rounds), self.repeats)

    def events(self, number: int) -> int:
        """So many events or rows, scaled."""
        return max(1, round(number * self.scale))

    def tables(self, number: int) -> int:
        """So many tables; fewer in a trial."""
        return max(min(number, 10), round(number * min(1.0, self.scale)))

    def seconds(self, number: float) -> float:
        """So long, scaled; never too short to see something."""
        return max(2.0, number * min(1.0, self.scale))

    def database(self, tables: Sequence[str]) -> Database:
        """A database for these tables, to be entered."""
        return Database(self.stack, tables)


@dataclass(frozen=True, slots=True)
class Workload:
    """One or more workloads that are measured together, and said in a line."""

    names: tuple[str, ...]
    about: str
    run: Callable[[Bench], list[Result]]
