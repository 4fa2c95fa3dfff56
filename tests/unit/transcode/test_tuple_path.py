"""pgoutput's fast path: what it takes is what the general path makes of the same change; everything else is left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.decode import pgoutput
from producer.decode.pgoutput import LoggedRelation, Row, Unchanged, Value
from producer.decode.rewording import Rewording
from producer.decode.wal2json import Begin, Commit
from producer.errors import DecodeError
from producer.events import Column, PgType, Relation
from producer.schema.plan import table_plan
from producer.schema.types import Modes
from tests import builds, tuples
from tests.budget import examples
from tests.tuples import UNCHANGED, framed

Build = dict[str, Any]
_BUILDS = {"compiled": builds.compiled(), "uncompiled": builds.uncompiled()}
OID = 3_000_000_000
TYPES = {"int8": 20, "text": 25, "bool": 16, "bytea": 17, "float8": 701}


def _column(number: int, name: str, type: str, *, sent: bool = True) -> Column:
    kind = PgType(oid=TYPES[type], schema="pg_catalog", name=type, kind="base")
    return Column(name=name, attnum=number, type=kind, not_null=number == 1, toastable=type == "text", sent=sent)


COLUMNS = (
    _column(1, "id", "int8"), _column(2, "note", "text"), _column(3, "done", "bool"), _column(4, "raw", "bytea"),
    _column(5, "ratio", "float8"), _column(6, "hidden", "text", sent=False),
)  # fmt: skip
ROW: list[Value] = [b"5", b'x"\n', b"t", b"\\xab", b"NaN", b"h"]
KEY: list[Value] = [b"5", *[None] * 5]


def a_relation(identity: str = "default", key: tuple[str, ...] = ("id",)) -> Relation:
    logged = {"default": {"id"}, "full": {column.name for column in COLUMNS}, "nothing": set[str]()}[identity]
    return Relation(
        oid=OID, schema="public", name="t", columns=COLUMNS, key=key, identity=identity,  # type: ignore[arg-type]
        identity_columns=frozenset(logged), primary=(("id", 20),),
    )  # fmt: skip


class Lane:
    """A fast path of one table whose relation message has come."""

    def __init__(
        self, build: Build, relation: Relation | None = None, *, bound: bool = True, skipped: bytes = b""
    ) -> None:
        relation = relation or a_relation()
        self.codes = build["fast_path"]
        self.walker = build["walker"].Walker()
        self.plan = table_plan(relation, topic="t", key_id=1, value_id=2, modes=Modes(), signed_oids=False)
        self.walker.install(self.plan)
        self.walker.clock(b"")
        self.rewording = Rewording(self._primary, header=25)
        assert not list(self.rewording.read(framed(tuples.told(relation)), b""))
        if bound:
            assert self.bind()
        block = build["source_block"].SourceBlock(version="1", name="p", database="d")
        self.path = build["tuple_path"].TuplePath(
            self.walker, block, set(), previous=None, tombstones=True, skipped=skipped
        )
        self.sent: list[tuple[str, bytes | None, bytes | None]] = []
        self.waiting: list[bytes] = []

    def _primary(self, _told: LoggedRelation) -> Sequence[tuple[str, int]]:
        return (("id", 20),)

    def bind(self) -> bool:
        told = self.rewording.relation(OID)
        bound: bool = self.walker.bind(OID, told.names, list(told.heads), told.in_identity, told.tail)
        return bound

    def get(self, _asynchronous: int) -> tuple[int, memoryview]:
        message = self.waiting.pop(0) if self.waiting else b""
        return len(message), memoryview(message)

    def run(self, payloads: Iterable[bytes]) -> int:
        self.waiting += map(framed, payloads)

        def produce(topic: str, value: bytes | None, key: bytes | None, _partition: int, _ack: object) -> None:
            self.sent.append((topic, key, value))

        code: int = self.path.run(self.get, produce, lambda *_: None, 100, 1_000_000)
        return code

    def general(self, payload: bytes) -> tuple[int, bytes | None, bytes | None]:
        """What the general path makes of a row of the transaction that is open, as the next event."""
        (record,) = self.rewording.read(framed(payload), self.path.parts.record_head)
        code: int = self.walker.row(record, 25, self.path.ordinal + 1)
        return code, self.walker.key, self.walker.value


def test_a_transaction_goes_to_the_sink_and_is_known_to_be_complete(build: Build) -> None:
    lane = Lane(build)
    payloads = [tuples.begin(), tuples.insert(OID, ROW), tuples.delete(OID, KEY), tuples.commit()]
    assert lane.run(payloads) == lane.codes.EMPTY
    assert [value is None for _, _, value in lane.sent] == [False, False, True]
    path = lane.path
    assert (path.open, path.committed, path.committed_lsn, path.committed_xid) == (False, 0x258, 0x1F4, 745)
    assert path.commit_us == 1_795_343_146_245_855


def test_events_are_counted_by_what_they_are_however_short_the_message(build: Build) -> None:
    lane = Lane(build)
    row = [b"5", *[None] * 5]
    lane.run([tuples.begin(), tuples.insert(OID, row), tuples.update(OID, row), tuples.delete(OID, KEY)])
    counts = lane.walker.counts_of(lane.plan.table)
    assert (counts.creates, counts.updates, counts.deletes) == (1, 1, 1)


def test_a_transaction_without_an_event_is_complete_and_is_none_that_the_next_one_names(build: Build) -> None:
    lane = Lane(build)
    lane.run([tuples.begin(), tuples.commit(), tuples.begin(lsn=0x300), tuples.insert(OID, ROW)])
    assert (lane.path.committed, lane.path.committed_lsn) == (0x258, -1)
    lane.run([tuples.commit(0x300, 0x400)])
    assert (lane.path.committed, lane.path.committed_lsn) == (0x400, 0x300)


TEXTS = st.sampled_from([b"", b"h", 'é"\\\t'.encode()])
VALUES = st.tuples(
    st.sampled_from([b"5", b"6", b"x", b"9223372036854775808"]) | st.none(),
    TEXTS | st.none() | st.just(UNCHANGED),
    st.sampled_from([b"t", b"f"]) | st.none(),
    st.sampled_from([b"\\x", b"\\xab", b"\\xa"]) | st.none(),
    st.sampled_from([b"1.5", b"NaN", b"-Infinity"]) | st.none(),
    TEXTS | st.none(),
)


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, bytes]:
    """An identity, and a row that the server could send under it."""
    identity = draw(st.sampled_from(["default", "full"]))
    new = draw(VALUES)
    old = [None if isinstance(value, Unchanged) else value for value in draw(VALUES)]
    kind = b"O" if identity == "full" else b"K"
    if identity == "default":
        old[1:] = [None] * 5
    whole = [None if isinstance(value, Unchanged) else value for value in new]
    return identity, draw(
        st.sampled_from([
            tuples.insert(OID, whole), tuples.update(OID, new, old, kind), tuples.delete(OID, old, kind),
            *([tuples.update(OID, new)] if identity == "default" else []),
        ])
    )  # fmt: skip


@given(change=changes())
@settings(max_examples=examples(300))
def test_what_it_takes_is_what_the_general_path_makes(change: tuple[str, bytes]) -> None:
    """Key and value, in both builds; a value that cannot be carried is refused by both."""
    identity, payload = change
    seen: list[object] = []
    for build in _BUILDS.values():
        lane = Lane(build, a_relation(identity))
        lane.run([tuples.begin()])
        form_error = build["plan"].FormError
        try:
            code = lane.run([payload])
        except form_error:
            # Where something is missing, the general path says so before it looks at values.
            with contextlib.suppress(form_error):
                assert lane.general(payload)[0] == 0
                assert UNCHANGED in _new(payload)
            seen.append(None)
            continue
        if code == lane.codes.EMPTY:
            made, key, value = lane.general(payload) if not lane.sent else _before(lane, payload)
            assert made in (1, 2)
            assert lane.sent[0] == ("t", key, value)
        else:
            assert lane.sent == []
        seen.append((code, lane.sent))
    assert seen[0] == seen[1]


def _new(payload: bytes) -> tuple[Value, ...]:
    row = pgoutput.decode(payload)
    assert isinstance(row, Row)
    return row.new or ()


def _before(lane: Lane, payload: bytes) -> tuple[int, bytes | None, bytes | None]:
    """What the general path would have made in its place."""
    lane.path.ordinal -= 1
    return lane.general(payload)


def test_an_unchanged_value_that_is_not_sent_is_no_hole(build: Build) -> None:
    lane = Lane(build)
    lane.run([tuples.begin()])
    assert lane.run([tuples.update(OID, [*ROW[:5], UNCHANGED])]) == lane.codes.EMPTY
    assert lane.run([tuples.update(OID, [ROW[0], UNCHANGED, *ROW[2:]])]) == lane.codes.OTHER
    assert len(lane.sent) == 1


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(tuples.told(a_relation()), id="a relation"),
        pytest.param(tuples.insert(OID - 1, ROW), id="a row of another relation"),
        pytest.param(tuples.insert(OID, ROW[:5]), id="a row of fewer columns"),
        pytest.param(tuples.insert(OID, ROW) + b"x", id="a row with something behind it"),
        pytest.param(tuples.insert(OID, ROW)[:-1], id="a row that is cut off"),
        pytest.param(tuples.insert(OID, ROW).replace(b"t", b"b", 1), id="a binary value"),
        pytest.param(tuples.update(OID, [b"6", *ROW[1:]], KEY), id="a change of the key"),
        pytest.param(tuples.truncate(OID), id="a truncate"),
        pytest.param(tuples.message("p", b""), id="a logical message"),
        pytest.param(tuples.begin(), id="a begin within a transaction"),
        pytest.param(tuples.commit(0x1F5), id="another transaction's commit"),
        pytest.param(tuples.commit(end=1 << 63), id="a commit that ends nowhere"),
        pytest.param(tuples.commit()[:-1], id="a commit that is cut off"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_not_plain_is_for_the_caller_with_nothing_sent(build: Build, payload: bytes) -> None:
    lane = Lane(build)
    assert lane.run([tuples.begin(), payload, tuples.insert(OID, ROW)]) == lane.codes.OTHER
    assert lane.path.message == framed(payload)
    assert (lane.sent, lane.path.ordinal, lane.path.open) == ([], 0, True)
    assert lane.run([]) == lane.codes.EMPTY
    assert len(lane.sent) == 1


@pytest.mark.parametrize("payload", [tuples.insert(OID, ROW), tuples.commit(), tuples.begin(lsn=1 << 63)])
def test_what_stands_outside_of_a_transaction_is_for_the_caller(build: Build, payload: bytes) -> None:
    lane = Lane(build)
    assert lane.run([payload]) == lane.codes.OTHER
    assert not lane.path.open


def test_skipped_kinds_and_relations_of_others_are_passed_over(build: Build) -> None:
    lane = Lane(build, skipped=b"ID")
    lane.walker.pass_over(7)
    payloads = [tuples.begin(), tuples.insert(OID, ROW), tuples.delete(OID, KEY), tuples.update(7, ROW)]
    assert lane.run([*payloads, tuples.update(OID, ROW)]) == lane.codes.EMPTY
    assert (len(lane.sent), lane.path.ordinal) == (1, 1)


def test_rows_are_walked_by_the_plan_that_was_found_to_fit_until_either_changes(build: Build) -> None:
    lane = Lane(build, bound=False)
    row = tuples.insert(OID, ROW)
    assert lane.run([tuples.begin(), row]) == lane.codes.OTHER
    assert lane.bind()
    assert lane.run([row]) == lane.codes.EMPTY
    # Another plan of the same table.
    lane.walker.install(lane.plan)
    assert lane.run([row]) == lane.codes.OTHER
    assert lane.bind()
    assert lane.run([row]) == lane.codes.EMPTY
    # Another relation message.
    lane.walker.unbind(OID)
    assert lane.run([row]) == lane.codes.OTHER
    assert len(lane.sent) == 2


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(a_relation("full"), id="its identity"),
        pytest.param(a_relation("nothing"), id="its key"),
        pytest.param(
            Relation(oid=OID, schema="public", name="t", columns=COLUMNS[:5], key=("id",), identity="default",
                     identity_columns=frozenset({"id"})), id="its columns"),
    ],
)  # fmt: skip
def test_a_plan_that_says_otherwise_than_the_relation_is_not_followed(build: Build, told: Relation) -> None:
    lane = Lane(build)
    lane.walker.unbind(OID)
    list(lane.rewording.read(framed(tuples.told(told)), b""))
    assert not lane.bind()


MESSAGES = [
    framed(payload) for payload in (
        tuples.begin(), tuples.commit(), tuples.insert(OID, ROW), tuples.update(OID, ROW, KEY), tuples.delete(OID, KEY)
    )
]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """One of them, cut off somewhere, some of its bytes others."""
    text = bytearray(draw(st.sampled_from(MESSAGES)))
    for _ in range(draw(st.integers(0, 3))):
        text[draw(st.integers(0, len(text) - 1))] = draw(st.integers(0, 255))
    return bytes(text[: draw(st.just(len(text)) | st.integers(1, len(text)))])


@given(messages=st.lists(st.sampled_from(MESSAGES) | broken(), min_size=1, max_size=4))
@settings(max_examples=examples(300))
def test_any_bytes_are_taken_by_both_builds_alike_or_left_to_the_general_path(messages: list[bytes]) -> None:
    """What is taken, the general path reads; what is left, it reads or refuses."""
    seen: list[object] = []
    for build in _BUILDS.values():
        lane = Lane(build)
        lane.waiting = list(messages)
        outcome: list[object] = []
        for _ in messages:
            try:
                code = lane.run([])
            except build["plan"].FormError:
                code = lane.codes.OTHER
            outcome.append((code, lane.path.message, lane.path.open, lane.path.commit_lsn, lane.path.commit_us))
            if code == lane.codes.OTHER and lane.path.message[:1] == b"w":
                try:
                    found = pgoutput.decode(lane.path.message, 25)
                except DecodeError:
                    continue
                assert not isinstance(found, Begin) or lane.path.open
                assert not isinstance(found, Commit) or not lane.path.open or found.commit_lsn != lane.path.commit_lsn
        seen.append((outcome, lane.sent))
    assert seen[0] == seen[1]
