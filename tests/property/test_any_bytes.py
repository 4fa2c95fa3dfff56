"""Every decoder given anything: a value, or an error of ours that says so.

Broken records and lines, walked by both builds, are in test_golden_broken.py.
"""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.acks import Group
from producer.decode import copytext, pgoutput, wal2json
from producer.decode.rewording import Rewording
from producer.decode.type_names import TypeNames
from producer.errors import DecodeError, OperatorError
from producer.events import Relation
from producer.lsn import Lsn
from producer.sink.memory import MemorySink
from producer.sink.offsets import Offset, OffsetsTopic, TableMark
from producer.sink.protocol import RawRecord
from producer.sink.reader import Record, TopicReader
from producer.source.replication import KEEPALIVE, ReplicationStream, data_start, sent_us
from producer.source.wire import Server
from tests import builds, tuples
from tests.budget import examples
from tests.connector import StillClock
from tests.golden import stream
from tests.golden.capture import FOLDER, Captured
from tests.golden.cases import CASES

_BUILDS: dict[str, dict[str, Any]] = {"compiled": builds.compiled(), "uncompiled": builds.uncompiled()}
_ROWS = [record for case in CASES for record in Captured.load(FOLDER / case.name).records]
_LINES = [line for case in CASES for line in Captured.load(FOLDER / case.name).lines]
_HEADER = b"w" + bytes(24)
_MARK = b',"xid":745,"timestamp":"2026-11-22 10:25:46.245855+00","lsn":"0/1F4","nextlsn":"0/258"}'
_FRAMES = [_HEADER + b'{"action":"' + action + b'"' + _MARK for action in (b"B", b"C")]
_MESSAGES = [
    b'{"action":"M","xid":745,"timestamp":"2026-11-22 10:25:46.245855+00","lsn":"0/1F4","transactional":true,'
    b'"prefix":"p","content":"a\\u0001\\"b"}'
]
_NAMED = (
    b'{"action":"I","lsn":"0/1","columns":[{"name":"a","type":"integer","value":1},'
    b'{"name":"b","type":""x"[]","value":2}]}'
)


def _broken(wholes: list[bytes], first: int = 0) -> st.SearchStrategy[bytes]:
    """One of them, cut off somewhere, some of its bytes others."""

    @st.composite
    def draw(draw: st.DrawFn) -> bytes:
        text = bytearray(draw(st.sampled_from(wholes)))
        for _ in range(draw(st.integers(0, 3))):
            text[draw(st.integers(first, len(text) - 1))] = draw(st.integers(0, 255))
        return bytes(text[: draw(st.just(len(text)) | st.integers(first, len(text)))])

    return draw()


@settings(max_examples=examples(300))
@given(message=st.binary(max_size=60) | _broken(_ROWS + _MESSAGES))
def test_the_general_path_reads_or_refuses(message: bytes) -> None:
    """wal2json's records; of one that it refuses, its head can be told."""
    with contextlib.suppress(DecodeError, wal2json.NoTypeOids):
        wal2json.decode(message)
    assert isinstance(wal2json.head(message, 0), str)


_TOLD = tuples.relation(7, "public", "t", [("id", 23, True), ("v", 25, False)])
_TUPLES = [
    tuples.begin(), tuples.commit(), _TOLD, tuples.insert(7, [b"1", None]),
    tuples.update(7, [b"2", b"x"], [b"1", None]), tuples.delete(7, [b"1", None]), tuples.truncate(7),
    tuples.message("p", b"c"),
    *(message for path in stream.FOLDER.glob("*.hex") for _, message in stream.load(path.stem)),
]  # fmt: skip


@settings(max_examples=examples(400))
@given(message=st.binary(max_size=60) | _broken(_TUPLES))
def test_pgoutput_s_messages_are_read_or_refused(message: bytes) -> None:
    """By themselves, and in wal2json's words: a row that is given is one that the general path reads."""
    with contextlib.suppress(DecodeError):
        pgoutput.decode(message)
    rewording = Rewording(lambda _told: (), header=25)
    assert not list(rewording.read(tuples.framed(_TOLD), b""))
    with contextlib.suppress(DecodeError):
        for part in rewording.read(tuples.framed(message), b',"xid":1,"lsn":"'):
            if isinstance(part, bytes):
                wal2json.decode(part, 25)
    assert isinstance(list(rewording.ahead([tuples.framed(message)], b',"xid":1,"lsn":"')), list)


@settings(max_examples=examples(200))
@given(line=st.binary(max_size=60) | _broken(_LINES), places=st.frozensets(st.integers(0, 5)))
def test_a_copied_line_is_taken_apart(line: bytes, places: frozenset[int]) -> None:
    """COPY's text, whatever it is: as many fields behind as before."""
    found = copytext.fields(line)
    for each in found:
        assert isinstance(copytext.text(each), str | None)
    assert len(copytext.fields(copytext.only(line, places))) == len(found)


@settings(max_examples=examples(200))
@given(message=st.binary(max_size=60) | _broken([_NAMED, *_ROWS]))
def test_names_of_types_are_replaced_or_refused(message: bytes) -> None:
    """An old plugin's rows."""
    with contextlib.suppress(DecodeError):
        assert isinstance(TypeNames(lambda name: len(name)).with_oids(message), bytes)


