"""What came of each fault: the table that is printed, and kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.chaos.judge import Verdict

_HEADS = ("fault", "rounds", "events", "lost", "out of order", "repeated", "longest stall, s")


@dataclass(slots=True)
class Line:
    """One fault's sum."""

    rounds: int = 0
    events: int = 0
    lost: int = 0
    out_of_order: int = 0
    repeated: int = 0
    longest_stall: float = 0.0
    failed: int = 0
    """Rounds that were not survived."""


class Table:
    """Sums by fault."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self.transactions = 0
        self.looks = 0
        self.scenes = 0
        self.bad: list[str] = []
        """What spoke against the promise, in words."""

    def line(self, fault: str) -> Line:
        """A fault's line, made when it is first asked for."""
        return self.lines.setdefault(fault, Line())

    def survived(self, fault: str, seconds: float) -> None:
        """One round is over."""
        line = self.line(fault)
        line.rounds += 1
        line.longest_stall = max(line.longest_stall, seconds)

    def add(self, verdict: Verdict) -> None:
        """A scene was judged."""
        self.scenes += 1
        self.transactions += verdict.transactions
        self.looks += verdict.looks
        self.bad += verdict.differences
        for fault, counts in verdict.counts.items():
            line = self.line(fault)
            line.events += counts.events
            line.lost += counts.lost
            line.out_of_order += counts.out_of_order
            line.repeated += counts.repeated

    @property
    def total(self) -> Line:
        """The sum of all."""
        sums = Line()
        for line in self.lines.values():
            for name in ("rounds", "events", "lost", "out_of_order", "repeated", "failed"):
                setattr(sums, name, getattr(sums, name) + getattr(line, name))
            sums.longest_stall = max(sums.longest_stall, line.longest_stall)
        return sums

    def markdown(self, order: Iterable[str]) -> str:
        """The table, its faults in this order."""
        rows = [_HEADS, ("---", *("---:" for _ in _HEADS[1:]))]
        named = [(name, self.lines[name]) for name in order if name in self.lines]
        for name, line in (*named, ("**all**", self.total)):
            counts = (line.rounds, line.events, line.lost, line.out_of_order, line.repeated)
            rows.append((name, *(f"{count:,}" for count in counts), f"{line.longest_stall:.1f}"))
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def save(self, path: Path, facts: dict[str, object]) -> None:
        """As JSON."""
        lines = {name: asdict(line) for name, line in self.lines.items()}
        document = {**facts, "scenes": self.scenes, "transactions": self.transactions, "looks": self.looks}
        path.write_text(json.dumps({**document, "bad": self.bad, "faults": lines}, indent=1) + "\n")
