"""What the records of the offsets topic say, and how: Connect's JSON, by Debezium's names where it has one.

Room: sink (pure). KIP-875 (the records' form).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct

from producer.events import Relation
from producer.lsn import Lsn

_Natural = Annotated[int, Meta(ge=0)]
Pages = tuple[int, int | None]
"""A chunk of a table: its first page, and the one behind its last; None: it has all that follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is in the topics of that which lies behind `Offset.lsn`: all up to a position."""

    commit_lsn: Lsn
    """Of a transaction that was sent in part; or, with ordinal 0, of a logical message outside of any."""
    ordinal: int
    """Of the last event sent."""
    fingerprint: str
    """Of what ordinals depend on: with another, the transaction is sent again whole."""

    def as_json(self) -> dict[str, object]:
        """The part of the record's value."""
        return {"commit_lsn": int(self.commit_lsn), "ordinal": self.ordinal, "fingerprint": self.fingerprint}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """How far the producer is."""

    lsn: Lsn
    """Where the stream goes on: everything before it is acked."""
    slot: str
    """Empty: there is none, `lsn` is the position of the last full-table run's rows (its latest snapshot's)."""
    system_id: str
    timeline: int
    commit_lsn: Lsn | None = None
    """The last transaction that is acked whole; None before the first."""
    tx_id: int | None = None
    commit_us: int | None = None
    """When that was committed; when the run took its first snapshot."""
    snapshot: Literal["running", "completed"] | None = None
    consistent_point: Lsn | None = None
    """The snapshot's LSN: the position of its rows."""
    part: Part | None = None
    """Only with Kafka transactions."""
    reconcile: bool = False
    """Tables are read again after a slot was lost: keys that the topics hold and they do not are to be deleted."""

    def as_json(self) -> bytes:
        """The record's value."""
        document: dict[str, object] = {
            "lsn": int(self.lsn),
            "lsn_proc": int(self.lsn),
            "lsn_commit": None if self.commit_lsn is None else int(self.commit_lsn),
            "txId": self.tx_id,
            "ts_usec": self.commit_us,
        }
        if self.snapshot is not None:
            document["snapshot"] = "INITIAL"
            document["snapshot_completed"] = self.snapshot == "completed"
        document |= {
            "slot": self.slot,
            "system_id": self.system_id,
            "timeline": self.timeline,
            "consistent_point": None if self.consistent_point is None else int(self.consistent_point),
            "part": None if self.part is None else self.part.as_json(),
            "reconcile": self.reconcile or None,
        }
        return encoded({name: value for name, value in document.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMark:
    """A table whose snapshot rows are all acked."""

    rows: int
    position: Lsn
    filenode: int | None
    """pg_class.relfilenode when it was read: a rewritten table has another."""
    left: bool = False
    """It is not selected any more: what became of it since is in no stream of ours."""

    def as_json(self) -> bytes:
        """The record's value."""
        document = {"rows": self.rows, "position": int(self.position), "filenode": self.filenode}
        return encoded(document | ({"left": True} if self.left else {}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkMark:
    """A chunk of a table whose rows are all acked, while others are not. It is of one file of one server's history."""

    rows: int
    position: Lsn
    filenode: int
    system_id: str
    timeline: int

    def as_json(self) -> bytes:
        """The record's value."""
        return encoded(
            {
                "rows": self.rows,
                "position": int(self.position),
                "filenode": self.filenode,
                "system_id": self.system_id,
                "timeline": self.timeline,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What the topic remembers of one connector."""

    offset: Offset | None = None
    tables: dict[str, TableMark] = field(default_factory=dict)
    """By `schema.table`."""
    chunks: dict[str, dict[Pages, ChunkMark]] = field(default_factory=dict)
    """Of tables that were read in part."""
    shapes: dict[tuple[str, str], Relation] = field(default_factory=dict)
    """The shape that the stream walked last, by schema and name as the log has them."""
    written_us: int = field(default=0, compare=False)
    """When the last of it was written, by Kafka's timestamps."""
    published: dict[int, int] = field(default_factory=dict)
    """What put each table into the publication when the stream read it last, by the table's OID; pgoutput only."""


class _PartForm(Struct):
    commit_lsn: _Natural
    ordinal: _Natural
    fingerprint: str

    def part(self) -> Part:
        return Part(commit_lsn=Lsn(self.commit_lsn), ordinal=self.ordinal, fingerprint=self.fingerprint)


class OffsetForm(Struct, rename={"tx_id": "txId"}):
    """The value of a position; names unknown to us are left to those who wrote them."""

    lsn: _Natural
    slot: str
    system_id: str
    timeline: int
    lsn_commit: _Natural | None = None
    tx_id: int | None = None
    ts_usec: int | None = None
    snapshot_completed: bool | None = None
    consistent_point: _Natural | None = None
    part: _PartForm | None = None
    reconcile: bool = False

    def offset(self) -> Offset:
        """What it says."""
        snapshot: Literal["running", "completed"] | None = None
        if self.snapshot_completed is not None:
            snapshot = "completed" if self.snapshot_completed else "running"
        return Offset(
            lsn=Lsn(self.lsn),
            slot=self.slot,
            system_id=self.system_id,
            timeline=self.timeline,
            commit_lsn=_lsn(self.lsn_commit),
            tx_id=self.tx_id,
            commit_us=self.ts_usec,
            snapshot=snapshot,
            consistent_point=_lsn(self.consistent_point),
            part=None if self.part is None else self.part.part(),
            reconcile=self.reconcile,
        )


class MarkForm(Struct):
    """The value of a table's mark."""

    rows: _Natural
    position: _Natural
    filenode: _Natural | None = None
    left: bool = False

    def mark(self) -> TableMark:
        """What it says."""
        return TableMark(rows=self.rows, position=Lsn(self.position), filenode=self.filenode, left=self.left)


class ChunkForm(Struct):
    """The value of a chunk's mark."""

    rows: _Natural
    position: _Natural
    filenode: _Natural
    system_id: str
    timeline: int

    def mark(self) -> ChunkMark:
        """What it says."""
        return ChunkMark(
            rows=self.rows,
            position=Lsn(self.position),
            filenode=self.filenode,
            system_id=self.system_id,
            timeline=self.timeline,
        )


class PublishedForm(Struct):
    """The value of what is published."""

    tables: dict[int, int]


Form = TypeVar("Form", OffsetForm, MarkForm, ChunkForm, PublishedForm)


def _lsn(number: int | None) -> Lsn | None:
    return None if number is None else Lsn(number)


def encoded(document: object) -> bytes:
    """As Connect's JsonConverter writes it: no blanks, UTF-8."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
