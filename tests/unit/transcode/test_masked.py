"""Columns that Value leaves out or masks, in and beside the key: JSON and COPY, both builds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from producer.transcode.plan import Form, TablePlan, ValuePlan
from tests.unit.transcode.test_rows import TEXT, plan, record, some, value, walker
from tests.unit.transcode.test_rows import part as columns

Build = dict[str, Any]


def _star(_text: bytes) -> bytes:
    return b"\x02*"


STAR = ValuePlan(form=Form.FUNCTION, function=_star)


def made(*, key: tuple[int, ...] = (2, 0), full: bool = False) -> TablePlan:
    """`a`: a key column, masked; `b`: masked, NULL too; `c`: in the key alone; `d`: left out; `e`: as it is."""
    own = plan("a", "b", "c", "d", "e", key=key, logged="abcde" if full else "ac", full=full)
    a, b, c, d, e = own.columns
    shown = (
        replace(a, value=STAR, key=TEXT, masked=True),
        replace(b, value=STAR, null=b"\x02\x02*", masked=True),
        replace(c, value=None, key=TEXT),
        replace(d, value=None),
        e,
    )
    return replace(own, columns=shown)


def key(*texts: bytes) -> bytes:
    return b"K" + b"".join(bytes([2 * len(text)]) + text for text in texts)


def test_the_key_holds_what_value_does_not(build: Build) -> None:
    """From JSON; an escape is undone for both."""
    walked = walker(build, made())
    row = record(b"I", columns(a=r"x\n", b="secret", c="cc", d="dd", e="ee"), None)
    assert walked.row(row, 0, 1) == build["walker"].RECORD
    assert walked.key == key(b"cc", b"x\n")
    assert walked.value == value(None, b"\x02*" + b"\x02\x02*" + some(b"ee"), b"c")


def test_null_is_masked_where_it_was_logged(build: Build) -> None:
    """A before-image that does not hold the column has null."""
    walked = walker(build, made())
    walked.row(record(b"I", columns(a="x", b=None, c="c", d=None, e=None), None), 0, 1)
    assert walked.value == value(None, b"\x02*" + b"\x02\x02*" + b"\x00", b"c")
    assert walked.row(record(b"D", None, columns(a="x", c="c")), 0, 2) == build["walker"].DELETE
    assert walked.key == key(b"c", b"x")
    assert walked.value == value(b"\x02*" + b"\x00" + b"\x00", None, b"d", ordinal=2)
    walked.install(made(full=True))
    walked.row(record(b"D", None, columns(a="x", b=None, c="c", d="d", e="e")), 0, 3)
    assert walked.value == value(b"\x02*" + b"\x02\x02*" + some(b"e"), None, b"d", ordinal=3)


def test_a_change_of_a_masked_key_is_seen(build: Build) -> None:
    """Though Value is the same."""
    walked = walker(build, made())
    row = record(b"U", columns(a="y", b=None, c="c", d=None, e=None), columns(a="x", c="c"))
    assert walked.row(row, 0, 1) == build["walker"].KEY_CHANGE
    assert (walked.old_key, walked.key) == (key(b"c", b"x"), key(b"c", b"y"))


def test_copy_gives_the_same(build: Build) -> None:
    """The column that is left out is not in the row at all."""
    own = made()
    walked = walker(build, own)
    walked.copy_row(b"x\\ty\tsecret\tc\\\\c\tee\n", own, 1)
    assert walked.key == key(b"c\\c", b"x\ty")
    assert walked.value == value(None, b"\x02*" + b"\x02\x02*" + some(b"ee"), b"r", ordinal=0)
    walked.copy_row(b"x\t\\N\tc\t\\N\n", own, 1)
    assert walked.value == value(None, b"\x02*" + b"\x02\x02*" + b"\x00", b"r", ordinal=0)


def test_in_another_order(build: Build) -> None:
    """A partition's rows may hold the columns otherwise than Value: the key does not mind."""
    own = replace(made(), order=(4, 1, 0))
    walked = walker(build, own)
    walked.row(record(b"I", columns(a="x", b="b", c="c", d="d", e="ee"), None), 0, 1)
    assert walked.key == key(b"c", b"x")
    assert walked.value == value(None, some(b"ee") + b"\x02\x02*" + b"\x02*", b"c")
