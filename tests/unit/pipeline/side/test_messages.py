"""Logical messages outside of transactions: nothing read behind one is safe before its ack."""

from __future__ import annotations

import pytest

from producer.acks import Tracker
from producer.decode.wal2json import LogicalMessage
from producer.lsn import Lsn
from producer.pipeline.side.messages import Messages
from producer.sink.memory import MemorySink
from producer.sink.protocol import RECORD_BYTES
from tests.connector import StillClock, connector

TOPIC = "p.message"


def message(prefix: str = "audit") -> LogicalMessage:
    return LogicalMessage(prefix, False, Lsn(20), b"x")


def test_what_confirms_waits_for_the_message_before_it() -> None:
    sink, tracker = MemorySink(), Tracker(Lsn(10))
    sink.ensure_topics([TOPIC], partitions=1, replication_factor=1, config={}, create=True)
    sink.hold_acks()
    messages = Messages(connector(StillClock(), "message.prefix.include.list=audit"), sink, tracker)
    size = messages.send_outside(message(), None)
    assert tracker.in_flight_bytes == size + RECORD_BYTES > RECORD_BYTES
    tracker.close(tracker.open(), Lsn(30))
    sink.poll()
    assert tracker.advance() == 10
    sink.release()
    sink.poll()
    assert tracker.advance() == 30


def test_a_message_alone_makes_nothing_safe() -> None:
    """Its LSN is no commit's end: the keep-alive or commit behind it confirms."""
    sink, tracker = MemorySink(), Tracker(Lsn(10))
    sink.ensure_topics([TOPIC], partitions=1, replication_factor=1, config={}, create=True)
    Messages(connector(StillClock(), "message.prefix.include.list=audit"), sink, tracker).send_outside(message(), None)
    sink.poll()
    assert tracker.advance() == 10
    assert tracker.idle


@pytest.mark.parametrize(
    ("asked", "prefix", "wanted"),
    [
        ("", "audit", False),
        ("audit", "audit", True),
        ("audit", "audits", False),
        ("other,au.*", "AUDIT", True),
        (r"a\,b", "a,b", True),
    ],
)
def test_expressions_match_whole_prefixes(asked: str, prefix: str, wanted: bool) -> None:
    made = connector(StillClock(), f"message.prefix.include.list={asked}")
    assert Messages(made, MemorySink(), Tracker()).wanted(message(prefix)) is wanted
