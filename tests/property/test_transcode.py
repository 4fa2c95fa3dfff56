"""The transcoder against oracles: Python's JSON, decimals and dates; and against broken input."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.transcode.plan import ColumnPlan, Form, TablePlan, ValuePlan
from tests import builds

_BUILDS: dict[str, Any] = {"compiled": builds.compiled(), "uncompiled": builds.uncompiled()}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# PostgreSQL's text knows no U+0000.
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
_EACH = pytest.mark.parametrize("build", sorted(_BUILDS))
_QUICK = settings(max_examples=150)


def _plan(form: Form, *, scale: int = 0, element: Form | None = None) -> TablePlan:
    value = ValuePlan(form=form, scale=scale)
    if element is not None:
        value = ValuePlan(form=form, element=ValuePlan(form=element, scale=scale))
    column = ColumnPlan(name="v", head=b'{"name":"v","typeoid":1,"value":', value=value, nullable=False)
    return TablePlan(
        topic="t", columns=(column,), key=(0,), key_frame=b"", value_frame=b"", names=b"",
        json_names=b'"schema":"s","table":"t"',
    )  # fmt: skip


def _written(build: str, plan: TablePlan, shown: str) -> bytes:
    """The value's Avro body, from JSON: the key of a one-column table is just that."""
    made = _BUILDS[build]["walker"].Walker()
    made.install(plan)
    made.begin(_BUILDS[build]["source_block"].Parts(b',"lsn":"', b"", b"", b"", b"", b""))
    row = (
        '{"action":"I","lsn":"0/1","schema":"s","table":"t","columns":[{"name":"v","typeoid":1,"value":' + shown + "}]}"
    )
    assert made.row(row.encode(), 0, 1) == 1
    key: bytes = made.key
    return key


def _copied(build: str, plan: TablePlan, text: str) -> bytes:
    made = _BUILDS[build]["walker"].Walker()
    made.install(plan)
    escaped = text
    for plain, mark in (
        ("\\", "\\\\"),
        ("\n", "\\n"),
        ("\t", "\\t"),
        ("\r", "\\r"),
        ("\b", "\\b"),
        ("\f", "\\f"),
        ("\v", "\\v"),
    ):
        escaped = escaped.replace(plain, mark)
    made.copy_row((escaped + "\n").encode(), plan, 1)
    key: bytes = made.key
    return key


def _long(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


@_EACH
@_QUICK
@given(text=_TEXT, ascii_only=st.booleans())
def test_any_text_survives_both_escapings(build: str, text: str, ascii_only: bool) -> None:
    """JSON's and COPY's."""
    plan = _plan(Form.STRING)
    expected = _long(len(text.encode())) + text.encode()
    assert _written(build, plan, json.dumps(text, ensure_ascii=ascii_only)) == expected
    assert _copied(build, plan, text) == expected


@_EACH
@_QUICK
@given(items=st.lists(st.none() | _TEXT, max_size=5))
def test_any_array_of_text_survives(build: str, items: list[str | None]) -> None:
    """Quoted as PostgreSQL quotes, NULL and the word NULL told apart."""
    quoted = [
        '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' if item is not None else "NULL" for item in items
    ]
    body = b"".join(b"\x00" if item is None else b"\x02" + _long(len(item.encode())) + item.encode() for item in items)
    expected = (_long(len(items)) if items else b"") + body + b"\x00"
    plan = _plan(Form.ARRAY, element=Form.STRING)
    assert _written(build, plan, json.dumps("{" + ",".join(quoted) + "}")) == expected


@_EACH
@_QUICK
@given(unscaled=st.integers(-(10**40), 10**40) | st.integers(-(2**64), 2**64), scale=st.integers(0, 20))
def test_any_decimal_is_exact(build: str, unscaled: int, scale: int) -> None:
    """Of any width, as java.math.BigInteger writes it."""
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    sign = "-" if unscaled < 0 else ""
    exact = sign + (digits[:-scale] + "." + digits[-scale:] if scale else digits)
    body = _written(build, _plan(Form.DECIMAL, scale=scale), exact)
    size = body[0] // 2
    data = body[1:]
    assert len(data) == size
    assert int.from_bytes(data, "big", signed=True) == unscaled
    assert size == 1 or data[0] not in (0, 255) or (data[0] ^ data[1]) & 0x80, "minimal"


@_EACH
@_QUICK
@given(day=st.dates(), moment=st.datetimes(timezones=st.just(UTC)))
def test_dates_and_timestamps_are_python_own(build: str, day: date, moment: datetime) -> None:
    """Years 1 to 9999, to the microsecond."""
    assert _written(build, _plan(Form.DATE), json.dumps(day.isoformat())) == _long((day - _EPOCH.date()).days)
    text = moment.replace(tzinfo=None).isoformat(" ")
    micros = (moment - _EPOCH) // timedelta(microseconds=1)
    assert _written(build, _plan(Form.TIMESTAMP_MICROS), json.dumps(text)) == _long(micros)
    zoned = moment.strftime("%Y").rjust(4, "0") + moment.strftime("-%m-%dT%H:%M:%S.%fZ")
    written = _written(build, _plan(Form.ZONED_TIMESTAMP), json.dumps(text + "+00"))
    assert written == _long(27) + zoned.encode()


@_EACH
@_QUICK
@given(number=st.integers(-(2**63), 2**63 - 1))
def test_any_long_is_exact(build: str, number: int) -> None:
    """To both ends of 64 bits."""
    assert _written(build, _plan(Form.LONG), str(number)) == _long(number)


@_EACH
@settings(max_examples=300)
@given(data=st.data(), form=st.sampled_from([form for form in Form if form not in (Form.FUNCTION, Form.ARRAY)]))
def test_broken_rows_give_a_code_or_a_form_error(build: str, data: st.DataObject, form: Form) -> None:
    """Flipped, cut, or lengthened: nothing else escapes, and the walker goes on."""
    modules = _BUILDS[build]
    made = modules["walker"].Walker()
    made.install(_plan(form))
    made.begin(_BUILDS[build]["source_block"].Parts(b',"lsn":"', b"", b"", b"", b"", b""))
    row = bytearray(
        b'{"action":"U","lsn":"0/1","schema":"s","table":"t","columns":[{"name":"v","typeoid":1,"value":'
        + data.draw(st.sampled_from([b"12.5", b'"2016-11-04 13:51:30+00"', b'"a\\u00e9\\"b"', b"null", b'"{a}"']))
        + b'}],"identity":[{"name":"v","typeoid":1,"value":1}]}'
    )
    for _ in range(data.draw(st.integers(0, 3))):
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(st.integers(0, 255))
    broken = bytes(row[: data.draw(st.integers(0, len(row)))]) + data.draw(st.binary(max_size=3))
    try:
        assert made.row(broken, 0, 1) in (0, 1, 2, 3, 4)
    except modules["plan"].FormError:
        pass
