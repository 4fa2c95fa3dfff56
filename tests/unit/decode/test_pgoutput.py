"""pgoutput's messages: each kind is read, and whatever is none is a DecodeError that names no value."""

from __future__ import annotations

import struct

import pytest

from producer.decode import pgoutput
from producer.decode.pgoutput import Aside, LoggedRelation, RelationColumn, Row, Truncation
from producer.decode.wal2json import Begin, Commit, LogicalMessage
from producer.errors import DecodeError
from producer.lsn import Lsn
from tests import tuples
from tests.tuples import UNCHANGED

WHOLE = [
    tuples.begin(), tuples.commit(), tuples.relation(7, "public", "t", [("id", 23, True), ("é", 25, False)]),
    tuples.insert(7, [b"1", None]), tuples.update(7, [b"1", UNCHANGED]),
    tuples.update(7, [b"2", b"x"], [b"1", None]), tuples.delete(7, [b"1", b"x"], b"O"), tuples.truncate(7, 8),
    tuples.message("p", b"\0\xff"), b"O" + struct.pack(">Q", 5) + b"origin\0", b"Y" + struct.pack(">I", 9) + b"s\0n\0",
]  # fmt: skip


def test_each_kind_is_read() -> None:
    assert [pgoutput.decode(b"head" + message, 4) for message in WHOLE] == [
        Begin(745, Lsn(0x1F4), Lsn(0), 1_795_343_146_245_855, b',"xid":745,"lsn":"'),
        Commit(Lsn(0x1F4), Lsn(0x258)),
        LoggedRelation(7, "public", "t", "d", (RelationColumn("id", 23, -1, True), RelationColumn("é", 25, -1, False))),
        Row("I", 7, (b"1", None), None),
        Row("U", 7, (b"1", UNCHANGED), None),
        Row("U", 7, (b"2", b"x"), (b"1", None)),
        Row("D", 7, None, (b"1", b"x")),
        Truncation((7, 8)),
        LogicalMessage("p", True, Lsn(0x1F4), b"\0\xff"),
        Aside(),
        Aside(),
    ]


@pytest.mark.parametrize("message", WHOLE, ids=lambda message: chr(message[0]))
def test_a_message_that_is_cut_off_or_too_long_is_refused(message: bytes) -> None:
    for broken in (*(message[:end] for end in range(len(message))), message + b"\0"):
        with pytest.raises(DecodeError, match="cannot be read"):
            pgoutput.decode(broken)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"S" + bytes(5), id="a stream that was not asked for"),
        pytest.param(tuples.insert(7, [b"1"]).replace(b"N", b"X"), id="a row without its mark"),
        pytest.param(tuples.insert(7, [b"1"]).replace(b"t", b"b"), id="a binary value"),
        pytest.param(tuples.delete(7, [b"1"], b"N"), id="a delete of a new row"),
        pytest.param(tuples.update(7, [b"1"], [b"1"], b"N"), id="an update of two new rows"),
        pytest.param(tuples.relation(7, "s", "t", [], b"x"), id="an identity that is none"),
        pytest.param(tuples.begin(lsn=1 << 63), id="an LSN beyond all"),
        pytest.param(tuples.begin(micros=1 << 55), id="a time beyond all"),
        pytest.param(tuples.relation(7, "s", "t", []).replace(b"s", b"\xff"), id="a name that is no UTF-8"),
    ],
)
def test_what_is_not_of_the_protocol_is_refused(message: bytes) -> None:
    with pytest.raises(DecodeError, match="cannot be read"):
        pgoutput.decode(message)


def test_no_value_is_in_an_error() -> None:
    with pytest.raises(DecodeError) as raised:
        pgoutput.decode(tuples.insert(7, [b"secret"]) + b"x")
    assert "secret" not in str(raised.value)


def test_publications_are_quoted_and_messages_are_asked_for_when_they_are_wanted() -> None:
    assert pgoutput.options(['a"b,c', "d"]) == {"proto_version": "1", "publication_names": '"a""b,c","d"'}
    assert pgoutput.options(["p"], messages=True)["messages"] == "true"
