"""A backlog in the log, drained by each system from the same point; the limit is pg_recvlogical."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from bench.database import Database, Load, backlog
from bench.measure import Cost
from bench.report import Result, compared
from bench.rounds import Rounds, progress, turns
from bench.systems import Drains
from bench.systems.pg_producer import PgProducerTuples
from bench.systems.pg_recvlogical import PgRecvlogical, PgRecvlogicalTuples
from bench.tables import (
    TOAST,
    UPDATED_ROWS,
    insert_orders,
    load_documents,
    load_orders,
    load_round_robin,
    load_wide,
    orders,
    update_orders,
    wide,
)
from bench.workloads import Bench, Workload

_REFERENCE: Drains = PgRecvlogical()
_OWN_LIMITS = dict.fromkeys((PgRecvlogicalTuples.name, PgProducerTuples.name), PgRecvlogicalTuples.name)


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
    limits = (_REFERENCE, *bench.limits) if limit else ()
    systems: list[Drains] = [*limits, *bench.systems]
    references = (_REFERENCE.name,) if limit else ()
    with ExitStack() as opened:
        stages: list[tuple[Stream, Database, Rounds]] = []
        for stream in streams:
            database = opened.enter_context(bench.database(stream.tables))
            database.execute(*stream.make)
            _warm(systems, database, stream)
            rounds = Rounds(stream.workload, bench.events(stream.events), references, _OWN_LIMITS)
            stages.append((stream, database, rounds))
        while any(bench.wants(rounds, most_rounds) for _, _, rounds in stages):
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


def _warm(systems: Sequence[Drains], database: Database, stream: Stream) -> None:
    """An event of each table before all rounds: topics and schemas are there, whose making W-start measures."""
    for system in reversed(systems):
        system.attach(database)
    stream.load(database, len(stream.tables))


def single(about: str, stream: Stream) -> Workload:
    """A workload of one stream."""
    run: Callable[[Bench], list[Result]] = partial(_run, stream=stream)
    return Workload((stream.workload,), about, run)


def _run(bench: Bench, stream: Stream) -> list[Result]:
    (rounds,) = drained(bench, [stream])
    return compared(rounds)


def _many(bench: Bench) -> list[Result]:
    """Many tables beside one, the same events in each round."""
    many, one = drained(
        bench, [round_robin("W-many", bench.tables(1000), 600_000), round_robin("W-many-one", 1, 600_000)]
    )
    found = compared(many, lambda system: _beside(many, one, system) | {"tables": bench.tables(1000)}) + compared(one)
    for result in found:
        if "seconds_beside_one_table" in result:
            print(
                f"  {result['system']}: {result['tables']:,} tables cost "
                f"{result['seconds_beside_one_table']} x the time and "
                f"{result['cpu_beside_one_table']} x the processor time of one table"
            )
    return found


def _beside(many: Rounds, one: Rounds, system: str) -> Result:
    both = list(zip(many.done, one.done, strict=True))
    calm = [pair for pair, *odd in zip(both, many.disturbed, one.disturbed, strict=True) if not any(odd)]

    def ratio(of: Callable[[Cost], float]) -> float:
        values = (of(there[system]) / max(of(here[system]), 0.01) for there, here in calm or both)
        return round(statistics.median(values), 2)

    return {
        "seconds_beside_one_table": ratio(lambda cost: cost.seconds),
        "cpu_beside_one_table": ratio(lambda cost: cost.processor - cost.start_processor),
    }


def round_robin(workload: str, tables: int, events: int) -> Stream:
    """The same events over so many tables."""
    names = tuple(f"orders_{number:04}" for number in range(tables))
    return Stream(workload, events, names, tuple(map(orders, names)), load_round_robin)


def _updates(workload: str, events: int, each: int) -> Stream:
    make = (orders(), insert_orders("orders", UPDATED_ROWS))
    return Stream(workload, events, ("orders",), make, partial(update_orders, each=each))


def inserts(workload: str, events: int, each: int) -> Stream:
    """Orders, so many a transaction."""
    return Stream(workload, events, ("orders",), (orders(),), partial(load_orders, each=each))


WORKLOADS = (
    single("500,000 inserts, 1,000 a transaction", inserts("W-insert", 500_000, 1000)),
    single("100,000 transactions of one update", _updates("W-update-1", 100_000, 1)),
    single("25,000 transactions of 8 updates", _updates("W-update-8", 200_000, 8)),
    single("one transaction of 1,000,000 inserts", inserts("W-one", 1_000_000, 1_000_000)),
    single("50,000 inserts of 60 columns", Stream("W-wide", 50_000, ("wide",), (wide(),), load_wide)),
    Workload(("W-many", "W-many-one"), "600,000 inserts over 1,000 tables, and the same into one", _many),
    single("4,000 inserts of a text of 50 kB", Stream("W-toast", 4_000, ("documents",), TOAST, load_documents)),
)
