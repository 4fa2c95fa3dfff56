"""Heartbeats: their times, and that they never pile up."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from producer.errors import ProducerError
from producer.pipeline.side.heartbeat import Heartbeat
from producer.sink.memory import MemorySink
from tests.connector import StillClock, connector

TOPIC = "__debezium-heartbeat.p"


class Beating:
    """A heartbeat with the clock and sink that it works on."""

    def __init__(self, interval_ms: int) -> None:
        self.clock, self.sink = StillClock(), MemorySink()
        self.sink.ensure_topics([TOPIC], partitions=1, replication_factor=1, config={}, create=True)
        made = connector(self.clock, f"heartbeat.interval.ms={interval_ms}")
        self.heartbeat = Heartbeat(made, self.sink)

    def after(self, seconds: float) -> int:
        """Let time pass, beat, serve the acks; how many beats there are."""
        self.clock.now += seconds
        self.heartbeat.beat()
        self.sink.poll()
        return len(self.sink.records(TOPIC))


def test_one_each_interval_and_none_at_the_start() -> None:
    beating = Beating(1000)
    assert [beating.after(seconds) for seconds in (0, 0.9, 0.1, 0.5, 0.5, 0.5)] == [0, 0, 1, 1, 2, 2]
    assert beating.after(7) == 3, "missed ones are not made up for"
    assert [beating.after(seconds) for seconds in (0.9, 0.1)] == [3, 4]


def test_none_unless_asked_for() -> None:
    beating = Beating(0)
    assert beating.after(1000) == 0


def test_one_is_under_way_at_a_time() -> None:
    """While Kafka acks nothing memory does not grow."""
    beating = Beating(1000)
    beating.sink.hold_acks()
    assert [beating.after(1) for _ in range(5)] == [1] * 5
    beating.sink.release()
    assert [beating.after(seconds) for seconds in (0, 1)] == [1, 2]


def test_a_refused_one_is_told() -> None:
    beating = Beating(1000)
    beating.sink.fail_next(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    assert beating.after(1) == 0
    with pytest.raises(ProducerError, match="heartbeat"):
        beating.after(1)
