"""pgoutput's rows in wal2json's words: the record that wal2json prints of the same change."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from producer.decode import wal2json
from producer.decode.pgoutput import LoggedRelation
from producer.decode.rewording import Rewording
from producer.decode.wal2json import LoggedColumn, LogicalMessage, Record, RowShape, Truncate
from producer.errors import DecodeError
from producer.lsn import Lsn
from tests import tuples
from tests.tuples import UNCHANGED, framed

HEAD = b',"xid":745,"lsn":"'
COLUMNS = [("id", 23, True), ("b", 16, False), ("raw", 17, False), ("f", 701, False), ("t", 25, False)]
TOLD = tuples.relation(7, "public", 'a"b', COLUMNS)
START = '{"action":"%s","xid":745,"lsn":"0/1C8","schema":"public","table":"a\\"b"'
PK = '"pk":[{"name":"id","typeoid":23}]}'


def no_primary(_told: LoggedRelation) -> Sequence[tuple[str, int]]:
    raise AssertionError("the message tells it")


def said(*messages: bytes, rewording: Rewording | None = None) -> list[Record | bytes]:
    """What they say, rows without their header."""
    rewording = rewording or Rewording(no_primary, header=25)
    parts = [part for message in messages for part in rewording.read(framed(message), HEAD)]
    return [part[25:] if isinstance(part, bytes) else part for part in parts]


def test_an_insert_is_as_wal2json_prints_it() -> None:
    """Numbers and booleans bare, bytea without its mark, NaN as a newer wal2json has it, text escaped."""
    row = tuples.insert(7, [b"1", b"t", b"\\xab", b"NaN", 'ü"\n\x01'.encode()])
    cells = (
        '{"name":"id","typeoid":23,"value":1},{"name":"b","typeoid":16,"value":true},'
        '{"name":"raw","typeoid":17,"value":"ab"},{"name":"f","typeoid":701,"value":"NaN"},'
        '{"name":"t","typeoid":25,"value":"ü\\"\\n\\u0001"}'
    )
    assert said(TOLD, row) == [f'{START % "I"},"columns":[{cells}],{PK}'.encode()]


def test_an_update_names_its_old_row_whether_or_not_the_log_holds_it() -> None:
    """An unchanged large value is left out."""
    new = [b"2", None, None, None, UNCHANGED]
    for old, number in ((None, 2), ([b"1", None, None, None, None], 1)):
        (record,) = said(TOLD, tuples.update(7, new, old))
        assert isinstance(record, bytes)
        decoded = wal2json.decode(record)
        assert isinstance(decoded, RowShape)
        assert [column.name for column in decoded.columns] == ["id", "b", "raw", "f"]
        assert decoded.identity == decoded.primary == (LoggedColumn("id", 23),)
        assert wal2json.values(record, 0).identity == {"id": b"%d" % number}


def test_a_delete_holds_what_the_identity_says() -> None:
    (record,) = said(TOLD, tuples.delete(7, [b"1", None, None, None, None]))
    assert record == f'{START % "D"},"identity":[{{"name":"id","typeoid":23,"value":1}}],{PK}'.encode()


def test_under_another_identity_the_primary_key_is_asked_for() -> None:
    """Under FULL every column has the flag."""
    rewording = Rewording(lambda told: [("t", 25)] if told.oid == 7 else [], header=25)
    whole = [(name, oid, True) for name, oid, _ in COLUMNS]
    (record,) = said(
        tuples.relation(7, "public", "x", whole, b"f"), tuples.delete(7, [b"1"] * 5, b"O"), rewording=rewording
    )
    assert isinstance(record, bytes)
    decoded = wal2json.decode(record)
    assert isinstance(decoded, RowShape)
    assert (len(decoded.identity), decoded.primary) == (5, (LoggedColumn("t", 25),))


def test_a_truncate_of_several_is_several_and_a_message_is_itself() -> None:
    other = tuples.relation(8, "s", "u", [])
    assert said(TOLD, other, tuples.truncate(8, 7), tuples.message("p", b"c")) == [
        Truncate("s", "u", Lsn(0x1C8)), Truncate("public", 'a"b', Lsn(0x1C8)),
        LogicalMessage("p", True, Lsn(0x1F4), b"c"),
    ]  # fmt: skip


def test_skipped_operations_are_left_out() -> None:
    rewording = Rewording(no_primary, {"c", "t"}, header=25)
    row = [b"1", None, None, None, None]
    told = said(
        TOLD, tuples.insert(7, row), tuples.truncate(7), tuples.delete(7, row), tuples.update(7, row),
        rewording=rewording,
    )  # fmt: skip
    assert [part[:13] for part in told if isinstance(part, bytes)] == [b'{"action":"D"', b'{"action":"U"']
    assert len(told) == 2


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([tuples.insert(7, [])], id="of no relation"),
        pytest.param([TOLD, tuples.insert(7, [b"1"])], id="with too few columns"),
        pytest.param([TOLD, tuples.truncate(7, 9)], id="a truncate of no relation"),
    ],
)
def test_a_row_that_its_relation_does_not_explain_is_refused(messages: list[bytes]) -> None:
    with pytest.raises(DecodeError):
        said(*messages)


def test_updates_that_wait_are_read_ahead_and_nothing_is_learned_from_them() -> None:
    """Of each its own transaction's id; what cannot be read ends it."""
    rewording = Rewording(no_primary, header=25)
    said(TOLD, rewording=rewording)
    row = [b"1", None, None, None, None]
    waiting = [
        tuples.update(7, row), tuples.insert(7, row), tuples.commit(), tuples.begin(xid=746),
        tuples.relation(8, "s", "u", COLUMNS), tuples.update(8, row), b"U", tuples.update(7, row),
    ]  # fmt: skip
    found = [record[25:] for record in rewording.ahead([b"k" + bytes(17), *map(framed, waiting)], HEAD)]
    assert [wal2json.values(record, 0).xid for record in found] == [745, 746]
    with pytest.raises(DecodeError):
        rewording.relation(8)
