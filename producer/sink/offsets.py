"""Our own position, kept in a compacted topic by Kafka Connect's convention.

Room: sink (IO: Kafka). Kafka Connect user guide, "Running Kafka Connect" (offset.storage.topic);
KIP-875 (the records' form). Names in the value are Debezium's where it has one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec

from producer.acks import Group
from producer.errors import OperatorError
from producer.events import Relation
from producer.sink.protocol import RawRecord, Sink
from producer.sink.remembered import (
    ChunkForm,
    ChunkMark,
    Form,
    Loaded,
    MarkForm,
    Offset,
    OffsetForm,
    Pages,
    Part,
    PublishedForm,
    TableMark,
    encoded,
)

__all__ = ["ChunkMark", "Loaded", "Offset", "OffsetsTopic", "Pages", "Part", "TableMark"]


class OffsetsTopic:
    """The records of one connector in the offsets topic, which connectors may share."""

    def __init__(self, sink: Sink, topic: str, *, name: str, server: str, replication_factor: int = -1) -> None:
        self.topic = topic
        self._sink = sink
        self._name = name
        self._server = server
        self._replication_factor = replication_factor
        self._key = encoded([name, {"server": server}])
        self._published_key = encoded([name, {"server": server, "published": True}])

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
                offset = None if record.value is None else _further(offset, self._parse(record, OffsetForm).offset())
            elif record.key == self._published_key:
                published = {} if record.value is None else self._parse(record, PublishedForm).tables
            elif (table := self._table(record.key)) is not None:
                tables.pop(table, None)
                if record.value is not None:
                    tables[table] = self._parse(record, MarkForm).mark()
            elif (chunk := self._chunk(record.key)) is not None:
                table, pages = chunk
                marks = chunks.setdefault(table, {})
                marks.pop(pages, None)
                if record.value is not None:
                    marks[pages] = self._parse(record, ChunkForm).mark()
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
        key = encoded([self._name, {"server": self._server, "table": table}])
        self._sink.send(self.topic, key, None if mark is None else mark.as_json(), group)

    def write_chunk(self, table: str, pages: Pages, mark: ChunkMark | None, group: Group) -> None:
        """Send the mark of a chunk of `schema.table`, counted in `group`; None forgets it."""
        key = encoded([self._name, {"server": self._server, "table": table, "chunk": pages}])
        self._sink.send(self.topic, key, None if mark is None else mark.as_json(), group)

    def write_shape(self, names: tuple[str, str], shape: Relation | None, group: Group) -> None:
        """Send the shape of a table, counted in `group`; None forgets it."""
        key = encoded([self._name, {"server": self._server, "shape": names}])
        self._sink.send(self.topic, key, None if shape is None else msgspec.json.encode(shape), group)

    def write_published(self, tables: Mapping[int, int] | None, group: Group) -> None:
        """Send what puts each table into the publication, by OIDs, counted in `group`; None forgets it."""
        value = None if tables is None else encoded({"tables": tables})
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

    def _parse(self, record: RawRecord, form: type[Form]) -> Form:
        try:
            return msgspec.json.decode(record.value or b"", type=form)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
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
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
