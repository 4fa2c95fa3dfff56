"""The keys that a topic holds: those whose last record is neither a tombstone nor a delete.

Room: pipeline (IO: Kafka through the sink it is given, the registry, a temporary file). Kafka
documentation, "Log Compaction"; SQLite, "Temporary Databases".
Keys are compared as their Avro bodies, without the frame: the schema's id may differ.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from producer.errors import OperatorError
from producer.settings import Settings
from producer.sink.protocol import RawRecord, Sink
from producer.sink.reader import Decoder
from producer.source.catalog import Table

FRAME = 5
# A topic that gives nothing for so long is not read to its end.
_STALL_SECONDS = 30.0
_BATCH = 1000
# Where an envelope says whether it has a before-image; without one it is no delete.
_NO_BEFORE = b"\x00"


def compacted(sink: Sink, topic: str) -> bool:
    """Whether Kafka keeps the last record of each key, and refuses a record without one."""
    return "compact" in (sink.topic_config(topic) or {}).get("cleanup.policy", "")


def demand(sink: Sink, topics: Sequence[str]) -> None:
    """Refuse topics whose keys cannot be known, before anything is compared.

    Raises:
        OperatorError: a topic's first records are gone, and it is not compacted.
    """
    for topic in topics:
        policy = (sink.topic_config(topic) or {}).get("cleanup.policy", "")
        if policy == "compact":
            continue
        gone = {partition: first for partition, first in sink.first_offsets(topic).items() if first}
        if gone:
            partition, first = min(gone.items())
            raise OperatorError(
                f"topic {topic} [{partition}] begins at offset {first}, and it is not compacted: which keys it held "
                "cannot be told any more, nor which of them are to be deleted",
                remedy="`pg-producer slot drop`, delete the topics (or set another topic.prefix), and run again for a "
                f"new snapshot (FULL_TABLE has no slot to drop); topics that shall be compared are compacted: "
                f"kafka-configs --alter --entity-type topics --entity-name {topic} --add-config cleanup.policy=compact",
            )


def demand_whole(settings: Settings, table: Table) -> None:
    """Refuse a table of which not all rows are read: which of them are gone cannot be told.

    Raises:
        OperatorError: it has a SELECT of its own.
    """
    if settings.snapshot_select(table.schema, table.name) is not None:
        raise OperatorError(
            f"table {table.qualified_name} is read by a SELECT of its own (snapshot.select.statement.overrides): a key "
            "that it does not show may be in the table all the same, so it cannot be compared with its topic",
            remedy="take the override away for this start, or `pg-producer slot drop`, then a new snapshot",
        )


def not_ours(record: RawRecord) -> OperatorError:
    """What is told of a record that a table with a key does not send."""
    return OperatorError(
        f"topic {record.topic} [{record.partition}], offset {record.offset}: a record whose key is not as "
        "pg-producer writes it for the table of now: its keys cannot be compared",
        remedy="did the table have no key before, or does another program write there? Delete the topic (or set "
        "another topic.prefix), `pg-producer slot drop` (not with FULL_TABLE), and run again for a new snapshot",
    )


def demand_same(topic: str, number: int, found: str, wanted: str) -> None:
    """Refuse keys of another schema than the one of now.

    Raises:
        OperatorError: they cannot be compared.
    """
    if json.loads(found) != json.loads(wanted):
        raise OperatorError(
            f"topic {topic} holds keys of another schema (id {number}): the table's key was changed, and "
            "they cannot be compared with those of now",
            remedy="delete the topic (or set another topic.prefix), `pg-producer slot drop` (not with FULL_TABLE), "
            "and run again for a new snapshot",
        )


class TopicKeys:
    """Read once, then struck out one by one; what is left is given partition by partition.

    In a temporary file of SQLite's own, which is gone with the process: memory does not grow with the topic.
    """

    def __init__(self, sink: Sink, topic: str, key_schema: str, key_frame: bytes, schema_of: Callable[[int], str]):
        """`key_schema` and `key_frame` are those of now; `schema_of` gives a schema's text by its id."""
        self._sink = sink
        self._topic = topic
        self._key_schema = key_schema
        self._key_frame = key_frame
        self._schema_of = schema_of
        self._decoder = Decoder(schema_of)
        self._struck: list[tuple[bytes]] = []
        # An empty name is a file of its own that nobody else sees.
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute("CREATE TABLE k (key BLOB, part INT, schema INT, PRIMARY KEY (key, part)) WITHOUT ROWID")
        self._file.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the file up."""
        self._file.close()

    @property
    def empty(self) -> bool:
        """Whether no key lives."""
        return self._file.execute("SELECT 1 FROM k LIMIT 1").fetchone() is None

    def read(self, meanwhile: Callable[[], None]) -> None:
        """Read the topic to its end of now; `meanwhile` is called again and again.

        Raises:
            OperatorError: a key that cannot be compared: of another schema, or not of our form.
            KafkaUnavailable: the end was not reached.
        """
        for records in self._sink.scan(self._topic, _STALL_SECONDS):
            self._take(records)
            meanwhile()
        for (number,) in self._file.execute("SELECT DISTINCT schema FROM k").fetchall():
            self._demand_same(number)

    def strike(self, key: bytes | None) -> None:
        """The key, framed, is to stay."""
        if key is None:
            return
        self._struck.append((key[FRAME:],))
        if len(self._struck) >= _BATCH:
            self._strike_out()

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """Partition and key, framed as of now, of all that was not struck out."""
        self._strike_out()
        for part, body in self._file.execute("SELECT part, key FROM k ORDER BY part, key"):
            yield part, self._key_frame + body

    def _strike_out(self) -> None:
        self._file.executemany("DELETE FROM k WHERE key = ?", self._struck)
        self._struck.clear()

    def _take(self, records: Sequence[RawRecord]) -> None:
        last: dict[tuple[bytes, int], int | None] = {}
        for record in records:
            if record.key is None:
                # A truncate: of that partition nothing is left.
                self._emptied(record)
                last = {place: schema for place, schema in last.items() if place[1] != record.partition}
                self._file.execute("DELETE FROM k WHERE part = ?", (record.partition,))
                continue
            if len(record.key) < FRAME or record.key[0]:
                raise not_ours(record)
            schema = None if self._deletes(record) else int.from_bytes(record.key[1:FRAME], "big")
            last[record.key[FRAME:], record.partition] = schema
        dead = [place for place, schema in last.items() if schema is None]
        live = [(*place, schema) for place, schema in last.items() if schema is not None]
        self._file.executemany("DELETE FROM k WHERE key = ? AND part = ?", dead)
        self._file.executemany("INSERT OR REPLACE INTO k VALUES (?, ?, ?)", live)

    def _deletes(self, record: RawRecord) -> bool:
        value = record.value
        if value is None:
            return True
        return value[FRAME : FRAME + 1] != _NO_BEFORE and self._op(record) == "d"

    def _emptied(self, record: RawRecord) -> None:
        if record.value is None or self._op(record) != "t":
            raise not_ours(record)

    def _op(self, record: RawRecord) -> object:
        value: Any = self._decoder.decode(record).value
        return value.get("op") if isinstance(value, dict) else None

    def _demand_same(self, number: int) -> None:
        if number != int.from_bytes(self._key_frame[1:FRAME], "big"):
            demand_same(self._topic, number, self._schema_of(number), self._key_schema)
