"""Debezium beside pg-producer: its workers, and how many times one is of the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.connect.converter import build
from bench.connect.variants import VARIANTS
from bench.report import Result
from bench.rounds import progress
from bench.systems.debezium import Debezium
from dev.fetch import fetch_source
from dev.stack import Stack

WORKLOADS = ("W-insert", "W-update-1", "W-update-8", "W-snap", "W-latency")
"""What peers are set to work on when nothing is named."""
NAMES = tuple(VARIANTS)
_WARM_UP = 450_000


@contextmanager
def peers(stack: Stack, names: Sequence[str], scale: float) -> Iterator[tuple[Debezium, ...]]:
    """Each in a warm worker of its own; all are gone afterwards."""
    if not names:
        yield ()
        return
    connector = fetch_source(stack.cache)
    with ExitStack() as undo:
        plugins = Path(undo.enter_context(tempfile.TemporaryDirectory()))
        build(stack.cache, plugins)
        found = []
        for name in names:
            progress(f"{name}: its worker is started and warmed up")
            peer = Debezium(stack, name, (connector, plugins))
            undo.callback(peer.end)
            peer.start(max(1000, round(_WARM_UP * min(1.0, scale))))
            found.append(peer)
        yield tuple(found)


def against(results: Sequence[Result], others: Sequence[Debezium], ours: str) -> list[Result]:
    """Print how pg-producer stands to its peers on each workload; the results with that in the peers' own."""
    found = []
    known = {peer.name: peer for peer in others}
    mine = {result["workload"]: result for result in results if result["system"] == ours}
    print(f"\n{ours} to its peers: events/s, and processor seconds a million without what the start took")
    for result in results:
        peer = known.get(str(result["system"]))
        if peer is None:
            found.append(result)
            continue
        own = mine[result["workload"]]
        times = {
            "pg_producer_rate_ratio": _times(own["rate_per_second"], result["rate_per_second"]),
            "pg_producer_cpu_ratio": _times(_work(own), _work(result)),
        }
        shown = ", ".join("-" if value is None else f"{value:.2f} x" for value in times.values())
        print(f"  {result['workload']:12}{peer.name:24}{shown}")
        found.append(
            {
                **result,
                **times,
                "worker_start_cpu_seconds": round(peer.worker_start_cpu_seconds, 2),
                "warm_up_cpu_seconds": round(peer.warm_up_cpu_seconds, 2),
            }
        )
    for peer in others:
        print(
            f"  {peer.name}: {peer.worker_start_cpu_seconds:.1f} processor seconds until its worker took connectors, "
            f"{peer.warm_up_cpu_seconds:.1f} until it was warm"
        )
    return found


def _work(result: Result) -> float | None:
    """Processor seconds a million events, without the start's."""
    total, start, events = (result.get(name) for name in ("cpu_seconds_per_million", "start_cpu_seconds", "events"))
    if not isinstance(total, float) or not isinstance(start, float) or not isinstance(events, int):
        return None
    return total - start * 1e6 / events


def _times(ours: object, theirs: object) -> float | None:
    if not isinstance(ours, (int, float)) or not isinstance(theirs, (int, float)) or not theirs:
        return None
    return round(ours / theirs, 3)
