"""A letter's record: always one that its topic takes."""

from __future__ import annotations

import json

import pytest

from producer.acks import Group
from producer.errors import ConversionError, OversizedRecord
from producer.events import Position
from producer.lsn import Lsn
from producer.observe import Counters
from producer.pipeline.side.dead_letters import DeadLetters, Letter
from producer.settings import load_settings
from producer.sink.memory import MemorySink


def _letters(limit: int, topic_limit: int | None = None) -> tuple[DeadLetters, MemorySink, Counters]:
    sink, counters = MemorySink(), Counters()
    sink.largest_record = limit
    more = [] if topic_limit is None else [f"topic.creation.default.max.message.bytes={topic_limit}"]
    settings = load_settings(None, ["topic.prefix=p", "errors.tolerance=all", *more], {}).settings
    made = DeadLetters(settings, sink, counters)
    made.ensure([])
    return made, sink, counters


def _letter(text: str, key: bytes | None = b"\0\0\0\0\1\2") -> Letter:
    return Letter(
        error=ConversionError("it cannot be carried", remedy="r", column="v"), topic="p.s.t", key=key, table="s.t",
        row={"id": b"1", "v": json.dumps(text, ensure_ascii=False).encode()}, key_columns=("id",),
        lsn=Lsn(1), position=Position(Lsn(2), 3),
    )  # fmt: skip


@pytest.mark.parametrize("limit", range(5000, 5012))
def test_a_long_row_is_cut_between_two_characters(limit: int) -> None:
    """Characters of several bytes are never cut in two; the whole size is told."""
    made, sink, counters = _letters(limit)
    record = made.record(_letter("é€😀" * 1000))
    sink.send(record.topic, record.key, record.value, Group(), headers=record.headers)
    assert record.value is not None
    text = record.value.decode()
    assert text.startswith('{"id":1,"v":"é€😀')
    assert len(text.encode()) > limit - 1200
    headers = dict(record.headers)
    assert headers["__producer.truncated"] == b"true"
    assert headers["__producer.size"] == str(len(('{"id":1,"v":"%s"}' % ("é€😀" * 1000)).encode())).encode()
    assert counters.errors == {"ConversionError": 1}


def test_a_short_row_is_whole() -> None:
    """JSON, with its size."""
    made, _, _ = _letters(5000)
    record = made.record(_letter('a"b\n'))
    assert record.value == b'{"id":1,"v":"a\\"b\\n"}'
    headers = dict(record.headers)
    assert (headers["__producer.truncated"], headers["__producer.size"]) == (b"false", b"21")


def test_the_topic_s_own_limit_counts() -> None:
    """The smaller of the two, with room for the batch around it."""
    made, _, _ = _letters(1_000_000, topic_limit=5000)
    record = made.record(_letter("x" * 10_000))
    assert len(record.value or b"") < 4500
    assert dict(record.headers)["__producer.truncated"] == b"true"


def test_a_key_that_leaves_no_room_is_left_out() -> None:
    """It may be what made the record too large."""
    made, sink, _ = _letters(5000)
    record = made.record(_letter("x" * 10_000, key=b"k" * 6000))
    assert record.key is None
    sink.send(record.topic, record.key, record.value, Group(), headers=record.headers)


def test_what_does_not_fit_is_refused_with_its_size() -> None:
    """To the byte, as the client does."""
    made, _, _ = _letters(5000)
    made.demand_fit("t", b"k" * 10, b"v" * 4990)
    with pytest.raises(OversizedRecord, match="topic t, a record of 5001 bytes"):
        made.demand_fit("t", b"k" * 10, b"v" * 4991)


def test_an_error_that_stops_names_position_and_key_columns() -> None:
    """What an operator needs; not the key's values."""
    made, _, _ = _letters(5000)
    error = ConversionError("m", remedy="r", column="v")
    position = Position(Lsn(2), 3)
    assert made.stop(error, ("a", "b"), position).message == "m (position 0/2:3, key column a, b)"
    assert made.stop(error, (), position).message == "m (position 0/2:3, no key)"
    assert made.stop(error, None, position).message == "m (position 0/2:3)"
    assert "p.deadletter" in made.stop(OversizedRecord("m", remedy="r"), None, position).remedy
