"""wal2json's records, as a real 2.5 printed them."""

from __future__ import annotations

import pytest

from producer.decode.wal2json import (
    Begin,
    Commit,
    LoggedColumn,
    LogicalMessage,
    RowShape,
    Truncate,
    as_delete,
    as_insert,
    decode,
    options,
    values,
    with_columns,
    with_identity,
)
from producer.errors import DecodeError
from producer.lsn import Lsn

BEGIN = b'{"action":"B","xid":745,"timestamp":"2026-11-22 10:25:46.24+00","lsn":"0/19B3FA0","nextlsn":"0/19B3FD0"}'
ROW = (
    b'{"action":"U","xid":745,"timestamp":"2026-11-22 10:25:46.24+00","lsn":"0/19B3E40","schema":"public","table":"t",'
    b'"columns":[{"name":"id","typeoid":23,"value":1},{"name":"v","typeoid":-1294967296,"value":"a\\"b"}],'
    b'"identity":[{"name":"id","typeoid":23,"value":1}]}'
)


def test_begin_tells_the_commit_and_what_every_record_repeats() -> None:
    """The head that the fast path compares is cut from the record itself."""
    begin = decode(b"h" * 25 + BEGIN, 25)
    assert isinstance(begin, Begin)
    assert (begin.xid, begin.commit_lsn, begin.next_lsn) == (745, Lsn.parse("0/19B3FA0"), Lsn.parse("0/19B3FD0"))
    assert begin.commit_us == 1795343146240000
    assert begin.record_head == b',"xid":745,"timestamp":"2026-11-22 10:25:46.24+00","lsn":"'


def test_commit_and_truncate() -> None:
    """The other records of a transaction."""
    tail = b'"xid":1,"timestamp":"2026-11-22 10:25:46+00","lsn":"0/10"'
    assert decode(b'{"action":"C",' + tail + b',"nextlsn":"0/20"}') == Commit(Lsn(16), Lsn(32))
    assert decode(b'{"action":"T",' + tail + b',"schema":"q","table":"t1"}') == Truncate("q", "t1", Lsn(16))


MESSAGE = b'{"action":"M","xid":null,"timestamp":null,"lsn":"0/10","transactional":false,"prefix":"p","content":"%s"}'


@pytest.mark.parametrize(
    ("printed", "content"),
    [
        (b"x", b"x"),
        (b"", b""),
        (b'a\\"b\\\\c\\n\\t\\u0001\\u001f/', b'a"b\\c\n\t\x01\x1f/'),
        (b"\\\\n", b"\\n"),
        ("é😀".encode(), "é😀".encode()),
        (b"\xff\xfe\x80 is no UTF-8", b"\xff\xfe\x80 is no UTF-8"),
        (b'\\"}', b'"}'),
        (b'\\",\\"content\\":\\"', b'","content":"'),
    ],
)
def test_a_logical_message_carries_its_bytes(printed: bytes, content: bytes) -> None:
    """Text and what is no text, as it stands between the quotes, without its escapes."""
    assert decode(b"h" * 25 + MESSAGE % printed, 25) == LogicalMessage("p", False, Lsn(16), content)


def test_a_prefix_that_looks_like_the_content() -> None:
    """Its quotes are escaped."""
    message = (MESSAGE % b"x").replace(b'"p"', b'"\\",\\"content\\":\\"\xc3\xa9"').replace(b"false", b"true")
    assert decode(message) == LogicalMessage('","content":"é', True, Lsn(16), b"x")


@pytest.mark.parametrize(
    "broken", [(MESSAGE % b"x")[:-1], (MESSAGE % b"")[:-2], MESSAGE % b"\\x", (MESSAGE % b"x").replace(b"0/10", b"x")]
)
def test_a_broken_logical_message_is_a_decode_error(broken: bytes) -> None:
    """It is never half a message."""
    with pytest.raises(DecodeError):
        decode(broken)


