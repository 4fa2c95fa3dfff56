"""Tables copied whole; the limit is COPY to /dev/null and then producing the ready bytes."""

from __future__ import annotations

from functools import partial

from bench.report import Result, compared
from bench.rounds import Rounds, progress, turns
from bench.systems import Snapshots
from bench.systems.copy import Copy
from bench.systems.produce import Produce
from bench.tables import insert_orders, orders
from bench.workloads import Bench, Workload


def _run(bench: Bench, workload: str, tables: int, rows: int) -> list[Result]:
    each = bench.events(rows)
    tables = bench.tables(tables)
    # Produce sends what a system before it has written: it is the last of the first round.
    systems: list[Snapshots] = [Copy(), *bench.systems, Produce(bench.systems[0])]
    names = [f"orders_{number:04}" for number in range(tables)]
    rounds = Rounds(workload, each * tables, (systems[0].name, systems[-1].name))
    with bench.database(names) as database:
        for name in names:
            database.execute(orders(name), insert_orders(name, each))
        database.execute("VACUUM ANALYZE")
        database.settle()
        while bench.wants(rounds):
            order = turns(systems, len(rounds.done))
            found = {system.name: system.snapshot(database, rounds.events) for system in order}
            rounds.done.append(found)
            shown = ", ".join(f"{name} {cost.seconds:.1f} s" for name, cost in found.items())
            progress(f"{workload}, round {len(rounds.done)}: {shown}")
    return compared(rounds)


def _workload(name: str, about: str, tables: int, rows: int) -> Workload:
    return Workload((name,), about, partial(_run, workload=name, tables=tables, rows=rows))


WORKLOADS = (
    _workload("W-snap", "one table of 1,000,000 rows, copied", 1, 1_000_000),
    _workload("W-snap-200", "200 tables of 5,000 rows, copied", 200, 5_000),
)
