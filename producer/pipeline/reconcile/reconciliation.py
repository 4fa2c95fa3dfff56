"""Reconcile: a table is read, and the keys that its topic holds and the table does not are deleted.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Reconcile".
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from producer import observe
from producer.acks import Tracker
from producer.errors import KafkaUnavailable
from producer.events import Position
from producer.lsn import Lsn
from producer.pipeline.connector import Connector
from producer.pipeline.reconcile.key_delete import KeyDelete
from producer.pipeline.reconcile.topic_keys import TopicKeys
from producer.pipeline.tables.plans import Shape
from producer.pipeline.tables.tables import Tables
from producer.sink.kafka import map_kafka_error
from producer.sink.protocol import Sink
from producer.transcode.source_block import times

_log = observe.logger("producer.reconcile")

_GROUP_RECORDS = 1000


def keys_of(sink: Sink, tables: Tables, shape: Shape) -> TopicKeys:
    """The keys of a table's topic, not read yet."""
    assert shape.schemas.key_schema is not None
    plan = shape.plan
    return TopicKeys(sink, plan.topic, shape.schemas.key_schema, plan.key_frame, tables.plans.schema_text)


class Reconciliation:
    """Of one table's reading: begun before its rows are sent, ended behind them.

    Left alone are keys whose row was read, and those of `leaves_out`: events that the reading's
    snapshot does not show have touched them, and say what became of them.
    """

    def __init__(
        self,
        *,
        connector: Connector,
        tables: Tables,
        sink: Sink,
        shape: Shape,
        at: Lsn,
        leaves_out: Callable[[bytes | None], bool] | None,
        meanwhile: Callable[[], None],
    ) -> None:
        self._connector = connector
        self._sink = sink
        self._shape = shape
        self._at = at
        self._leaves_out = leaves_out or (lambda _: False)
        self._meanwhile = meanwhile
        self._delete = KeyDelete(shape)
        self._keys = keys_of(sink, tables, shape)
        self._tracker = Tracker(counts=connector.counters)
        self._counts = connector.walker.counts_of(shape.plan.table)
        self._unknown = False
        """A row of which not even the key could be told was set aside."""

    @property
    def empty(self) -> bool:
        """Whether the topic held no key: nothing can have gone."""
        return self._keys.empty

    def __enter__(self) -> Self:
        """Read the topic's keys; everything that was handed over before is acked."""
        try:
            self._keys.read(self._meanwhile)
        except BaseException:
            self._keys.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._keys.__exit__(kind, error, at)

    def leaves_out(self, key: bytes | None) -> bool:
        """A row with this key was read; whether it is not to be sent. None: a dead letter without one."""
        self._unknown |= key is None
        self._keys.strike(key)
        return self._leaves_out(key)

    def delete_rest(self) -> None:
        """Send a delete and its tombstone for each key that has gone; returns when they are acked.

        Nothing is deleted where a row's key is not known: it may be any of them.
        """
        relation, plan, block = self._shape.relation, self._shape.plan, self._connector.block
        if self._unknown:
            _log.warning(
                "no key was deleted: a row that went to the dead letters has no key, so what has gone cannot be told",
                table=relation.qualified_name, remedy="mend the row; the next comparison deletes",
            )  # fmt: skip
            return
        micros = self._connector.clock.time_us()
        parts = block.snapshot(micros=micros, marker="incremental", position=self._at)
        source = block.whole(
            parts, schema=relation.schema, table=relation.name, lsn=self._at, position=Position(self._at, 0)
        )
        none = self._connector.walker.blocks.block(plan.names, 0)
        outer = times(micros)
        limit = self._connector.settings.max_queue_size_in_bytes
        deleted = 0
        group = self._tracker.open()
        for partition, key in self._keys.rest():
            if self._leaves_out(key):
                continue
            deleted += 1
            self._sink.send(plan.topic, key, self._delete.value(key, source, none, outer), group, partition=partition)
            if self._connector.settings.tombstones_on_delete:
                self._sink.send(plan.topic, key, None, group, partition=partition)
            self._counts.add("d")
            if group.pending >= _GROUP_RECORDS:
                self._tracker.close(group)
                self._await_acks(limit - 1)
                group = self._tracker.open()
        self._tracker.close(group)
        self._await_acks(0)
        self._keys.close()
        self._connector.counters.keys_deleted += deleted
        _log.info("the topic was compared", table=relation.qualified_name, keys_deleted=deleted)

    def _await_acks(self, most: int) -> None:
        """Wait until no more than so many bytes are in flight."""
        tracker, stop = self._tracker, self._connector.stop
        tracker.advance()
        while tracker.in_flight_bytes > most:
            self._sink.flush(0.05)
            tracker.advance()
            self._meanwhile()
            if tracker.failure is not None:
                raise map_kafka_error(tracker.failure, "delivering deletes")
            if stop.expired():
                raise KafkaUnavailable(
                    "Kafka did not take the deletes in time; the table is read again at the next start",
                    remedy="are the brokers up? nothing is lost",
                )
