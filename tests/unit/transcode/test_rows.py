"""The walker's rules beyond a value: keys, identities, plans that come and go, records that are no rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from producer.transcode.plan import ColumnPlan, Form, TablePlan, ValuePlan

Build = dict[str, Any]
TEXT = ValuePlan(form=Form.STRING)
NAMES = b'"schema":"s","table":"t"'


def head(name: str) -> bytes:
    return b'{"name":"' + name.encode() + b'","typeoid":25,"value":'


def plan(*columns: str, key: tuple[int, ...] = (0,), logged: str = "", full: bool = False) -> TablePlan:
    """A table of text columns; `logged` are those of the replica identity."""
    return TablePlan(
        topic="t",
        columns=tuple(
            ColumnPlan(
                name=name, value=TEXT, head=head(name), nullable=index not in key, in_identity=name in logged
            )
            for index, name in enumerate(columns)
        ),
        key=key, key_frame=b"K" if key else b"", value_frame=b"V", names=b"N", json_names=NAMES, full_identity=full,
    )  # fmt: skip


def walker(build: Build, *plans: TablePlan) -> Any:
    made = build["walker"].Walker()
    for installed in plans:
        made.install(installed)
    made.begin(build["source_block"].Parts(b',"lsn":"', b"<", b"[", b"", b"", b""))
    made.clock(b">")
    return made


def part(**values: str | None) -> bytes:
    shown = {name: b"null" if value is None else b'"' + value.encode() + b'"' for name, value in values.items()}
    return b",".join(head(name) + value + b"}" for name, value in shown.items())


def record(action: bytes, columns: bytes | None, identity: bytes | None, *, lsn: bytes = b"0/1") -> bytes:
    text = b'{"action":"' + action + b'","lsn":"' + lsn + b'",' + NAMES
    text += b"" if columns is None else b',"columns":[' + columns + b"]"
    text += b"" if identity is None else b',"identity":[' + identity + b"]"
    return text + b"}"


def value(before: bytes | None, after: bytes | None, op: bytes, *, lsn: int = 1, ordinal: int = 1) -> bytes:
    """The envelope, in the parts that `walker` begins with."""
    sequence = b"[" + b"%d" % lsn + b'"]'
    images = b"".join(b"\x00" if image is None else b"\x02" + image for image in (before, after))
    source = b"<\x02" + bytes([2 * len(sequence)]) + sequence + b"N\x02" + long(lsn) + b"\x00\x00\x00\x02"
    return b"V" + images + source + bytes([2 * ordinal]) + b"\x00\x02" + op + b">"


def long(number: int) -> bytes:
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def some(text: bytes) -> bytes:
    return b"\x02" + bytes([2 * len(text)]) + text


def test_a_key_of_several_columns_is_in_its_own_order(build: Build) -> None:
    """The key's order, not the table's."""
    made = walker(build, plan("a", "b", "c", key=(2, 0), logged="ac"))
    assert made.row(record(b"I", part(a="x", b=None, c="y"), None), 0, 1) == build["walker"].RECORD
    assert made.key == b"K\x02y\x02x"
    assert made.value == value(None, b"\x02x\x00\x02y", b"c")
    assert made.row(record(b"D", None, part(a="x", c="y")), 0, 2) == build["walker"].DELETE
    assert made.key == b"K\x02y\x02x"
    assert made.value == value(b"\x02x\x00\x02y", None, b"d", ordinal=2)


def test_a_change_of_the_key_under_full_identity_keeps_the_old_row(build: Build) -> None:
    """The delete has the whole before-image, the create none."""
    made = walker(build, plan("a", "b", logged="ab", full=True))
    row = record(b"U", part(a="new", b="x"), part(a="old", b=None))
    assert made.row(row, 0, 4) == build["walker"].KEY_CHANGE
    assert (made.old_key, made.key) == (b"K\x06old", b"K\x06new")
    assert made.old_value == value(b"\x06old\x00", None, b"d", ordinal=4)
    assert made.value == value(None, b"\x06new" + some(b"x"), b"c", ordinal=5)


def test_without_a_key(build: Build) -> None:
    """Under full identity rows come all the same, their key null."""
    made = walker(build, plan("a", "b", key=(), logged="ab", full=True))
    assert made.row(record(b"U", part(a="1", b="2"), part(a="3", b="2")), 0, 1) == build["walker"].RECORD
    assert made.key is None
    assert made.value == value(some(b"3") + some(b"2"), some(b"1") + some(b"2"), b"u")
    assert made.row(record(b"D", None, part(a="1", b=None)), 0, 1) == build["walker"].DELETE
    assert made.key is None
    assert made.value == value(some(b"1") + b"\x00", None, b"d")


def test_a_key_that_the_log_does_not_hold(build: Build) -> None:
    """An update is one of its new key; a delete is nobody's, and an error. A new shape is told first."""
    made = walker(build, plan("a", "b", key=(0,), logged="b"))
    assert made.row(record(b"U", part(a="1", b="2"), part(b="3")), 0, 1) == build["walker"].RECORD
    assert made.value == value(None, b"\x021" + some(b"2"), b"u")
    with pytest.raises(build["plan"].FormError):
        made.row(record(b"D", None, part(b="2")), 0, 1)
    assert made.column == 0
    assert made.row(record(b"D", None, part(a="1")), 0, 1) == build["walker"].SHAPE
    assert made.column == -1


