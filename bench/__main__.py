"""`make bench`: the producer beside pg_recvlogical and COPY, on the real local stack, in one run."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from bench.measure import Cost
from bench.workloads import Workbench
from dev.stack import Stack

_RESULTS = Path(__file__).parent / "results.json"


def main() -> int:
    """Run the workloads, print a table, write results.json."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of the stream's backlog")
    parser.add_argument("--snapshot-rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    stack = Stack.load()
    stack.start()
    bench = Workbench(stack)
    try:
        rows = _stream(bench, arguments.rows, arguments.rounds)
        rows += _snapshot(bench, arguments.snapshot_rows, arguments.rounds)
    finally:
        bench.drop()
    _RESULTS.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"written to {_RESULTS.name}; seconds/M: processor seconds a million, start-up included")
    return 0


def _stream(bench: Workbench, rows: int, rounds: int) -> list[dict[str, object]]:
    """W-insert: a backlog of one table's rows, 1,000 a transaction."""
    reference, ours = [], []
    bench.producer("--once")
    for _ in range(rounds):
        end = bench.backlog(rows)
        reference.append(bench.recvlogical(end))
        ours.append(bench.producer("--once"))
    return _report("W-insert", rows, ("pg_recvlogical", reference), ("pg-producer", ours))


def _snapshot(bench: Workbench, rows: int, rounds: int) -> list[dict[str, object]]:
    """W-snap: one table, copied."""
    with bench.connect() as connection:
        connection.execute("TRUNCATE orders")
    bench.insert(rows, 50_000)
    with bench.connect() as connection:
        connection.execute("VACUUM ANALYZE orders")
    reference, ours = [], []
    for _ in range(rounds):
        reference.append(bench.copy())
        ours.append(bench.producer(mode="initial_only"))
    return _report("W-snap", rows, ("COPY to /dev/null", reference), ("pg-producer", ours))


def _report(
    workload: str, rows: int, reference: tuple[str, list[Cost]], ours: tuple[str, list[Cost]]
) -> list[dict[str, object]]:
    """Medians of the rounds, and the ratio of this very run."""
    ratio = statistics.median(r.seconds / o.seconds for r, o in zip(reference[1], ours[1], strict=True))
    found: list[dict[str, object]] = []
    print(f"\n{workload}, {rows:,} rows, medians of {len(ours[1])} rounds")
    print(f"{'system':20}{'rows/s':>10}{'s/M':>8}{'backends':>10}{'broker':>8}{'RSS MB':>8}{'ratio':>7}")
    for system, costs in (reference, ours):
        rate = rows / statistics.median(cost.seconds for cost in costs)
        million = 1e6 / rows
        own = statistics.median(cost.processor for cost in costs) * million
        backends = statistics.median(cost.others["backends"] for cost in costs) * million
        broker = statistics.median(cost.others.get("broker", 0.0) for cost in costs) * million
        peak = max(cost.peak_rss for cost in costs)
        shown = ratio if system == ours[0] else 1.0
        print(f"{system:20}{rate:10,.0f}{own:8.1f}{backends:10.1f}{broker:8.1f}{peak / 1e6:8.0f}{shown:7.2f}")
        found.append(
            {
                "workload": workload, "system": system, "rate_per_second": round(rate),
                "cpu_seconds_per_million": round(own, 2), "backend_cpu_seconds_per_million": round(backends, 2),
                "broker_cpu_seconds_per_million": round(broker, 2), "peak_rss_bytes": peak,
                "ratio_to_limit": round(shown, 3),
            }
        )  # fmt: skip
    return found


if __name__ == "__main__":
    sys.exit(main())
