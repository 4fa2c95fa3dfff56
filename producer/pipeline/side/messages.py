"""Logical messages (pg_logical_emit_message): records of a topic of their own.

Room: pipeline (IO through the stages it is given). docs/topics.md.
"""

from __future__ import annotations

from producer.acks import Tracker
from producer.decode.wal2json import LogicalMessage
from producer.events import Position
from producer.lsn import Lsn
from producer.pipeline.connector import Connector
from producer.sink.protocol import Outlet
from producer.transcode.source_block import Parts, message_value, string

COLLECTION = "LOGICAL_DECODING_MESSAGE"
"""What stands for a table's name where events are counted; Debezium's word."""
NAMES = string("") + string("")
"""A message's `source` names no table."""


class Messages:
    """Makes the records of the messages whose prefix `message.prefix.include.list` names."""

    def __init__(self, connector: Connector, sink: Outlet, tracker: Tracker) -> None:
        self._topic = connector.side.messages
        self._settings = connector.settings
        self._block = connector.block
        self._blocks = connector.walker.blocks
        self._counts = connector.walker.counts_of("")
        self._clock = connector.clock
        self._sink = sink
        self._tracker = tracker

    def wanted(self, message: LogicalMessage) -> bool:
        """Whether it is asked for: the plugin can only be asked for all."""
        return self._topic is not None and self._settings.wants_message(message.prefix)

    def record(self, message: LogicalMessage, parts: Parts, position: Position) -> tuple[str, bytes, bytes]:
        """Topic, key and value of a message of the transaction that is open."""
        return self._record(message, parts, position, self._blocks.block(NAMES, position.ordinal))

    def send_outside(self, message: LogicalMessage, previous: Lsn | None) -> int:
        """Send one that belongs to no transaction; its size.

        Its group confirms nothing; what is read behind it, and confirms, waits for its ack.
        """
        group = self._tracker.open()
        parts = self._block.outside(micros=self._clock.time_us(), lsn=message.lsn, previous=previous)
        topic, key, value = self._record(message, parts, Position(message.lsn, 0), b"\x00")
        self._sink.send(topic, key, value, group)
        self._tracker.close(group)
        self._counts.add("m")
        return len(key) + len(value)

    def _record(
        self, message: LogicalMessage, parts: Parts, position: Position, block: bytes
    ) -> tuple[str, bytes, bytes]:
        topic = self._topic
        assert topic is not None
        source = self._block.whole(parts, schema="", table="", lsn=message.lsn, position=position)
        value = message_value(
            topic.value_frame,
            source,
            block,
            micros=self._clock.time_us(),
            prefix=message.prefix,
            content=message.content,
        )
        return topic.name, topic.key({"prefix": message.prefix}), value