def test_an_update_without_identity_is_an_update(build: Build) -> None:
    """Should a plugin print it so."""
    made = walker(build, plan("a", logged="a"))
    assert made.row(record(b"U", part(a="1"), None), 0, 1) == build["walker"].RECORD
    assert made.value == value(None, b"\x021", b"u")


@pytest.mark.parametrize(
    ("lsn", "number"), [(b"0/1", 1), (b"0/FFFFFFFF", 2**32 - 1), (b"1/0", 2**32), (b"7FFFFFFF/FFFFFFFF", 2**63 - 1)]
)
def test_an_lsn_is_read_whole(build: Build, lsn: bytes, number: int) -> None:
    """Both halves."""
    made = walker(build, plan("a", logged="a"))
    assert made.row(record(b"I", part(a="1"), None, lsn=lsn), 0, 1) == build["walker"].RECORD
    assert made.lsn == number
    assert made.value == value(None, b"\x021", b"c", lsn=number)


@pytest.mark.parametrize(
    "lsn", [b"", b"1", b"/1", b"1/", b"0/0/1", b"0/g", b"80000000/0", b"100000000/0", b"0/123456789"]
)
def test_what_is_no_lsn_falls_out(build: Build, lsn: bytes) -> None:
    """Nor one that 64 bits with a sign cannot hold: C would wrap."""
    made = walker(build, plan("a", logged="a"))
    assert made.row(record(b"I", part(a="1"), None, lsn=lsn), 0, 1) == build["walker"].SHAPE


@pytest.mark.parametrize(
    "row",
    [
        b'{"action":"I","lsn":"0/1",' + NAMES + b',"columns":[' + head("a") + b'"1"}]} ',
        b'{"action":"I","lsn":"0/1",' + NAMES + b',"columns":[' + head("a") + b'"1"}],"x":1}',
        b'{"action":"I","lsn":"0/1",' + NAMES + b',"columns":[' + head("a") + b'"1",}]}',
        b'{"action":"I","lsn":"0/1",' + NAMES + b',"columns":[' + head("a") + b"1 2}]}",
        b'{"action":"I","lsn":"0/1",' + NAMES + b',"columns":[' + head("a") + b"}]}",
        b'{"action":"I","lsn":"0/1",' + NAMES + b',"columns":[' + head("a") + b'"\\x"}]}',
        b'{"action":"I","lsn":"0/1",' + NAMES + b',"columns":[' + head("a") + b'"\\u+123"}]}',
        b'{"action":"I","lsn":"0/1",' + NAMES + b',"columns":[' + head("a") + b'"\\u12"}]}',
        b'{"action":"I","lsn":"0/1",' + NAMES + b',"columns":[' + head("a") + b"nil}]}",
        b'{"action":"D","lsn":"0/1",' + NAMES + b',"columns":[' + head("a") + b'"1"}]}',
        b'{"action":"I","lsn":"0/1","schema":"s","table":"t',
        b'{"action":"I","lsn":"0/1","schema":"s\\',
    ],
)
def test_malformed_json_falls_out(build: Build, row: bytes) -> None:
    """The general path says what is wrong with it; nothing was written."""
    made = walker(build, plan("a", logged="a"))
    assert made.row(row, 0, 1) == build["walker"].SHAPE
    assert made.value is None
    assert made.column == -1


def test_names_with_quotes_are_found(build: Build) -> None:
    """As the plugin escapes them."""
    names = b'"schema":"s\\"","table":"\\\\t,\\"columns\\":["'
    odd = replace(plan("a", logged="a"), json_names=names, topic="odd")
    made = walker(build, odd, plan("a", logged="a"))
    row = record(b"I", part(a="1"), None)
    for _ in range(2):
        assert made.row(row, 0, 1) == build["walker"].RECORD
        assert made.topic == "t"
        assert made.row(row.replace(NAMES, names), 0, 1) == build["walker"].RECORD
        assert made.topic == "odd"
        assert made.plan() is odd