@settings(max_examples=examples(300))
@given(
    frames=st.lists(st.binary(max_size=60) | _broken(_FRAMES) | st.sampled_from(_FRAMES), min_size=1, max_size=4),
    build=st.sampled_from(sorted(_BUILDS)),
)
def test_frames_are_taken_or_left_to_the_general_path(frames: list[bytes], build: str) -> None:
    """The fast path: begins, commits and rows of no known table; what it leaves, the general path reads or refuses."""
    walker = _BUILDS[build]["walker"].Walker()
    walker.clock(b"")
    block = _BUILDS[build]["source_block"].SourceBlock(version="1", name="p", database="d")
    path = _BUILDS[build]["fast_path"].FastPath(walker, block, set(), previous=None, tombstones=True)
    form_error = _BUILDS[build]["plan"].FormError
    waiting = iter(frames)

    def get(_asynchronous: int) -> tuple[int, memoryview]:
        frame = next(waiting, b"")
        return len(frame), memoryview(frame)

    def produce(*_record: object) -> None:
        raise AssertionError("of no table")

    for _ in frames:
        try:
            code = path.run(get, produce, lambda *_: None, 100, 10**6)
        except form_error:
            code = 3  # as the pipeline has it
        assert code in (0, 3)
        if code == 3:
            with contextlib.suppress(DecodeError, wal2json.NoTypeOids):
                wal2json.decode(path.message, 25)
            assert data_start(path.message) >= 0
            assert isinstance(sent_us(path.message), int)


class _NoSession:
    """A stream needs a session to read from; none to take a message apart."""

    class pgconn:  # noqa: N801 (its name)
        get_copy_data = None


@given(message=st.binary(max_size=30).map(lambda rest: bytes([KEEPALIVE]) + rest))
def test_a_keep_alive_is_read_or_refused(message: bytes) -> None:
    """Cut off, it is no keep-alive; nothing of it is noted."""
    server = Server(host="h", port=1, user="u", password="", dbname="d", application_name="a")
    stream = ReplicationStream(_NoSession(), server, StillClock())  # type: ignore[arg-type]
    try:
        found = stream.keepalive(message)
    except DecodeError:
        assert (stream.received, stream.reply_requested) == (0, False)
    else:
        assert found == int.from_bytes(message[1:9], "big")


@given(text=st.text(max_size=20))
def test_an_lsn_is_read_or_refused(text: str) -> None:
    """Any text."""
    with contextlib.suppress(DecodeError):
        assert str(Lsn.parse(text)).count("/") == 1


_OFFSETS = [
    Offset(lsn=Lsn(5), slot="s", system_id="1", timeline=1, snapshot="running", commit_lsn=Lsn(3)).as_json(),
    TableMark(rows=2, position=Lsn(3), filenode=7).as_json(),
]
_KEYS = [
    b'["n",{"server":"p"}]',
    b'["n",{"server":"p","table":"public.t"}]',
    b'["n",{"server":"p","shape":["public","t"]}]',
]


@settings(max_examples=examples(400))
@given(
    key=st.sampled_from(_KEYS) | _broken(_KEYS, 16) | st.binary(max_size=20).map(lambda rest: _KEYS[0][:-2] + rest),
    value=st.binary(max_size=60) | _broken(_OFFSETS),
)
def test_an_offsets_record_is_read_or_refused(key: bytes, value: bytes) -> None:
    """A shared topic: what is not ours is passed over, what is ours and broken names itself."""
    sink = MemorySink()
    topic = OffsetsTopic(sink, "offsets", name="n", server="p")
    topic.ensure()
    sink.send("offsets", key, value, Group())
    with contextlib.suppress(OperatorError):
        loaded = topic.load(1)
        assert isinstance(loaded.offset, Offset | None)
        assert all(isinstance(mark, TableMark) for mark in loaded.tables.values())
        assert all(isinstance(shape, Relation) for shape in loaded.shapes.values())


_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Value",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "ratio", "type": "double"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}},
        {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}},
        {"name": "ref", "type": {"type": "string", "logicalType": "uuid"}},
    ],
}


def _record() -> bytes:
    out = io.BytesIO()
    row = {
        "id": 5,
        "ratio": 0.5,
        "name": "é",
        "price": b"\x01",
        "tags": ["a", None],
        "ref": "9" * 8 + "-9999" * 4 + "9" * 8,
    }
    plain = json.loads(json.dumps(_SCHEMA).replace('"logicalType"', '"x"'))
    fastavro.schemaless_writer(out, fastavro.parse_schema(plain), row)
    return b"\0\0\0\0\1" + out.getvalue()


@settings(max_examples=examples(400))
@given(value=st.binary(max_size=60) | st.binary(max_size=60).map(lambda b: b"\0\0\0\0\1" + b) | _broken([_record()], 5))
def test_a_record_in_a_topic_is_read_or_refused(value: bytes) -> None:
    """What `tail` prints: another's record, one that was cut off."""
    schemas = {1: json.dumps(_SCHEMA)}

    def schema_of(number: int) -> str:
        if number not in schemas:
            raise DecodeError("no such schema", remedy="none")
        return schemas[number]

    reader = TopicReader("127.0.0.1:1", {}, schema_of)
    with contextlib.suppress(DecodeError):
        raw = RawRecord(topic="t", partition=0, offset=0, timestamp_ms=0, key=None, value=value)
        assert isinstance(reader.decode(raw), Record)


@pytest.mark.parametrize("end", range(len(_record())))
def test_every_truncation_of_a_record_is_refused(end: int) -> None:
    """At each byte."""
    reader = TopicReader("127.0.0.1:1", {}, lambda _: json.dumps(_SCHEMA))
    raw = RawRecord(topic="t", partition=0, offset=0, timestamp_ms=0, key=None, value=_record()[:end])
    with pytest.raises(DecodeError):
        reader.decode(raw)
