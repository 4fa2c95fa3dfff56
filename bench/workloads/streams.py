"""A backlog in the log, drained by each system from the same point; the limit is pg_recvlogical."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from bench.database import Database, Load, backlog
from bench.report import Result, compared
from bench.rounds import Rounds, progress, turns
from bench.systems import Drains
from bench.systems.pg_recvlogical import PgRecvlogical
from bench.tables import load_orders, orders
from bench.workloads import Bench, Workload

_REFERENCE: Drains = PgRecvlogical()


@dataclass(frozen=True, slots=True)
class Stream:
    """What is in the log."""

    workload: str
    events: int
    """At scale 1."""
    tables: tuple[str, ...]
    make: tuple[str, ...]
    """Statements that make the tables, and rows that are there before the backlog."""
    load: Load


def drained(
    bench: Bench, streams: Sequence[Stream], *, most_rounds: int | None = None, limit: bool = True
) -> list[Rounds]:
    """All streams in each round, one after the other; each in a database of its own.

    `limit`: with pg_recvlogical.
    """
    wanted = min(bench.rounds, most_rounds or bench.rounds)
    systems: list[Drains] = [*([_REFERENCE] if limit else []), *bench.systems]
    references = (_REFERENCE.name,) if limit else ()
    with ExitStack() as opened:
        stages: list[tuple[Stream, Database, Rounds]] = []
        for stream in streams:
            database = opened.enter_context(bench.database(stream.tables))
            database.execute(*stream.make)
            stages.append((stream, database, Rounds(stream.workload, bench.events(stream.events), references)))
        while any(rounds.wanting(wanted) for _, _, rounds in stages):
            for stream, database, rounds in stages:
                # The reference copies the producer's slot, which must be drained.
                for system in reversed(systems):
                    system.attach(database)
                made = backlog(database, rounds.events, stream.load)
                found = {system.name: system.drain(made) for system in turns(systems, len(rounds.done))}
                rounds.done.append(found)
                shown = ", ".join(f"{name} {cost.seconds:.1f} s" for name, cost in found.items())
                progress(f"{stream.workload}, round {len(rounds.done)}: {shown}")
        return [rounds for _, _, rounds in stages]


def single(about: str, stream: Stream) -> Workload:
    """A workload of one stream."""
    run: Callable[[Bench], list[Result]] = partial(_run, stream=stream)
    return Workload((stream.workload,), about, run)


def _run(bench: Bench, stream: Stream) -> list[Result]:
    (rounds,) = drained(bench, [stream])
    return compared(rounds)


WORKLOADS = (
    single(
        "500,000 inserts, 1,000 a transaction",
        Stream("W-insert", 500_000, ("orders",), (orders(),), load_orders),
    ),
)
