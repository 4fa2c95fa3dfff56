"""What `check` found: a line for each precondition.

Room: findings (pure). docs/check.md says what each line means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from producer.errors import ProducerError

Status = Literal["ok", "warning", "failed"]
Name = Literal[
    "array", "arrays", "clocks", "columns", "connection", "encoding", "filters", "hosting platform", "identity of",
    "idle slots", "kafka", "keys", "money", "NaN and Infinity", "not captured", "open transactions", "other plugin",
    "partitions", "plugin", "plugin allowed", "plugin loses", "plugin version", "position", "prepared transactions",
    "primary", "publication", "read rights", "registry settings", "replication right", "replication slots",
    "retained WAL", "role", "route", "schema of", "schema registry", "schemas", "server version", "session settings",
    "sessions", "silent streams", "slot", "source", "table", "tables", "topic", "topic partitions", "topic policies",
    "topic record sizes", "topic replicas", "topic retention", "topic rights", "topics", "transactions", "transcoder",
    "unlogged partitions", "values", "virtual columns", "wal senders", "wal_level", "writers of",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `check`; the remedy is text to paste, empty where nothing is to be done."""

    name: Name
    about: str = ""
    """Which table, column or topic, where the line is of one."""
    status: Status
    detail: str
    remedy: str = ""

    @property
    def title(self) -> str:
        """The name, and what it is about."""
        return f"{self.name} {self.about}".rstrip()

    @classmethod
    def of(cls, name: Name, error: ProducerError, about: str = "") -> Finding:
        """A failure, from the error that `run` would end with."""
        return cls(name=name, about=about, status="failed", detail=error.message, remedy=error.remedy)
