"""From exec to the first record in Kafka: nothing is there yet but the tables."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import partial

from bench import kafka
from bench.measure import peak_rss, processor_seconds
from bench.report import Result, targeted
from bench.rounds import progress
from bench.systems import System
from bench.tables import insert_orders, orders
from bench.workloads import Bench, Workload

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class _Start:
    """Seconds since exec, the processor's seconds, memory."""

    first: float
    """Until the first record was in Kafka."""
    last: float
    """Until each table had one."""
    streaming: float
    processor: float
    peak_rss: int


def _run(bench: Bench, tables: int, target: float) -> list[Result]:
    workload = f"W-start-{tables}"
    tables = bench.tables(tables)
    results: list[Result] = []
    for system in bench.systems:
        found: list[_Start] = []
        for number in range(bench.rounds):
            found.append(_once(bench, system, tables))
            progress(f"{workload}, round {number + 1}: {system.name} {found[-1].first:.2f} s")
        median = statistics.median(each.first for each in found)
        results.append(
            targeted(
                workload,
                system.name,
                ratio=target / median,
                peak_rss=max(each.peak_rss for each in found),
                rounds=bench.rounds,
                disturbed=False,
                figures={
                    "tables": tables,
                    "seconds_to_first_record": round(median, 3),
                    "seconds_to_all_tables": round(statistics.median(each.last for each in found), 3),
                    "seconds_to_streaming": round(statistics.median(each.streaming for each in found), 3),
                    "start_cpu_seconds": round(statistics.median(each.processor for each in found), 2),
                },
            )
        )
    return results


def _once(bench: Bench, system: System, tables: int) -> _Start:
    """Kafka stamps the records as they come: nothing asks meanwhile."""
    with bench.database([f"orders_{number:04}" for number in range(tables)]) as database:
        database.execute(*(text for table in database.tables for text in (orders(table), insert_orders(table, 1))))
        database.settle()
        topics = system.topics(database)
        with system.stream(database, "initial") as live:
            streaming = time.time() - live.started
            processor = sum(map(processor_seconds, live.processes))
            memory = sum(map(peak_rss, live.processes))
            deadline = time.monotonic() + _PATIENCE
            while kafka.count(bench.stack, topics) < tables and time.monotonic() < deadline:
                time.sleep(0.2)
        if (found := kafka.count(bench.stack, topics)) != tables:
            raise SystemExit(f"{system.name} sent {found} records instead of {tables}")
        came = [message.timestamp()[1] / 1000 - live.started for message in kafka.first_records(bench.stack, topics)]
    return _Start(min(came), max(came), streaming, processor, memory)


WORKLOADS = (
    Workload(("W-start-1",), "exec to the first record, 1 table", partial(_run, tables=1, target=2.0)),
    Workload(("W-start-1000",), "exec to the first record, 1,000 tables", partial(_run, tables=1000, target=5.0)),
)
