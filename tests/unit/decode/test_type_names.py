"""wal2json 2.3's rows, as a real server 13 printed them, become rows as 2.5 prints them."""

from __future__ import annotations

import msgspec
import pytest

from producer.decode.type_names import TypeNames
from producer.decode.wal2json import LoggedColumn, NoTypeOids, RowShape, decode, options
from producer.errors import DecodeError

OIDS = {
    "integer": 23, '"Q S.ü"."My Enum"[]': 4000000000, 'public."we""ird\\x"': 16400, "public.\"tab\tx\"": 16401,
    "timestamp(3) with time zone": 1184, '"char"': 18,
}  # fmt: skip
ROW = (
    '{"action":"U","xid":1,"timestamp":"2026-11-24 22:22:26.006618+00","lsn":"0/1607890","schema":"public",'
    '"table":"e","columns":[{"name":"id","type":"integer","value":1},'
    '{"name":"es","type":""Q S.ü"."My Enum"[]","value":"{\\"a b\\"}"},'
    '{"name":"w","type":"public."we""ird\\x"","value":null},{"name":"x","type":"public."tab\tx"","value":null},'
    '{"name":"t","type":"timestamp(3) with time zone","value":"\\"type\\":\\"integer\\",\\"value\\":1"},'
    '{"name":"type","type":""char"","value":"c"}],"identity":[{"name":"id","type":"integer","value":1}],'
    '"pk":[{"name":"id","type":"integer"},{"name":"type","type":""char""}]}'
).encode()


def test_names_become_oids_and_the_row_json() -> None:
    """Names that break the row's JSON too; values that look like them stay; OIDs above 2^31 as that release prints."""
    asked: list[str] = []

    def oid_of(name: str) -> int:
        asked.append(name)
        return OIDS[name]

    names = TypeNames(oid_of)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(ROW)
    mended = names.with_oids(b"w23456789012345678901234" + ROW)
    assert names.with_oids(ROW) == mended[24:]
    assert sorted(asked) == sorted(OIDS)
    assert b'{"name":"es","typeoid":-294967296,"value":"{\\"a b\\"}"}' in mended
    assert msgspec.json.decode(mended[24:])["columns"][4]["value"] == '"type":"integer","value":1'
    shape = decode(mended, 24)
    assert isinstance(shape, RowShape)
    assert [column.type_oid for column in shape.columns] == [23, 4000000000, 16400, 16401, 1184, 18]
    assert shape.identity == (LoggedColumn("id", 23),)
    assert mended.endswith(b',"pk":[{"name":"id","typeoid":23},{"name":"type","typeoid":18}]}')


def test_a_type_that_is_gone_is_asked_for_again() -> None:
    """It may be one that is not visible yet."""
    answers = iter([0, 16500])
    names = TypeNames(lambda _: next(answers))
    row = b'{"name":"e","type":"public.mood","value":"ok"}'
    assert names.with_oids(row) == b'{"name":"e","typeoid":0,"value":"ok"}'
    assert names.with_oids(row) == names.with_oids(row) == b'{"name":"e","typeoid":16500,"value":"ok"}'


def test_what_is_no_row_stays() -> None:
    """Begin, commit, truncate."""
    begin = b'{"action":"B","xid":485,"timestamp":"2026-11-24 22:21:15.8+00","lsn":"0/15EA9F8","nextlsn":"0/15EAFA0"}'
    assert TypeNames(lambda _: 1 // 0).with_oids(begin) == begin


def test_a_row_without_oids_is_told_apart_from_a_broken_one() -> None:
    """The names are asked for then, and only then."""
    with pytest.raises(NoTypeOids):
        decode(b'{"action":"D","lsn":"0/1","schema":"s","table":"t","identity":[{"name":"id","value":1}]}')
    for names in (False, True):
        chosen = options([("s", "t")], type_names=names)
        asked = [chosen[name] for name in ("include-types", "include-type-oids", "include-pk")]
        assert asked == (["1", "0", "0"] if names else ["0", "1", "1"])


@pytest.mark.parametrize("action", ["U", "D"])
def test_a_change_without_its_old_key_stops(action: str) -> None:
    """As that release prints it on a server 13 where a column of the key was renamed: no key is guessed."""
    columns = b',"columns":[{"name":"n","typeoid":23,"value":1}]' if action == "U" else b""
    row = b'{"action":"%b","lsn":"0/1","schema":"s","table":"t"%b,"identity":[]}' % (action.encode(), columns)
    with pytest.raises(DecodeError, match=r"a change of s\.t at 0/1 does not name its old row") as error:
        decode(row)
    assert "install wal2json" in error.value.remedy


def test_a_table_without_columns_has_an_empty_old_row() -> None:
    """As a newer release prints it: nothing is missing there."""
    row = decode(b'{"action":"D","lsn":"0/1","schema":"s","table":"t","identity":[],"pk":[]}')
    assert isinstance(row, RowShape)
    assert row.identity == ()
