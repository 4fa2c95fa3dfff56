"""Decoding of table topics, and its JSON form."""

import io
import json
from decimal import Decimal
from uuid import UUID

import fastavro
import pytest

from producer.errors import DecodeError
from producer.sink.protocol import RawRecord
from producer.sink.reader import Record, TopicReader, as_json, table_topics

SCHEMA = {
    "type": "record",
    "name": "Value",
    "namespace": "p.public.t",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "ratio", "type": "double"},
    ],
}


def reader(texts: dict[int, str]) -> tuple[TopicReader, list[int]]:
    asked: list[int] = []

    def schema_of(number: int) -> str:
        asked.append(number)
        return texts[number]

    return TopicReader("127.0.0.1:1", {}, schema_of), asked


def raw(key: bytes | None, value: bytes | None) -> RawRecord:
    return RawRecord(topic="p.public.t", partition=2, offset=7, timestamp_ms=5, key=key, value=value)


def framed(number: int, schema: object, datum: object) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), datum)  # type: ignore[arg-type]
    return b"\0" + number.to_bytes(4, "big") + out.getvalue()


def test_key_and_value_are_decoded_and_schemas_asked_once() -> None:
    topics, asked = reader({1: '"long"', 2: json.dumps(SCHEMA)})
    plain = json.loads(json.dumps(SCHEMA).replace('"logicalType": "timestamp-micros"', '"x": 1'))
    plain["fields"][3]["type"] = ["null", "int"]
    datum = {"id": 1, "price": Decimal("12.50"), "at": 2**60, "day": 2**31 - 1, "ratio": 1.5}
    for _ in range(2):
        record = topics.decode(raw(framed(1, "long", 9), framed(2, plain, datum)))
        assert record.key == 9
        assert record.value == datum  # a date beyond the year 9999 is a number, not an error
    assert asked == [1, 2]


def test_a_tombstone_has_no_value_and_a_truncate_no_key() -> None:
    topics, _ = reader({1: '"long"'})
    assert topics.decode(raw(framed(1, "long", 9), None)).value is None
    assert topics.decode(raw(None, framed(1, "long", 9))).key is None


@pytest.mark.parametrize("data", [b"", b"\0\0\0\0", b'{"not": "avro"}', b"\1\0\0\0\1\2"])
def test_what_is_not_framed_is_refused_with_its_place(data: bytes) -> None:
    topics, _ = reader({})
    with pytest.raises(DecodeError, match=r"p.public.t \[2\], offset 7: the value") as caught:
        topics.decode(raw(None, data))
    assert "not" not in caught.value.message.replace("is not in Confluent", "")


@pytest.mark.parametrize("body", [b"", b"\x80", b"\x02\x00"])
def test_what_does_not_follow_its_schema_is_refused(body: bytes) -> None:
    topics, _ = reader({1: '"long"'})
    with pytest.raises(DecodeError, match=r"the key .*schema \(id 1\)"):
        topics.decode(raw(b"\0\0\0\0\1" + body, None))


def test_the_json_form_is_lossless_and_deterministic() -> None:
    value = {
        "decimal": Decimal("-0.10"),
        "tiny": Decimal("1E-7"),
        "bytes": b"\0\xff",
        "nan": float("nan"),
        "floats": [float("inf"), float("-inf"), 0.1],
        "uuid": UUID(int=1),
        "null": None,
        "nested": {"long": 2**62, "bool": True},
    }
    record = Record(
        topic="t",
        partition=0,
        offset=1,
        timestamp_ms=2,
        key={"id": 1},
        value=value,
        headers=(("text", '{"a":"ä"}'.encode()), ("framed", b"\0\0\0\0\1\2"), ("null", None)),
    )
    text = json.dumps(as_json(record), allow_nan=False)
    assert json.loads(text) == {
        "topic": "t",
        "partition": 0,
        "offset": 1,
        "timestamp_ms": 2,
        "key": {"id": 1},
        "value": {
            "decimal": "-0.10",
            "tiny": "0.0000001",
            "bytes": "AP8=",
            "nan": "NaN",
            "floats": ["Infinity", "-Infinity", 0.1],
            "uuid": "00000000-0000-0000-0000-000000000001",
            "null": None,
            "nested": {"long": 2**62, "bool": True},
        },
        "headers": [["text", '{"a":"ä"}'], ["framed", "AAAAAAEC"], ["null", None]],
    }
    assert text == json.dumps(as_json(record), allow_nan=False)


def test_the_pattern_takes_table_topics_only() -> None:
    pattern = table_topics("a.b")
    assert pattern.fullmatch("a.b.public.t")
    assert pattern.fullmatch("a.b.public.t.with.dots")
    for other in ("a.b.transaction", "a.b.deadletter", "axb.public.t", "__debezium-heartbeat.a.b", "a.b"):
        assert not pattern.fullmatch(other)
