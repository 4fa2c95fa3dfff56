"""Events of a table that were handed to the sink, by `op`: plain integers, which the fast path counts up.

Room: transcode (pure). Types are in counts.pxd.
"""

from __future__ import annotations


class Counts:
    """Of one table, for as long as the process runs: plans come and go."""

    def __init__(self) -> None:
        self.creates = 0
        self.updates = 0
        self.deletes = 0
        self.truncates = 0
        self.messages = 0

    def add(self, op: str) -> None:
        """One more event of this `op`."""
        if op == "c":
            self.creates += 1
        elif op == "u":
            self.updates += 1
        elif op == "d":
            self.deletes += 1
        elif op == "t":
            self.truncates += 1
        else:
            self.messages += 1

    def by_op(self) -> dict[str, int]:
        """How many of each `op`."""
        return {
            "c": self.creates, "u": self.updates, "d": self.deletes, "t": self.truncates, "m": self.messages,
        }  # fmt: skip
