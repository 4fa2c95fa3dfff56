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
from bench.systems import System
from bench.systems.debezium import Debezium
from dev.fetch import fetch_source
from dev.stack import Stack

WORKLOADS = ("W-insert", "W-update-1", "W-update-8", "W-snap", "W-latency")
"""What peers are set to work on when nothing is named."""
NAMES = tuple(VARIANTS)
_WARM_UP = 150_000


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
            peer.start(round(_WARM_UP * min(1.0, scale)))
            found.append(peer)
        yield tuple(found)


def against(results: Sequence[Result], others: Sequence[Debezium], ours: Sequence[System]) -> list[Result]:
    """Print how pg-producer stands to its peers on each workload; the results with that in the peers' own."""
    known = {peer.name: peer for peer in others}
    mine = {(result["workload"], result["system"]): result for result in results}
    print("\nour figures as multiples of our peers'; processor seconds without the start's")
    found = []
    for result in results:
        if peer := known.get(str(result["system"])):
            told: Result = {}
            for each in ours:
                times = _multiples(mine[result["workload"], each.name], result)
                shown = ", ".join(f"{name} {value:.2f} x" for name, value in times.items() if value is not None)
                print(f"  {result['workload']:12}{each.name:22}{peer.name:24}{shown}")
                told |= {f"{each.name.replace('-', '_')}_{name}_ratio": value for name, value in times.items()}
            found.append({**result, **told, **_warmth(peer)})
        else:
            found.append(result)
    for peer in others:
        print(
            f"  {peer.name}: {peer.worker_start_cpu_seconds:.1f} processor seconds until its worker took connectors, "
            f"{peer.warm_up_cpu_seconds:.1f} until it was warm"
        )
    return found


def _multiples(ours: Result, theirs: Result) -> dict[str, float | None]:
    cpu = {"cpu": _times(_work(ours), _work(theirs))}
    if "p50_ms" in ours:
        # The pace is the load's.
        return {name: _times(ours[f"{name}_ms"], theirs[f"{name}_ms"]) for name in ("p50", "p99")} | cpu
    return {"rate": _times(ours["rate_per_second"], theirs["rate_per_second"])} | cpu


def _warmth(peer: Debezium) -> Result:
    return {
        "worker_start_cpu_seconds": round(peer.worker_start_cpu_seconds, 2),
        "warm_up_cpu_seconds": round(peer.warm_up_cpu_seconds, 2),
    }


def _work(result: Result) -> float | None:
    """Processor seconds a million events, without the start's; none of it is counted where nothing is started."""
    total, start, events = (result.get(name) for name in ("cpu_seconds_per_million", "start_cpu_seconds", "events"))
    if isinstance(total, float) and isinstance(start, float) and isinstance(events, int):
        return total - start * 1e6 / events
    return total if isinstance(total, float) else None


def _times(ours: object, theirs: object) -> float | None:
    if not isinstance(ours, (int, float)) or not isinstance(theirs, (int, float)) or not theirs:
        return None
    return round(ours / theirs, 3)
