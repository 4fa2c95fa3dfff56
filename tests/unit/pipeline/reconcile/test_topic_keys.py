"""The keys that a topic holds: by the last record of each, and only where they can be compared."""

from __future__ import annotations

import io
import json

import fastavro
import pytest

from producer.acks import Group
from producer.errors import OperatorError
from producer.pipeline.reconcile.topic_keys import TopicKeys, compacted, demand
from producer.sink.memory import MemorySink

KEY = json.dumps({"type": "record", "name": "Key", "fields": [{"name": "id", "type": "string"}]})
OTHER_KEY = json.dumps({"type": "record", "name": "Key", "fields": [{"name": "no", "type": "string"}]})
VALUE = {
    "type": "record",
    "name": "Envelope",
    "fields": [
        {"name": "before", "type": ["null", "string"]},
        {"name": "after", "type": ["null", "string"]},
        {"name": "op", "type": "string"},
    ],
}
SCHEMAS = {1: KEY, 2: json.dumps(VALUE), 3: " " + KEY, 4: OTHER_KEY}
TOPIC = "p.t"


def framed(number: int, body: bytes) -> bytes:
    return b"\x00" + number.to_bytes(4, "big") + body


def key(text: str, number: int = 1) -> bytes:
    return framed(number, bytes([len(text) * 2]) + text.encode())


def value(op: str, before: str | None = None, after: str | None = None) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, VALUE, {"before": before, "after": after, "op": op})
    return framed(2, out.getvalue())


class Topic:
    """A topic of two partitions in memory."""

    def __init__(self, policy: str = "delete") -> None:
        self.sink = MemorySink()
        self.sink.ensure_topics(
            [TOPIC], partitions=2, replication_factor=1, config={"cleanup.policy": policy}, create=True
        )

    def put(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        self.sink.send(TOPIC, key, value, Group(), partition=partition)
        self.sink.poll()

    def rest(self, *stay: bytes) -> list[tuple[int, bytes]]:
        turns: list[None] = []
        with TopicKeys(self.sink, TOPIC, KEY, framed(3, b""), SCHEMAS.__getitem__) as keys:
            keys.read(lambda: turns.append(None))
            assert turns
            for one in stay:
                keys.strike(one)
            return list(keys.rest())


def test_the_last_record_of_a_key_tells() -> None:
    """Rows and updates make it live, with their old row too; a tombstone, or a delete without one, ends it."""
    topic = Topic()
    topic.put(0, key("a"), value("c", after="x"))
    topic.put(0, key("b"), value("r", after="x"))
    topic.put(0, key("c"), value("c", after="x"))
    topic.put(0, key("d"), value("d", before="x"))
    topic.put(0, key("b"), None)
    topic.put(0, key("c"), value("u", before="x", after="y"))
    topic.put(1, key("e"), value("d", before="x"))
    topic.put(1, key("e"), None)
    topic.put(1, key("e"), value("c", after="x"))
    assert topic.rest() == [(0, key("a", 3)), (0, key("c", 3)), (1, key("e", 3))]
    assert topic.rest(key("c", 7), key("z")) == [(0, key("a", 3)), (1, key("e", 3))]


def test_a_truncate_ends_all_of_its_partition() -> None:
    """It comes to every partition; what was written behind it lives."""
    topic = Topic()
    for partition in (0, 1):
        topic.put(partition, key(f"{partition}a"), value("c", after="x"))
        topic.put(partition, None, value("t"))
    topic.put(1, key("b"), value("c", after="x"))
    assert topic.rest() == [(1, key("b", 3))]


def test_another_id_of_the_same_schema_is_the_same_key() -> None:
    topic = Topic()
    topic.put(0, key("a", 1), value("c", after="x"))
    topic.put(0, key("a", 3), None)
    assert topic.rest() == []


@pytest.mark.parametrize(
    "record", [(key("a", 4), value("c", after="x")), (b"plain", b"text"), (None, value("c", after="x"))]
)
def test_what_cannot_be_compared_is_refused(record: tuple[bytes | None, bytes]) -> None:
    """A key of another schema, of another form, and a row without one."""
    topic = Topic()
    topic.put(0, *record)
    with pytest.raises(OperatorError) as caught:
        topic.rest()
    assert TOPIC in caught.value.message


def test_a_topic_must_hold_what_it_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log begins at 0, or it is compacted."""
    kept, cut = Topic("compact"), Topic()
    demand(cut.sink, [TOPIC])
    for topic in (kept, cut):
        monkeypatch.setattr(topic.sink, "first_offsets", lambda _: {0: 0, 1: 7})
    demand(kept.sink, [TOPIC])
    assert compacted(kept.sink, TOPIC)
    assert not compacted(cut.sink, TOPIC)
    with pytest.raises(OperatorError) as caught:
        demand(cut.sink, [TOPIC])
    assert f"{TOPIC} [1] begins at offset 7" in caught.value.message
