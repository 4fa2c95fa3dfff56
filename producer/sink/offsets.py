"""Our own position, kept in a compacted topic by Kafka Connect's convention.

Room: sink (IO: Kafka). Kafka Connect user guide, "Running Kafka Connect" (offset.storage.topic);
KIP-875 (the records' form). Names in the value are Debezium's where it has one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from producer.acks import Group
from producer.errors import OperatorError
from producer.events import Relation
from producer.lsn import Lsn
from producer.sink.protocol import RawRecord, Sink

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
        return _json({name: value for name, value in document.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMark:
    """A table whose snapshot rows are all acked."""

    rows: int
    position: Lsn
    filenode: int | None
    """pg_class.relfilenode when it was read: a rewritten table has another."""

    def as_json(self) -> bytes:
        """The record's value."""
        return _json({"rows": self.rows, "position": int(self.position), "filenode": self.filenode})


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
        return _json(
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


class _OffsetForm(Struct, rename={"tx_id": "txId"}):
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


class _MarkForm(Struct):
    rows: _Natural
    position: _Natural
    filenode: _Natural | None = None

    def mark(self) -> TableMark:
        return TableMark(rows=self.rows, position=Lsn(self.position), filenode=self.filenode)


class _ChunkForm(Struct):
    rows: _Natural
    position: _Natural
    filenode: _Natural
    system_id: str
    timeline: int

    def mark(self) -> ChunkMark:
        return ChunkMark(
            rows=self.rows,
            position=Lsn(self.position),
            filenode=self.filenode,
            system_id=self.system_id,
            timeline=self.timeline,
        )


class _PublishedForm(Struct):
    tables: dict[int, int]


_Form = TypeVar("_Form", _OffsetForm, _MarkForm, _ChunkForm, _PublishedForm)


class OffsetsTopic:
    """The records of one connector in the offsets topic, which connectors may share."""

    def __init__(self, sink: Sink, topic: str, *, name: str, server: str, replication_factor: int = -1) -> None:
        self.topic = topic
        self._sink = sink
        self._name = name
        self._server = server
        self._replication_factor = replication_factor
        self._key = _json([name, {"server": server}])
        self._published_key = _json([name, {"server": server, "published": True}])

    def ensure(self, *, create: bool = True) -> None:
        """Make sure of the topic.

        Raises:
            OperatorError: it is missing and may not be created, or it is not compacted: Kafka would
                delete the position after the retention time.
        """
        self._sink.ensure_topics(
            [self.topic],
            partitions=1,
            replication_factor=self._replication_factor,
            config={"cleanup.policy": "compact"},
            create=create,
        )
        config = self._sink.topic_config(self.topic)
        policy = None if config is None else config.get("cleanup.policy")
        if policy is not None and policy != "compact":
            raise OperatorError(
                f"topic {self.topic} (offset.storage.topic) has cleanup.policy={policy}: Kafka would delete positions",
                remedy="kafka-configs --bootstrap-server … --alter --entity-type topics "
                f"--entity-name {self.topic} --add-config cleanup.policy=compact",
            )

    def load(self, timeout_s: float, *, stable: bool = False) -> Loaded:
        """Read the topic to its end; a later record replaces an earlier one, a null forgets it.

        A position of the same slot never goes back: `_further`. `stable`: what an open transaction
        hides, a dead predecessor's perhaps, is not waited for.

        Raises:
            OperatorError: a value that is ours is not what we write.
            KafkaUnavailable: the end was not reached in time.
        """
        offset: Offset | None = None
        tables: dict[str, TableMark] = {}
        chunks: dict[str, dict[Pages, ChunkMark]] = {}
        shapes: dict[tuple[str, str], Relation] = {}
        written_ms = 0
        published: dict[int, int] = {}
        # The topic is shared: of what others keep there, nothing is held.
        for record in self._sink.read(self.topic, timeout_s, self._key.removesuffix(b"}]"), stable=stable):
            if record.key == self._key:
                offset = None if record.value is None else _further(offset, self._parse(record, _OffsetForm).offset())
            elif record.key == self._published_key:
                published = {} if record.value is None else self._parse(record, _PublishedForm).tables
            elif (table := self._table(record.key)) is not None:
                tables.pop(table, None)
                if record.value is not None:
                    tables[table] = self._parse(record, _MarkForm).mark()
            elif (chunk := self._chunk(record.key)) is not None:
                table, pages = chunk
                marks = chunks.setdefault(table, {})
                marks.pop(pages, None)
                if record.value is not None:
                    marks[pages] = self._parse(record, _ChunkForm).mark()
            elif (names := self._shape_of(record.key)) is not None:
                shapes.pop(names, None)
                shape = _relation(record.value)
                if shape is not None:
                    shapes[names] = shape
            else:
                continue
            written_ms = max(written_ms, record.timestamp_ms)
        chunks = {table: marks for table, marks in chunks.items() if marks}
        return Loaded(
            offset=offset,
            tables=tables,
            chunks=chunks,
            shapes=shapes,
            published=published,
            written_us=written_ms * 1000,
        )

    def write(self, offset: Offset | None, group: Group) -> None:
        """Send the position, counted in `group`; None forgets it."""
        self._sink.send(self.topic, self._key, None if offset is None else offset.as_json(), group)

    def write_mark(self, table: str, mark: TableMark | None, group: Group) -> None:
        """Send the mark of `schema.table`, counted in `group`; None forgets it."""
        key = _json([self._name, {"server": self._server, "table": table}])
        self._sink.send(self.topic, key, None if mark is None else mark.as_json(), group)

    def write_chunk(self, table: str, pages: Pages, mark: ChunkMark | None, group: Group) -> None:
        """Send the mark of a chunk of `schema.table`, counted in `group`; None forgets it."""
        key = _json([self._name, {"server": self._server, "table": table, "chunk": pages}])
        self._sink.send(self.topic, key, None if mark is None else mark.as_json(), group)

    def write_shape(self, names: tuple[str, str], shape: Relation | None, group: Group) -> None:
        """Send the shape of a table, counted in `group`; None forgets it."""
        key = _json([self._name, {"server": self._server, "shape": names}])
        self._sink.send(self.topic, key, None if shape is None else msgspec.json.encode(shape), group)

    def write_published(self, tables: Mapping[int, int] | None, group: Group) -> None:
        """Send what puts each table into the publication, by OIDs, counted in `group`; None forgets it."""
        value = None if tables is None else _json({"tables": tables})
        self._sink.send(self.topic, self._published_key, value, group)

    def _shape_of(self, key: bytes | None) -> tuple[str, str] | None:
        """The names whose shape a key of ours stores; None: not ours, or no shape."""
        try:
            name, where = json.loads(key or b"")
            schema, table = where["shape"]
        except (ValueError, TypeError, KeyError):
            return None
        ours = name == self._name and where == {"server": self._server, "shape": [schema, table]}
        return (schema, table) if ours and isinstance(schema, str) and isinstance(table, str) else None

    def _table(self, key: bytes | None) -> str | None:
        """The table that a key of ours marks; None: not ours, or no mark."""
        try:
            name, where = json.loads(key or b"")
            table = where["table"]
        except (ValueError, TypeError, KeyError):
            return None  # the topic is shared: what is not ours may have any form
        ours = name == self._name and where == {"server": self._server, "table": table}
        return table if ours and isinstance(table, str) else None

    def _chunk(self, key: bytes | None) -> tuple[str, Pages] | None:
        """The table and the chunk of it that a key of ours marks; None: not ours, or no chunk."""
        try:
            name, where = json.loads(key or b"")
            table, (first, end) = where["table"], where["chunk"]
        except (ValueError, TypeError, KeyError):
            return None
        ours = name == self._name and where == {"server": self._server, "table": table, "chunk": [first, end]}
        pages = isinstance(first, int) and (end is None or isinstance(end, int))
        return (table, (first, end)) if ours and pages and isinstance(table, str) else None

    def _parse(self, record: RawRecord, form: type[_Form]) -> _Form:
        try:
            return msgspec.json.decode(record.value or b"", type=form)
        except msgspec.MsgspecError as error:
            key = (record.key or b"").decode(errors="replace")
            raise OperatorError(
                f"topic {self.topic} [{record.partition}], offset {record.offset}, key {key}: the value "
                f"is not as pg-producer writes it: {error}",
                remedy="write a null with this key (kafka-console-producer --property parse.key=true "
                "--property null.marker=NULL): it is then forgotten; snapshot.mode decides the next start",
            ) from error


def _further(known: Offset | None, found: Offset) -> Offset:
    """Of two positions the later one, but the further one where both are of one slot.

    A reader that was cut off, or stopped and went on, may store its last position after its successor has.
    """
    if known is None or (known.slot, known.system_id, known.timeline) != (found.slot, found.system_id, found.timeline):
        return found
    if found.reconcile:
        # A recovery begins anew, perhaps of a database that has gone back.
        return found
    return known if known.lsn > found.lsn else found


def _relation(value: bytes | None) -> Relation | None:
    """A stored shape. One of another release's form is as good as none: the catalogue tells of now."""
    try:
        return None if value is None else msgspec.json.decode(value, type=Relation)
    except msgspec.MsgspecError:
        return None


def _lsn(number: int | None) -> Lsn | None:
    return None if number is None else Lsn(number)


def _json(document: object) -> bytes:
    """As Connect's JsonConverter writes it: no blanks, UTF-8."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
