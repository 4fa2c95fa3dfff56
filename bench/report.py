"""Of several rounds: a table for people, rows for results.json."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from bench.measure import Cost
from bench.rounds import Rounds

Result = dict[str, object]
"""One object of results.json."""


def compared(rounds: Rounds, extra: Callable[[str], Result] = lambda _system: {}) -> list[Result]:
    """Print the rounds and their medians; a result for each system.

    `extra`: what is told of a system beside that.
    """
    print(f"\n{rounds.workload}, {rounds.events:,} events or rows")
    for number, (each, disturbed) in enumerate(zip(rounds.done, rounds.disturbed, strict=True), 1):
        shown = ", ".join(f"{name} {each[name].seconds:.2f} s ({each[name].foreign:.0%})" for name in rounds.systems)
        print(f"  round {number}: {shown}{'  DISTURBED' if disturbed else ''}")
    calm = rounds.calm()
    print(f"  medians of {len(calm.done)} rounds; {len(rounds.done) - len(calm.done)} disturbed ones left out")
    if any(calm.disturbed):
        print("  ALL rounds were disturbed: these figures say little, run again on a quiet machine")
    print(
        f"  {'system':24}{'events/s':>10}{'s/M':>8}{'start s':>9}{'backends s/M':>14}{'broker s/M':>12}"
        f"{'RSS MB':>8}{'ratio':>7}"
    )
    return [_system(calm, system, any(rounds.disturbed), extra(system)) for system in calm.systems]


def _system(rounds: Rounds, system: str, disturbed: bool, extra: Result) -> Result:
    costs = rounds.costs(system)

    def median(of: Callable[[Cost], float]) -> float:
        return statistics.median(of(cost) for cost in costs)

    million = 1e6 / rounds.events
    rate = rounds.events / median(lambda cost: cost.seconds)
    own = median(lambda cost: cost.processor) * million
    start = median(lambda cost: cost.start_processor)
    backends = median(lambda cost: cost.backends) * million
    broker = median(lambda cost: cost.broker) * million
    peak = max(cost.peak_rss for cost in costs)
    ratio = rounds.ratio(system)
    print(
        f"  {system:24}{rate:10,.0f}{own:8.2f}{start:9.2f}{backends:14.2f}{broker:12.2f}{peak / 1e6:8.0f}"
        f"{'' if ratio is None else f'{ratio:.2f}':>7}"
    )
    return {
        "workload": rounds.workload,
        "system": system,
        "rate_per_second": round(rate),
        "cpu_seconds_per_million": round(own, 2),
        "peak_rss_bytes": peak,
        "ratio_to_limit": None if ratio is None else round(ratio, 3),
        "start_cpu_seconds": round(start, 2),
        "backend_cpu_seconds_per_million": round(backends, 2),
        "broker_cpu_seconds_per_million": round(broker, 2),
        "events": rounds.events,
        "rounds": len(costs),
        "disturbed": disturbed,
        **extra,
    }


def targeted(
    workload: str,
    system: str,
    *,
    ratio: float,
    peak_rss: int,
    rounds: int,
    disturbed: bool,
    figures: Result,
    rate: float | None = None,
    processor: float | None = None,
) -> Result:
    """Print what was measured against a target, and the result: `ratio` is 1 or more where the target is met."""
    shown = ", ".join(
        f"{name} {value:,}" if isinstance(value, (int, float)) else name for name, value in figures.items()
    )
    print(f"\n{workload}, {system}, {rounds} rounds{', DISTURBED' if disturbed else ''}")
    print(f"  {shown}")
    print(f"  target {'met' if ratio >= 1 else 'MISSED'}: {ratio:.2f} x")
    return {
        "workload": workload,
        "system": system,
        "rate_per_second": None if rate is None else round(rate, 1),
        "cpu_seconds_per_million": None if processor is None else round(processor, 2),
        "peak_rss_bytes": peak_rss,
        "ratio_to_limit": round(ratio, 3),
        "rounds": rounds,
        "disturbed": disturbed,
        **figures,
    }
