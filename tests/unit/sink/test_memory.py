"""What a test can make happen with the sink in memory."""

import pytest
from confluent_kafka import KafkaError

from producer.acks import Group, Tracker
from producer.errors import AccessDenied, KafkaUnavailable
from producer.lsn import Lsn
from producer.sink.memory import MemorySink


def two_groups(sink: MemorySink) -> tuple[Tracker, Group, Group]:
    tracker = Tracker()
    first, second = tracker.open(), tracker.open()
    sink.send("t", b"k", b"1", first)
    sink.send("t", b"k", b"2", second)
    tracker.close(first, Lsn(1))
    tracker.close(second, Lsn(2))
    return tracker, first, second


def test_acks_are_held_until_released() -> None:
    sink = MemorySink(partitions={"t": 1})
    sink.hold_acks()
    tracker, _, _ = two_groups(sink)
    sink.poll()
    assert tracker.advance() == 0
    assert sink.outstanding == 2
    sink.release()
    sink.poll()
    assert tracker.advance() == 2
    assert [record.value for record in sink.records("t")] == [b"1", b"2"]


def test_acks_can_come_in_another_order() -> None:
    sink = MemorySink(partitions={"t": 1})
    sink.hold_acks()
    tracker, first, second = two_groups(sink)
    sink.release([1])
    assert (first.pending, second.pending) == (1, 0)
    assert tracker.advance() == 0
    sink.release([0])
    assert tracker.advance() == 2


def test_the_next_record_can_fail_and_is_not_stored() -> None:
    sink = MemorySink(partitions={"t": 1})
    sink.fail_next(KafkaError(KafkaError._MSG_TIMED_OUT))
    tracker, first, second = two_groups(sink)
    sink.poll()
    assert first.failure is not None
    assert second.failure is None
    assert tracker.advance() == 0
    assert [record.value for record in sink.records("t")] == [b"2"]


def test_brokers_can_go_away_and_come_back() -> None:
    sink = MemorySink(partitions={"t": 1})
    sink.away = True
    tracker, _, _ = two_groups(sink)
    sink.poll()
    assert tracker.advance() == 0
    with pytest.raises(KafkaUnavailable):
        sink.ping(1)
    sink.away = False
    sink.poll()
    assert tracker.advance() == 2


def test_a_login_can_be_refused() -> None:
    sink = MemorySink()
    sink.refuse(AccessDenied("no", remedy="a password"))
    assert isinstance(sink.fatal(), AccessDenied)
    with pytest.raises(AccessDenied):
        sink.ping(1)


def test_what_is_held_at_close_fails() -> None:
    sink = MemorySink(partitions={"t": 1})
    sink.hold_acks()
    _, first, second = two_groups(sink)
    assert sink.close(1) == 2
    assert first.failure is not None
    assert second.failure is not None
    with pytest.raises(RuntimeError):
        sink.send("t", b"k", b"v", Group())
