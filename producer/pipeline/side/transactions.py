"""Transaction metadata: a BEGIN and an END around the events of each transaction.

Room: pipeline (IO through the stages it is given). docs/topics.md.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import fastavro

from producer.acks import Group
from producer.decode.wal2json import Begin
from producer.pipeline.connector import Connector
from producer.pipeline.side.messages import COLLECTION, NAMES
from producer.sink.protocol import Outlet


class TransactionMetadata:
    """Sends the boundaries, and has the walker write each event's `transaction` block; or nothing, unless asked."""

    def __init__(self, connector: Connector, sink: Outlet) -> None:
        self._topic = connector.side.transactions
        self._blocks = connector.walker.blocks
        self._sink = sink
        self._id = ""
        self._ts_ms = 0
        self.due = False
        """BEGIN is to be sent before the transaction's first event."""

    @property
    def wanted(self) -> bool:
        """Whether they are asked for."""
        return self._topic is not None

    def open(self, begin: Begin) -> None:
        """A transaction begins.

        The commit's LSN is in the id, so that it is the same in BEGIN, events and END.
        """
        if self._topic is None:
            return
        self._id = f"{begin.xid}:{int(begin.commit_lsn)}"
        self._ts_ms = begin.commit_us // 1000
        self._blocks.begin(self._id)
        self.due = True

    def begin(self, opened: Callable[[], Group]) -> None:
        """An event is next: send BEGIN, once."""
        if self.due:
            self.due = False
            self._send("BEGIN", opened(), None)

    def close(self, group: Group) -> None:
        """The transaction is complete: send END with what it held, where BEGIN was sent."""
        if self._topic is not None:
            counts = self._blocks.end()
            if not self.due:
                self._send("END", group, counts)

    def _send(self, status: str, group: Group, counts: dict[bytes, int] | None) -> None:
        topic = self._topic
        assert topic is not None
        value = {
            "status": status,
            "id": self._id,
            "event_count": None if counts is None else sum(counts.values()),
            "data_collections": counts
            and [{"data_collection": _collection(names), "event_count": events} for names, events in counts.items()],
            "ts_ms": self._ts_ms,
        }
        self._sink.send(topic.name, topic.key({"id": self._id}), topic.value(value), group)


@functools.cache
def _collection(names: bytes) -> str:
    """`schema.table`, or Debezium's word for logical messages."""
    reader = io.BytesIO(names)
    both = [str(fastavro.schemaless_reader(reader, "string", None)) for _ in range(2)]
    return COLLECTION if names == NAMES else ".".join(both)
