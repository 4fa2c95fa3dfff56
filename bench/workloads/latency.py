"""From commit to arrival at a consumer, at a steady pace of one insert a transaction."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer

from bench import kafka
from bench.measure import Cost, watched
from bench.pace import number_of, paced
from bench.report import Result, targeted
from bench.rounds import Rounds, progress, turns
from bench.systems import System
from bench.tables import orders
from bench.workloads import Bench, Workload

_RATE = 1000
_SECONDS = 20
_WARM_SECONDS = 3
_P50_MS = 10.0
_P99_MS = 50.0
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class _Latencies:
    """Of one system in one round, in milliseconds."""

    p50: float
    p99: float
    most: float
    p99_from_send: float
    rate: float

    @classmethod
    def of(cls, arrivals: dict[int, float], commits: dict[int, tuple[float, float]], skipped: int) -> _Latencies:
        """Without the first ones, which warm up."""
        counted = [number for number in sorted(commits) if number >= skipped]
        waits = sorted((arrivals[number] - commits[number][1]) * 1000 for number in counted)
        sent = sorted((arrivals[number] - commits[number][0]) * 1000 for number in counted)
        committed = [commits[number][1] for number in counted]
        rate = len(counted) / max(1e-9, max(committed) - min(committed))
        # An event may arrive before its loader's thread is told of the commit.
        return cls(max(0.0, _at(waits, 0.5)), max(0.0, _at(waits, 0.99)), waits[-1], _at(sent, 0.99), rate)


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _run(bench: Bench) -> list[Result]:
    warm, seconds = bench.seconds(_WARM_SECONDS), bench.seconds(_SECONDS)
    skipped, events = round(warm * _RATE), round((warm + seconds) * _RATE)
    rounds = Rounds("W-latency", events)
    found: list[dict[str, _Latencies]] = []
    while bench.wants(rounds):
        costs: dict[str, Cost] = {}
        latencies: dict[str, _Latencies] = {}
        for system in turns(bench.systems, len(found)):
            costs[system.name], latencies[system.name] = _once(bench, system, events, skipped)
        rounds.done.append(costs)
        found.append(latencies)
        shown = ", ".join(f"{name} p50 {each.p50:.1f} ms, p99 {each.p99:.1f} ms" for name, each in latencies.items())
        progress(f"W-latency, round {len(found)}: {shown}")
    calm = rounds.calm()
    kept = [each for each, costs in zip(found, rounds.done, strict=True) if costs in calm.done]
    return [_result(calm, [each[system] for each in kept], system, any(rounds.disturbed)) for system in calm.systems]


def _once(bench: Bench, system: System, events: int, skipped: int) -> tuple[Cost, _Latencies]:
    with bench.database(["orders"]) as database:
        database.execute(orders())
        system.attach(database)
        with (
            system.stream(database) as live,
            kafka.reading(bench.stack, system.topics(database), from_end=True) as log,
            paced(database, _RATE, events) as load,
            watched(
                live.processes,
                lambda: database.pids("walsender"),
                broker=bench.stack.pid("kafka"),
                ours=lambda: [load.pid, *database.pids("client backend")],
            ) as stretch,
        ):
            arrivals = _arrivals(log, events)
    return stretch.cost, _Latencies.of(arrivals, load.commits, skipped)


def _arrivals(log: Consumer, events: int) -> dict[int, float]:
    """When each event came.

    Raises:
        SystemExit: one did not, or one came twice, or none came for long.
    """
    found: list[tuple[float, bytes]] = []
    last = time.monotonic()
    while len(found) < events:
        message = log.poll(0.1)
        if message is not None and message.error() is None:
            last = time.monotonic()
            found.append((last, message.value() or b""))
        elif time.monotonic() - last > _PATIENCE:
            break
    arrivals = {number: at for at, value in found if (number := number_of(value)) is not None}
    if len(arrivals) != events or len(found) != events:
        raise SystemExit(f"W-latency: {len(found):,} records with {len(arrivals):,} of {events:,} events came")
    return arrivals


def _result(rounds: Rounds, found: list[_Latencies], system: str, disturbed: bool) -> Result:
    p50 = statistics.median(each.p50 for each in found)
    p99 = statistics.median(each.p99 for each in found)
    costs = rounds.costs(system)
    return targeted(
        rounds.workload,
        system,
        ratio=min(_P50_MS / max(p50, 0.001), _P99_MS / max(p99, 0.001)),
        rate=statistics.median(each.rate for each in found),
        processor=statistics.median(cost.processor for cost in costs) * 1e6 / rounds.events,
        peak_rss=max(cost.peak_rss for cost in costs),
        rounds=len(found),
        disturbed=disturbed,
        figures={
            "p50_ms": round(p50, 2),
            "p99_ms": round(p99, 2),
            "max_ms": round(max(each.most for each in found), 2),
            "p99_from_send_ms": round(statistics.median(each.p99_from_send for each in found), 2),
            "backend_cpu_seconds_per_million": round(
                statistics.median(cost.backends for cost in costs) * 1e6 / rounds.events, 2
            ),
            "broker_cpu_seconds_per_million": round(
                statistics.median(cost.broker for cost in costs) * 1e6 / rounds.events, 2
            ),
        },
    )


WORKLOADS = (Workload(("W-latency",), "1,000 inserts a second, commit to arrival at a consumer", _run),)
