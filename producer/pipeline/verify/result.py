"""What a comparison found, and how it is told.

Room: pipeline (pure).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["missing", "extra", "different"]
KINDS: tuple[Kind, ...] = ("missing", "extra", "different")

MOST_KEYS = 100
"""How many keys of a kind are listed of a table; all are counted."""


@dataclass(slots=True, kw_only=True)
class TableResult:
    """One table and its topic."""

    table: str
    topic: str
    position: str = ""
    """The LSN below which everything that the table shows was committed, of the last look at it."""
    rows: int = 0
    """Rows of the table, hashed or read."""
    hashed: bool = False
    """PostgreSQL computed hashes of buckets; else all rows were read."""
    buckets: int = 0
    buckets_read: int = 0
    """Buckets whose rows were read: their hashes differed."""
    rows_read: int = 0
    not_carried: int = 0
    """Rows that no record can carry: with errors.tolerance=all they are dead letters."""
    totals: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    keys: dict[Kind, list[object]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not any(self.totals.values())

    def as_json(self) -> dict[str, object]:
        """The document of `--json`."""
        return {
            "table": self.table,
            "topic": self.topic,
            "equal": self.equal,
            "position": self.position,
            "totals": dict(self.totals),
            **{kind: self.keys[kind] for kind in KINDS},
            "rows": self.rows,
            "rows_read": self.rows_read,
            "hashed": self.hashed,
            "buckets": self.buckets,
            "buckets_read": self.buckets_read,
            "not_carried": self.not_carried,
        }

    def line(self) -> str:
        """The same for a reader, without keys."""
        how = f"{self.rows} rows, {self.rows_read} of them read"
        if self.equal:
            return f"{self.table}: equal at {self.position} ({how})"
        found = ", ".join(f"{self.totals[kind]} {kind}" for kind in KINDS if self.totals[kind])
        return f"{self.table}: {found} at {self.position} ({how})"


@dataclass(slots=True, kw_only=True)
class Result:
    """All tables."""

    tables: Sequence[TableResult] = ()
    refused: dict[str, str] = field(default_factory=dict)
    """Tables that cannot be compared, and why."""
    behind: int | None = None
    """By how many bytes the slot was behind, with nobody reading it."""
    repaired: dict[str, int] = field(default_factory=dict)
    """Keys that were sent again, by table."""

    @property
    def equal(self) -> bool:
        """Whether no table that was compared differs."""
        return all(table.equal for table in self.tables)

    def as_json(self) -> dict[str, object]:
        """The document of `--json`."""
        return {
            "equal": self.equal,
            "totals": {kind: sum(table.totals[kind] for table in self.tables) for kind in KINDS},
            **{
                kind: [{"table": table.table, "key": key} for table in self.tables for key in table.keys[kind]]
                for kind in KINDS
            },
            "slot_behind_bytes": self.behind,
            "repaired": self.repaired,
            "not_compared": self.refused,
            "tables": [table.as_json() for table in self.tables],
        }
