"""Heartbeats: a sign of life on a topic of its own, idle or busy.

Room: pipeline (IO through the stages it is given). docs/topics.md.
"""

from __future__ import annotations

from producer.acks import Group
from producer.pipeline.connector import Connector
from producer.sink.kafka import map_kafka_error
from producer.sink.protocol import Sink


class Heartbeat:
    """Sends one every `heartbeat.interval.ms`, none where that is 0.

    One is under way at a time: while Kafka is away they do not pile up. They say nothing of any
    LSN, so they are not in the tracker: behind a transaction that is open they would count as
    bytes in flight until it ends, and a low limit would keep its end from being read.
    """

    def __init__(self, connector: Connector, sink: Sink) -> None:
        self._topic = connector.side.heartbeats
        self._seconds = connector.settings.heartbeat_interval_ms / 1000
        self._server = connector.settings.topic_prefix
        self._clock = connector.clock
        self._sink = sink
        self._due = self._clock.monotonic() + self._seconds
        self._last = Group()

    def beat(self) -> bool:
        """Send one when it is due; call it often. True: it is on its way, and is not to linger.

        Raises:
            ProducerError: Kafka refused the one before.
        """
        if self._topic is None:
            return False
        now = self._clock.monotonic()
        if now < self._due or self._last.pending:
            return False
        if self._last.failure is not None:
            raise map_kafka_error(self._last.failure, "delivering a heartbeat")
        # In step with the first one; but beats that were missed are not made up for.
        self._due = (self._due if now < self._due + self._seconds else now) + self._seconds
        key = self._topic.key({"serverName": self._server})
        value = self._topic.value({"ts_ms": self._clock.time_us() // 1000})
        self._last = Group()
        self._sink.send(self._topic.name, key, value, self._last)
        return True
