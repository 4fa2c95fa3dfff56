"""A table is emptied, and its topic refuses a record without key: each key that it holds is deleted.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Reconcile".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from producer.pipeline.connector import Connector
from producer.pipeline.reconcile import topic_keys
from producer.pipeline.reconcile.key_delete import KeyDelete
from producer.pipeline.reconcile.reconciliation import keys_of
from producer.pipeline.tables.plans import Shape
from producer.pipeline.tables.tables import Tables
from producer.sink.protocol import Sink
from producer.transcode.source_block import times

# So many keys are in flight at most.
_BATCH = 1000


class Emptied:
    """The deletes of a compacted topic's keys."""

    def __init__(
        self,
        connector: Connector,
        tables: Tables,
        sink: Sink,
        settle: Callable[[], None],
        await_acks: Callable[[], None],
        meanwhile: Callable[[], None],
    ) -> None:
        """`settle` returns when all that was handed over can be read, `await_acks` when it is acked.

        `meanwhile` is called while it waits.
        """
        self._clock = connector.clock
        self._tombstones = connector.settings.tombstones_on_delete
        self._tables = tables
        self._sink = sink
        self.settle = settle
        """To be called before the event is begun: what its transaction did before is to be in the topic."""
        self._await_acks = await_acks
        self._meanwhile = meanwhile

    def compacted(self, topic: str) -> bool:
        """Whether the topic refuses a record without key."""
        return topic_keys.compacted(self._sink, topic)

    def records(self, shape: Shape, source: bytes, block: bytes) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Partition, key and value of what is to be sent, one by one.

        Raises:
            OperatorError: the table has no key, or the topic's keys cannot be compared.
        """
        delete, outer = KeyDelete(shape), times(self._clock.time_us())
        with keys_of(self._sink, self._tables, shape) as keys:
            keys.read(self._meanwhile)
            for number, (partition, key) in enumerate(keys.rest(), 1):
                yield partition, key, delete.value(key, source, block, outer)
                if self._tombstones:
                    yield partition, key, None
                if not number % _BATCH:
                    self._await_acks()