def test_a_plan_is_replaced_and_forgotten(build: Build) -> None:
    """By the table's names."""
    first, second = plan("a", logged="a"), plan("a", "b", logged="a")
    made = walker(build, first)
    one, two = record(b"I", part(a="1"), None), record(b"I", part(a="1", b="2"), None)
    assert made.row(one, 0, 1) == build["walker"].RECORD
    assert made.row(two, 0, 1) == build["walker"].SHAPE
    made.install(second)
    assert made.row(one, 0, 1) == build["walker"].SHAPE
    assert made.row(two, 0, 1) == build["walker"].RECORD
    assert made.plan() is second


def test_a_copied_row_is_of_the_plan_that_it_is_given(build: Build) -> None:
    """Though the stream has walked the table by a later one: neither takes the other's."""
    earlier, later = plan("a", logged="a"), replace(plan("a", "b", logged="a"), topic="later")
    made = walker(build, later)
    for _ in range(2):
        made.copy_row(b"1\n", earlier, 7)
        assert made.topic == "t"
        assert made.value == value(None, b"\x021", b"r", lsn=7, ordinal=0)
        assert made.row(record(b"I", part(a="1", b="2"), None), 0, 1) == build["walker"].RECORD
        assert made.topic == "later"
        made.copy_row(b"1\t2\n", later, 7)
        assert made.topic == "later"


@pytest.mark.parametrize("row", [b"", b"\n", b"1\n", b"1\t2\t3\n", b"1\t2\\\n", b"1\t\\N\\N\n", b"1\t\\x41\n"])
def test_a_copied_row_that_is_not_the_plan_is_a_form_error(build: Build, row: bytes) -> None:
    """And the next row is walked as ever."""
    made = walker(build, plan("a", "b", logged="a"))
    with pytest.raises(build["plan"].FormError):
        made.copy_row(row, made_of := plan("a", "b", logged="a"), 1)
    assert (made.key, made.value) == (None, None)
    made.copy_row(b"1\t\\b\\f\\n\\r\\t\\v\\\\\n", made_of, 1)
    assert made.value == value(None, b"\x021" + some(b"\b\f\n\r\t\v\\"), b"r", ordinal=0)
    made.copy_row(b"1\t\\N", made_of, 1)
    assert made.value == value(None, b"\x021\x00", b"r", ordinal=0)


def test_a_table_without_columns(build: Build) -> None:
    """Has rows nevertheless."""
    made = walker(build, empty := plan(key=()))
    made.copy_row(b"\n", empty, 1)
    assert made.value == value(None, b"", b"r", ordinal=0)
    assert made.row(record(b"I", b"", None), 0, 1) == build["walker"].RECORD
    assert made.value == value(None, b"", b"c")


def test_an_error_leaves_the_last_record_whole_and_the_walker_ready(build: Build) -> None:
    """No half of a row is ever seen."""
    made = walker(build, plan("a", "b", logged="a"))
    made.row(record(b"I", part(a="1", b="2"), None), 0, 1)
    kept = (made.key, made.value)
    with pytest.raises(build["plan"].FormError):
        made.row(record(b"I", part(a=None, b="2"), None), 0, 1)
    assert (made.key, made.value, made.column) == (*kept, 0)
    assert made.row(record(b"I", part(a="1"), None), 0, 1) == build["walker"].SHAPE
    assert (made.key, made.value) == kept
    assert made.row(record(b"I", part(a="1", b="2"), None), 0, 1) == build["walker"].RECORD
    assert (made.key, made.value) == kept


def test_big_rows_and_small_ones_after_them(build: Build) -> None:
    """The buffers grow, are given back, and serve again."""
    made = walker(build, made_of := plan("a", "b", logged="a"))
    for size in (9_000, 5_000_000, 10, 6_000_000, 100_000):
        text = b"\\n" * 10 + b"x" * size
        data = b"\n" * 10 + b"x" * size
        expected = value(None, b"\x021\x02" + long(len(data)) + data, b"c")
        row = record(b"I", part(a="1") + b"," + head("b") + b'"' + text + b'"}', None)
        assert made.row(row, 0, 1) == build["walker"].RECORD
        assert made.value == expected
        made.copy_row(b"1\t" + text + b"\n", made_of, 1)
        assert made.value == value(None, b"\x021\x02" + long(len(data)) + data, b"r", ordinal=0)


@pytest.mark.parametrize("row", [b"", b"{", b'{"action":"', b'{"action":"B","xid":1}', b'{"action":"T","lsn":"0/1"}'])
def test_what_is_no_row(build: Build, row: bytes) -> None:
    """Whatever stands before it."""
    made = walker(build, plan("a", logged="a"))
    assert made.row(b"w" * 25 + row, 25, 1) in (build["walker"].OTHER, build["walker"].SHAPE)
    assert made.row(row, 25, 1) == build["walker"].OTHER