def test_a_row_names_its_columns_and_unsigned_types() -> None:
    """An OID above 2^31 is printed as a negative number before 2.7."""
    shape = decode(ROW)
    assert isinstance(shape, RowShape)
    assert shape.columns == (LoggedColumn("id", 23), LoggedColumn("v", 3000000000))
    assert shape.identity == (LoggedColumn("id", 23),)


def test_a_completed_row_keeps_what_stands_around_its_columns() -> None:
    """Head and identity stay, byte for byte."""
    assert values(ROW, 0).columns == {"id": b"1", "v": b'"a\\"b"'}
    completed = with_columns(ROW, 0, [b'{"name":"x","typeoid":1,"value":2}'])
    assert completed.startswith(ROW[: ROW.index(b'[{"name')])
    assert completed.endswith(b'[{"name":"x","typeoid":1,"value":2}]' + ROW[ROW.index(b',"identity"') :])


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"[]",
        b'{"action":"X"}',
        b'{"action":"B","lsn":"0/1","nextlsn":"0/2"}',
        b'{"action":"C","lsn":"nonsense","nextlsn":"0/2"}',
        b'{"action":"I","lsn":"0/1","schema":"s","table":"t","columns":[{"name":1}]}',
        ROW[:-2],
    ],
)
def test_malformed_records_are_decode_errors(broken: bytes) -> None:
    """Nothing else escapes, and nothing is skipped."""
    with pytest.raises(DecodeError):
        decode(broken)


def test_a_row_becomes_a_delete_or_has_another_old_row() -> None:
    """What stands before its columns stays; quotes in a name do not mislead."""
    cell = b'{"name":"id","typeoid":23,"value":7}'
    odd = ROW.replace(b'"table":"t"', b'"table":"\\"identity\\":["')
    for row in (ROW, odd):
        deleted = as_delete(row, 0, [cell])
        assert deleted == row[: row.index(b',"columns"')].replace(b'"U"', b'"D"') + b',"identity":[' + cell + b"]}"
        assert as_delete(deleted, 0, [cell]) == deleted
        assert values(deleted, 0).identity == {"id": b"7"}
        updated = with_identity(row, 0, [])
        assert values(updated, 0).columns == values(row, 0).columns
        assert values(updated, 0).identity == {}
        created = as_insert(row, 0)
        assert created == row[: row.index(b',"identity":[{')].replace(b'"U"', b'"I"') + b"}"
        assert as_insert(created, 0) == created


@pytest.mark.parametrize(
    ("broken", "shown"),
    [
        (ROW[:-2], ROW[: ROW.index(b',"columns"')].decode()),
        (b'{"action":"I","xid":1,"secret":"4711"}', '{"action":"I","xid":1'),
        (b'{"action":"I","xid":1,"timestamp":"4711 secret","lsn":"0/1"', '{"action":"I","xid":1'),
        (b"secret 4711", "as no record does"),
    ],
)  # fmt: skip
def test_a_broken_record_shows_its_head_and_no_value(broken: bytes, shown: str) -> None:
    """Up to the table's name, and not one member that is not known to be harmless."""
    with pytest.raises(DecodeError) as caught:
        decode(broken)
    assert caught.value.message.endswith(f"it begins {shown}")
    assert "4711" not in str(caught.value)


def test_table_names_are_escaped_as_the_plugin_reads_them() -> None:
    """Spaces, commas, periods and backslashes; quotes and letters of any kind stay."""
    chosen = options([("public", "t"), ("Q S", "T.a,b*'\"x\\ é"), ("s", "*")])
    assert chosen["add-tables"] == "public.t,Q\\ S.T\\.a\\,b*'\"x\\\\\\ é,s.\\*"


def test_skipped_operations_are_left_to_the_server() -> None:
    """What nobody wants is not sent to us."""
    assert options([("a", "b")], {"t", "d"})["actions"] == "insert,update"


def test_all_messages_are_asked_for_or_none() -> None:
    """The plugin matches whole prefixes only, and has no word for none."""
    assert options([("a", "b")])["add-msg-prefixes"] == "pg-producer:none"
    assert "add-msg-prefixes" not in options([("a", "b")], messages=True)
