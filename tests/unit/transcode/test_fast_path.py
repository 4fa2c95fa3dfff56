"""The fast path: plain messages go from the plugin to the sink and are counted; everything else is left untouched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.decode import wal2json
from producer.decode.wal2json import Begin
from producer.errors import DecodeError
from producer.events import Column, PgType, Relation
from producer.lsn import Lsn
from producer.schema.plan import table_plan
from producer.schema.types import Modes
from tests import builds

Build = dict[str, Any]
_BUILDS = {"compiled": builds.compiled(), "uncompiled": builds.uncompiled()}

HEADER = b"w" + bytes(24)
MARK = b',"xid":745,"timestamp":"2026-11-22 10:25:46.245855+00","lsn":"0/1F4","nextlsn":"0/258"}'
HEAD = MARK[: MARK.index(b"0/1F4")]
COMMIT_US = 1795343146245855


def mark(action: bytes, rest: bytes = MARK) -> bytes:
    return HEADER + b'{"action":"' + action + b'"' + rest


def row(action: bytes, value: int = 5, *, old: int | None = None, head: bytes = HEAD) -> bytes:
    column = b'{"name":"id","typeoid":20,"value":%d}'
    text = HEADER + b'{"action":"' + action + b'"' + head + b'0/1C8","schema":"public","table":"t"'
    text += b"" if action == b"D" else b',"columns":[' + column % value + b"]"
    text += b"" if old is None else b',"identity":[' + column % old + b"]"
    return text + b"}"


BEGIN, COMMIT, INSERT, DELETE = mark(b"B"), mark(b"C"), row(b"I"), row(b"D", old=5)
KEEPALIVE = b"k" + bytes(17)


class Lane:
    """A fast path of one table, what it was given and what it produced."""

    def __init__(self, build: Build, *, tombstones: bool = True, keyed: bool = True) -> None:
        self.codes = build["fast_path"]
        key = Column(
            name="id", attnum=1, type=PgType(oid=20, schema="pg_catalog", name="int8", kind="base"), not_null=True
        )
        relation = Relation(
            oid=1, schema="public", name="t", columns=(key,), key=("id",) if keyed else (), identity="default",
            identity_columns=frozenset({"id"}),
        )  # fmt: skip
        self.counts: dict[str, Any] = {}
        self.walker = walker = build["walker"].Walker(self.counts)
        self.plan = table_plan(relation, topic="t", key_id=1, value_id=2, modes=Modes())
        walker.install(self.plan)
        walker.clock(b"")
        self.produced: set[int] = set()
        block = build["source_block"].SourceBlock(version="1", name="p", database="d")
        self.path = self.codes.FastPath(walker, block, self.produced, previous=None, tombstones=tombstones)
        self.sent: list[tuple[str, bytes | None, bytes | None]] = []
        self.waiting: list[bytes] = []
        self.refuse = False

    def get(self, asynchronous: int) -> tuple[int, memoryview]:
        assert asynchronous == 1
        if not self.waiting:
            return 0, memoryview(b"")
        message = self.waiting.pop(0)
        return (len(message), memoryview(message)) if message else (-1, memoryview(b""))

    def produce(self, topic: str, value: bytes | None, key: bytes | None, partition: int, ack: object) -> None:
        assert partition == -1
        assert ack == self.ack
        if self.refuse:
            raise BufferError("full")
        self.sent.append((topic, key, value))

    def ack(self, error: object, report: object) -> None:
        raise AssertionError("nobody serves reports here")

    def run(self, messages: Iterable[bytes], most: int = 100, most_bytes: int = 1_000_000) -> int:
        self.waiting += messages
        code: int = self.path.run(self.get, self.produce, self.ack, most, most_bytes)
        return code


@pytest.fixture
def lane(build: Build) -> Lane:
    return Lane(build)


def test_a_transaction_goes_to_the_sink_and_is_known_to_be_complete(lane: Lane) -> None:
    assert lane.run([BEGIN, INSERT, DELETE, COMMIT]) == lane.codes.EMPTY
    key = lane.sent[0][1]
    assert [(topic, value is None) for topic, _, value in lane.sent] == [("t", False), ("t", False), ("t", True)]
    assert {record[1] for record in lane.sent} == {key}
    path = lane.path
    assert (path.messages, path.records, path.ordinal) == (4, 3, 2)
    assert path.size == sum(len(key or b"") + len(value or b"") for _, key, value in lane.sent)
    assert not path.open
    assert (path.committed, path.committed_lsn) == (0x258, 0x1F4)
    assert (path.committed_xid, path.committed_us) == (745, COMMIT_US)
    assert lane.produced == {745}


def test_an_open_transaction_makes_nothing_safe(lane: Lane) -> None:
    lane.run([BEGIN, INSERT])
    path = lane.path
    assert path.open
    assert (path.xid, path.commit_lsn, path.next_lsn, path.commit_us) == (745, 0x1F4, 0x258, COMMIT_US)
    assert (path.committed, path.committed_lsn) == (0, -1)


def test_each_run_counts_anew(lane: Lane) -> None:
    lane.run([BEGIN, INSERT])
    assert lane.run([]) == lane.codes.EMPTY
    assert (lane.path.messages, lane.path.records, lane.path.size) == (0, 0, 0)


def test_it_stops_at_so_many_messages_and_at_so_many_bytes(lane: Lane) -> None:
    assert lane.run([BEGIN, INSERT, INSERT], most=2) == lane.codes.FULL
    assert lane.path.messages == 2
    assert lane.run([], most_bytes=1) == lane.codes.FULL
    assert lane.path.records == 1


def test_the_end_is_told(lane: Lane) -> None:
    assert lane.run([BEGIN, b""]) == lane.codes.ENDED


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(KEEPALIVE, id="a keep-alive"),
        pytest.param(mark(b"C", MARK.replace(b"745", b"746")), id="another transaction's commit"),
        pytest.param(mark(b"C", MARK.replace(b"258", b"259")), id="a commit that ends elsewhere"),
        pytest.param(row(b"I", head=HEAD.replace(b"745", b"746")), id="a row of another transaction"),
        pytest.param(INSERT.replace(b'"t"', b'"u"'), id="a row of another table"),
        pytest.param(INSERT.replace(b'"id"', b'"key"'), id="a row of another shape"),
        pytest.param(row(b"U", 6, old=5), id="a change of the key"),
        pytest.param(HEADER + b'{"action":"T"' + HEAD + b'0/1C8","schema":"public","table":"t"}', id="a truncate"),
        pytest.param(HEADER + b'{"action":"M"' + MARK, id="a logical message"),
        pytest.param(BEGIN, id="a begin within a transaction"),
        pytest.param(HEADER, id="nothing behind the header"),
        pytest.param(HEADER + b'{"action":"', id="a message that is cut off"),
    ],
)
def test_what_is_not_plain_is_for_the_caller_with_nothing_sent(lane: Lane, message: bytes) -> None:
    assert lane.run([BEGIN, message, INSERT]) == lane.codes.OTHER
    assert lane.path.message == message
    assert lane.sent == []
    assert lane.path.ordinal == 0
    assert lane.path.open
    # What follows is not lost.
    assert lane.run([]) == lane.codes.EMPTY
    assert len(lane.sent) == 1


@pytest.mark.parametrize("message", [INSERT, COMMIT], ids=["a row", "a commit"])
def test_what_stands_outside_of_a_transaction_is_for_the_caller(lane: Lane, message: bytes) -> None:
    assert lane.run([message]) == lane.codes.OTHER
    assert lane.sent == []


def test_a_value_that_cannot_be_carried_is_raised_with_nothing_sent(lane: Lane, build: Build) -> None:
    with pytest.raises(build["plan"].FormError):
        lane.run([BEGIN, INSERT, INSERT.replace(b'"value":5', b'"value":9223372036854775808')])
    assert (len(lane.sent), lane.path.records, lane.path.ordinal) == (1, 1, 1)


def test_a_record_that_the_sink_refuses_is_not_counted(lane: Lane) -> None:
    lane.run([BEGIN])
    lane.refuse = True
    with pytest.raises(BufferError):
        lane.run([INSERT])
    assert (lane.path.message, lane.path.records, lane.path.ordinal) == (INSERT, 0, 0)


def test_without_tombstones_and_without_a_key_a_delete_is_one_record(build: Build) -> None:
    for lane in (Lane(build, tombstones=False), Lane(build, keyed=False)):
        lane.run([BEGIN, DELETE])
        assert len(lane.sent) == 1


def test_bypassed_it_takes_nothing(lane: Lane) -> None:
    lane.path.bypass = True
    assert lane.run([BEGIN]) == lane.codes.OTHER
    assert not lane.path.open


def test_the_general_path_opens_and_closes_too(lane: Lane) -> None:
    lane.path.begin(record_head=HEAD, xid=745, commit_lsn=0x1F4, next_lsn=0x258, commit_us=COMMIT_US)
    assert lane.run([INSERT]) == lane.codes.EMPTY
    assert len(lane.sent) == 1
    # Only the general path knows what its begin looked like.
    assert lane.run([COMMIT]) == lane.codes.OTHER
    lane.path.commit(0x258)
    assert (lane.path.open, lane.path.committed) == (False, 0x258)


_TIMESTAMPS = st.sampled_from(
    ["2026-11-22 10:25:46+00", "2026-02-29 10:25:46+00", "2024-02-29 10:25:46+00", "1900-02-29 10:25:46+00",
     "1969-12-31 23:59:59+00", "2026-11-22 10:25:46+01", "2026-11-22 10:25:46.2+00", "2026-11-22", "",
     "12026-11-22 10:25:46+00", "2026-11-22 24:00:00+00", "2026-11-22 10:25:60+00", "2026-11-31 10:25:46+00"]
)  # fmt: skip
_LSNS = st.sampled_from(["FFFFFFFF/0", "7FFFFFFF/FFFFFFFF", "1/1F400000", "0/", "/1", "0/1g", "1F4", ""])
_XIDS = st.sampled_from(["0", "4294967295", "4294967296", "-1", "", "1e3"])


@given(
    xid=st.just("745") | _XIDS,
    timestamp=st.just("2026-11-22 10:25:46.245855+00") | _TIMESTAMPS,
    lsns=st.tuples(st.just("0/1F4") | _LSNS, st.just("0/258") | _LSNS),
    broken=st.none() | st.tuples(st.integers(0, 140), st.binary(max_size=2)),
)
@settings(max_examples=300)
def test_a_begin_is_read_as_the_general_path_reads_it_or_left_to_it(
    xid: str, timestamp: str, lsns: tuple[str, str], broken: tuple[int, bytes] | None
) -> None:
    text = f'{{"action":"B","xid":{xid},"timestamp":"{timestamp}","lsn":"{lsns[0]}","nextlsn":"{lsns[1]}"}}'.encode()
    if broken is not None:
        text = text[: broken[0]] + broken[1] + text[broken[0] + 1 :]
    seen = [_opened(build, HEADER + text) for build in _BUILDS.values()]
    assert seen[0] == seen[1]
    if seen[0] is not None:
        try:
            record = wal2json.decode(text)
        except DecodeError as error:
            raise AssertionError(f"{text!r} was taken") from error
        assert record == Begin(*seen[0])


def _opened(build: Build, message: bytes) -> tuple[int, Lsn, Lsn, int, bytes] | None:
    lane = Lane(build)
    try:
        code = lane.run([message])
    except build["plan"].FormError:
        return None
    path = lane.path
    if code == lane.codes.OTHER:
        return None
    return path.xid, Lsn(path.commit_lsn), Lsn(path.next_lsn), path.commit_us, path.parts.record_head


def test_events_are_counted_by_table_and_op_as_they_go_out(build: Build) -> None:
    """Under the table's name, whatever plan it is walked by; a tombstone is none, nor is what is handed back."""
    lane = Lane(build)
    lane.run([BEGIN, INSERT, INSERT, row(b"U"), DELETE, COMMIT])
    counted = {"c": 2, "u": 1, "d": 1, "t": 0, "m": 0}
    assert {table: counts.by_op() for table, counts in lane.counts.items()} == {"public.t": counted}
    assert lane.path.delivered == 1
    assert lane.run([BEGIN, row(b"U", 6, old=5)]) == lane.codes.OTHER
    lane.refuse = True
    with pytest.raises(BufferError):
        lane.run([INSERT])
    lane.walker.install(lane.plan)
    assert lane.counts["public.t"].by_op() == counted
    lane.refuse = False
    lane.run([INSERT])
    assert lane.counts["public.t"].by_op() == {**counted, "c": 3}


def test_a_transaction_without_events_is_none_that_was_delivered(build: Build) -> None:
    """The plugin tells of those that touch other tables only."""
    lane = Lane(build)
    lane.run([BEGIN, COMMIT, BEGIN, INSERT, COMMIT])
    assert lane.path.delivered == 1
