"""Of several rounds: a table for people, a list for results.json."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.measure import Cost

# More of the machine than this in other hands, and a round says little.
_DISTURBED = 0.15


@dataclass(frozen=True, slots=True)
class Rounds:
    """One workload, done by the reference and by us, round by round."""

    workload: str
    rows: int
    limit: str
    reference: list[Cost]
    ours: list[Cost]

    @property
    def ratios(self) -> list[float]:
        """Ours to the reference's rate, round by round."""
        return [there.seconds / here.seconds for there, here in zip(self.reference, self.ours, strict=True)]

    @property
    def disturbed(self) -> list[bool]:
        """Whether others had too much of the machine, round by round."""
        return [
            max(there.foreign, here.foreign) > _DISTURBED for there, here in zip(self.reference, self.ours, strict=True)
        ]

    def wanting(self, rounds: int) -> bool:
        """Rounds are missing: a disturbed one is repeated, but not for ever."""
        return len(self.ours) < rounds + min(sum(self.disturbed), 2 * rounds)

    def calm(self) -> Rounds:
        """The rounds that nobody disturbed, whatever came out of them; all of them when there is none."""
        kept = [index for index, disturbed in enumerate(self.disturbed) if not disturbed]
        if not kept:
            return self
        return replace(self, reference=[self.reference[i] for i in kept], ours=[self.ours[i] for i in kept])


def report(rounds: Rounds) -> list[dict[str, object]]:
    """Print the rounds and their medians; what goes to results.json."""
    print(f"\n{rounds.workload}, {rounds.rows:,} rows")
    for number, (there, here, ratio) in enumerate(zip(rounds.reference, rounds.ours, rounds.ratios, strict=True), 1):
        mark = "  DISTURBED" if rounds.disturbed[number - 1] else ""
        print(
            f"  round {number}: {rounds.limit} {there.seconds:.2f} s, pg-producer {here.seconds:.2f} s, "
            f"ratio {ratio:.2f}; others had {there.foreign:.0%} and {here.foreign:.0%} of the machine{mark}"
        )
    calm = rounds.calm()
    left = len(rounds.ours) - len(calm.ours)
    print(f"  medians of {len(calm.ours)} rounds; {left} disturbed ones left out")
    if any(calm.disturbed):
        print("  ALL rounds were disturbed: these figures say little, run again on a quiet machine")
    print(
        f"  {'system':16}{'rows/s':>10}{'s/M':>8}{'start s':>9}{'backends s/M':>14}{'broker s/M':>12}"
        f"{'RSS MB':>8}{'ratio':>7}"
    )
    both = ((calm.limit, calm.reference, 1.0), ("pg-producer", calm.ours, statistics.median(calm.ratios)))
    return [_system(calm, system, costs, ratio) for system, costs, ratio in both]


def _system(rounds: Rounds, system: str, costs: list[Cost], ratio: float) -> dict[str, object]:
    def median(of: Callable[[Cost], float]) -> float:
        return statistics.median(of(cost) for cost in costs)

    million = 1e6 / rounds.rows
    rate = rounds.rows / median(lambda cost: cost.seconds)
    own = median(lambda cost: cost.processor) * million
    start = median(lambda cost: cost.start_processor)
    backends = median(lambda cost: cost.backends) * million
    broker = median(lambda cost: cost.broker) * million
    peak = max(cost.peak_rss for cost in costs)
    print(
        f"  {system:16}{rate:10,.0f}{own:8.2f}{start:9.2f}{backends:14.2f}{broker:12.2f}{peak / 1e6:8.0f}{ratio:7.2f}"
    )
    return {
        "workload": rounds.workload,
        "system": system,
        "rate_per_second": round(rate),
        "cpu_seconds_per_million": round(own, 2),
        "start_cpu_seconds": round(start, 2),
        "backend_cpu_seconds_per_million": round(backends, 2),
        "broker_cpu_seconds_per_million": round(broker, 2),
        "peak_rss_bytes": peak,
        "ratio_to_limit": round(ratio, 3),
        "rounds": len(costs),
        "disturbed": any(rounds.disturbed),
    }
