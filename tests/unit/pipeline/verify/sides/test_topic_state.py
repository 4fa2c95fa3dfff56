"""A topic as of a moment: what the moment does not show is not in it, whatever the order of reading."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest

from producer.events import Column, PgType, Relation
from producer.lsn import Lsn
from producer.pipeline.verify.moment import Moment
from producer.pipeline.verify.sides.images import Images
from producer.pipeline.verify.sides.texts import digest, row_text
from producer.pipeline.verify.sides.topic_state import TopicState
from producer.schema import avro
from producer.schema.types import Modes
from producer.sink.protocol import RawRecord

INT = PgType(oid=23, schema="pg_catalog", name="int4", kind="base", category="N", length=4)
TEXT = PgType(oid=25, schema="pg_catalog", name="text", kind="base", category="S")
RELATION = Relation(
    oid=1, schema="s", name="t", key=("id",), identity="default", identity_columns=frozenset({"id"}),
    columns=(Column(name="id", attnum=1, type=INT, not_null=True), Column(name="v", attnum=2, type=TEXT)),
)  # fmt: skip
TABLE = avro.table_schema(RELATION, modes=Modes(prefix="p"))
KEY, VALUE = json.loads(TABLE.key_schema or ""), json.loads(TABLE.value_schema)
OLDER = json.loads(TABLE.value_schema)
OLDER["fields"][0]["type"][1]["fields"] = OLDER["fields"][0]["type"][1]["fields"][:1]
SCHEMAS = {1: json.dumps(KEY), 2: json.dumps(VALUE), 3: json.dumps(OLDER)}
SOURCE = {"version": "", "connector": "", "name": "", "ts_ms": 0, "db": "", "schema": "", "table": ""}
BEFORE, AFTER = Moment("100:100:", Lsn(1000), Lsn(1000)), Moment("100:110:105", Lsn(2000), Lsn(2000))


def key(id_: int) -> bytes:
    return _framed(1, KEY, {"id": id_})


def _framed(number: int, schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), value)
    return b"\x00" + number.to_bytes(4, "big") + out.getvalue()


class Topic:
    """A topic whose records are taken one by one, or several at once."""

    def __init__(self, *, compacted: bool = False) -> None:
        self.state = TopicState(Images(TABLE, SCHEMAS.__getitem__, 16), BEFORE, compacted=compacted)
        self._offset = 0

    def record(
        self, id_: int | None, v: str | None = None, *, xid: int | None = 90, lsn: int = 500, op: str = "u",
        tombstone: bool = False, part: int = 0, header: str = "", number: int = 2,
    ) -> RawRecord:  # fmt: skip
        self._offset += 1
        row: dict[str, object] = {"id": id_, "v": v}
        after = None if op in "dt" else row
        source = SOURCE | {"txId": xid, "commit_lsn": lsn, "ordinal": 1}
        value = {"before": None, "after": after, "source": source, "op": op}
        return RawRecord(
            topic="p.s.t", partition=part, offset=self._offset, timestamp_ms=0, key=None if id_ is None else key(id_),
            value=None if tombstone else _framed(number, VALUE if number == 2 else OLDER, value),
            headers=(("__producer.unchanged", header.encode()),) if header else (),
        )  # fmt: skip

    def rows(self) -> dict[int, tuple[int, int]]:
        found = self.state.file.execute("SELECT key, a, b FROM state").fetchall()
        return {key[0] // 2: (a, b) for key, a, b in found}

    def moving(self) -> list[int]:
        return sorted(key[0] // 2 for (key,) in self.state.file.execute("SELECT key FROM moving"))


@pytest.fixture(params=[False, True], ids=["one by one", "at once"])
def at_once(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def take(topic: Topic, at_once: bool, *records: RawRecord) -> None:
    for some in [records] if at_once else ((record,) for record in records):
        topic.state.take(some)


def of(**rows: str | None) -> dict[int, tuple[int, int]]:
    return {int(name[1:]): digest(row_text([name[1:], v])) for name, v in rows.items()}


@pytest.fixture
def topic() -> Iterator[Topic]:
    made = Topic()
    yield made
    made.state.close()


def test_the_last_record_of_a_key_holds(topic: Topic, at_once: bool) -> None:
    """Deletes and tombstones end it; a truncate ends all of its partition; an older shape lacks a column."""
    take(
        topic, at_once,
        topic.record(1, "a"), topic.record(2, "b"), topic.record(2, "c"), topic.record(3, "d"),
        topic.record(3, op="d"), topic.record(3, tombstone=True), topic.record(4, "e", part=1),
        topic.record(None, op="t"), topic.record(5, "f"), topic.record(6, number=3), topic.record(7, "g"),
        topic.record(7, tombstone=True),
    )  # fmt: skip
    topic.state.begin(AFTER)
    assert topic.rows() == of(_4="e", _5="f", _6=None)
    assert topic.moving() == []
    assert sum(rows for rows, _, _ in topic.state.sums().values()) == 3


def test_what_the_moment_does_not_show_is_not_in_it(topic: Topic, at_once: bool) -> None:
    """An update, a delete, a new key, a truncate: each is there at the next moment."""
    take(topic, at_once, *(topic.record(number, "old") for number in (1, 2, 3)))
    topic.state.begin(AFTER)
    take(
        topic, at_once,
        topic.record(1, "shown", xid=104, lsn=1500), topic.record(1, "hidden", xid=105, lsn=1600),
        topic.record(2, op="d", xid=111, lsn=2100), topic.record(2, tombstone=True),
        topic.record(4, "new", xid=112, lsn=2200), topic.record(None, op="t", xid=113, lsn=2300),
        topic.record(5, "behind", xid=114, lsn=2400),
        # It comes again behind a crash.
        topic.record(1, "shown again", xid=104, lsn=1500),
    )  # fmt: skip
    assert topic.rows() == of(_1="shown again", _2="old", _3="old")
    assert topic.moving() == []
    topic.state.begin(Moment("120:120:", Lsn(3000), Lsn(3000)))
    assert topic.rows() == of(_1="shown again", _5="behind")


def test_what_was_read_before_and_is_not_shown_is_in_motion(topic: Topic, at_once: bool) -> None:
    """A transaction is in the log before it is visible; its delete too."""
    take(
        topic, at_once,
        topic.record(1, "a"), topic.record(1, "b", xid=105, lsn=1500), topic.record(2, "a"),
        topic.record(2, op="d", xid=105, lsn=1500), topic.record(2, tombstone=True), topic.record(3, "a"),
    )  # fmt: skip
    topic.state.begin(AFTER)
    assert topic.moving() == [1, 2]
    topic.state.begin(Moment("120:120:", Lsn(3000), Lsn(3000)))
    assert (topic.rows(), topic.moving()) == (of(_1="b", _3="a"), [])


def test_what_may_be_younger_than_its_transaction_is_in_motion(topic: Topic, at_once: bool) -> None:
    """A value that was read again, and a row of a reading whose moment is not known."""
    topic.state.begin(AFTER)
    take(
        topic, at_once,
        topic.record(1, "a", xid=104, lsn=1500, header='{"v": "reselected"}'),
        topic.record(2, "a", xid=None, lsn=2500, op="r"), topic.record(3, "a", xid=None, lsn=1500, op="r"),
    )  # fmt: skip
    assert topic.moving() == [1, 2]


def test_on_a_compacted_topic_what_was_before_may_be_gone(at_once: bool) -> None:
    """The last record that the moment shows need not be there any more."""
    topic = Topic(compacted=True)
    topic.state.begin(AFTER)
    take(topic, at_once, topic.record(1, "a", xid=111, lsn=2100))
    assert topic.moving() == [1]
    topic.state.close()


def test_a_column_that_a_record_does_not_hold_is_left_out(topic: Topic) -> None:
    """By the name that the header says; the key's last record tells."""
    topic.state.take([topic.record(1, "placeholder", header='{"v": "placeholder"}')])
    topic.state.begin(AFTER)
    assert topic.rows() == of(_1=None)
    assert topic.state.hidden(key(1)[5:]) == '["v"]'
