"""The transcoder's two builds against each other: the same bytes, or the same refusal, for any text.

C wraps, truncates and signs where Python does not: what differs between the builds is a fault.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producer.transcode.plan import ColumnPlan, Form, TablePlan, ValuePlan
from tests import builds

_BUILDS: dict[str, Any] = {"compiled": builds.compiled(), "uncompiled": builds.uncompiled()}
_HEAD = b'{"name":"v","typeoid":1,"value":'
_SCALARS = [form for form in Form if form not in (Form.ARRAY, Form.FUNCTION)]
# What a server prints, to be broken.
_PRINTED = [
    "0", "-1", "12.50", "-0.05", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
    "999999999999999999", "1000000000000000000", "99999999999999999999.99", "1e+20", "-0", "3.4028235e+38",
    "7.038531e-26", "NaN", "Infinity", "-Infinity", "t", "true", "false", "\\xdeadbeef", "deadbeef00",
    "2024-02-29", "0044-03-15 BC", "5874897-12-31", "infinity", "-infinity", "23:59:59.123456", "24:00:00",
    "2024-02-29 23:59:59.123", "294247-01-10 04:00:54.775806", "294247-01-10 04:00:54.775807",
    "999999999-01-01 00:00:00", "999999999-01-01 00:00:00 BC", "4713-12-31 23:59:59.999999 BC",
    "2024-03-01 00:59:59.5+00", "21016-11-04 06:51:30+00", "0001-01-01 00:00:00+00 BC",
    "P1Y2M3DT4H5M6.78S", "PT-0.5S", "PT0S", "P", "PT",
    "{}", "{1,NULL,3}", '{a,null,"NULL","b c","d\\"e\\\\","",é}', "{{1,2},{3,4}}", "[0:1]={7,8}", '{"a}', "{a,}",
]  # fmt: skip
_BYTES = st.sampled_from(b'0123456789-+.:,{}[]"\\ PTYMDHSBCNULeEnfity\x00\t\n\x7f\x80\xc3\xff') | st.integers(0, 255)


@st.composite
def _broken(draw: st.DrawFn) -> bytes:
    """A printed value with a few bytes put in, out, or over."""
    text = bytearray(draw(st.sampled_from(_PRINTED)).encode())
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, max(len(text) - 1, 0)))
        how = draw(st.integers(0, 2))
        if how == 0:
            text[at:at] = bytes([draw(_BYTES)])
        elif how == 1:
            del text[at : at + 1]
        elif text:
            text[at] = draw(_BYTES)
    return bytes(text)


def _values() -> st.SearchStrategy[ValuePlan]:
    """Scalars; arrays and records of them, one in the other."""
    scalars = st.builds(ValuePlan, form=st.sampled_from(_SCALARS), scale=st.integers(0, 2))
    return st.recursive(
        scalars,
        lambda inner: (
            st.builds(
                ValuePlan,
                form=st.just(Form.ARRAY),
                element=inner,
                depth=st.integers(1, 3),
                delimiter=st.sampled_from(",;:"),
            )
            | st.builds(ValuePlan, form=st.just(Form.COMPOSITE), attributes=st.lists(inner, max_size=3).map(tuple))
        ),
        max_leaves=4,
    )


def _plan(value: ValuePlan) -> TablePlan:
    column = ColumnPlan(name="v", head=_HEAD, value=value)
    return TablePlan(
        topic="t", columns=(column,), key=(), key_frame=b"", value_frame=b"\x00", names=b"n",
        json_names=b'"schema":"s","table":"t"',
    )  # fmt: skip


def _walk(build: str, plan: TablePlan, message: bytes, row: bytes) -> list[object]:
    """What a build makes of the record and of the copied row: code, column and bytes, or the refusal."""
    modules = _BUILDS[build]
    walker = modules["walker"].Walker()
    walker.install(plan)
    walker.begin(modules["source_block"].Parts(b',"lsn":"', b"", b"[", b"", b"", b""))
    found: list[object] = []
    try:
        found.append(walker.row(message, 0, 1))
    except modules["plan"].FormError as error:
        found += [error.reason, error.remedy]
    found += [walker.column, walker.value]
    try:
        walker.copy_row(row, plan, 1)
    except modules["plan"].FormError as error:
        found += [error.reason, error.remedy]
    return [*found, walker.column, walker.value]


def _record(value: bytes) -> bytes:
    return b'{"action":"I","lsn":"0/1","schema":"s","table":"t","columns":[' + _HEAD + value + b"}]}"


@settings(max_examples=1500)
@given(value=_values(), text=_broken(), bare=st.booleans())
@example(value=ValuePlan(form=Form.DECIMAL), text=b"9" * 5000, bare=True)
@example(value=ValuePlan(form=Form.ARRAY, element=ValuePlan(form=Form.STRING)), text=b'{"\\\xe9"}', bare=False)
def test_both_builds_make_the_same_of_any_text(value: ValuePlan, text: bytes, bare: bool) -> None:
    """Also of what no server prints."""
    plan = _plan(value)
    shown = text if bare else json.dumps(text.decode("latin-1"), ensure_ascii=False).encode("latin-1")
    row = text.replace(b"\\", b"\\\\") + b"\n"
    assert _walk("compiled", plan, _record(shown), row) == _walk("uncompiled", plan, _record(shown), row)


@settings(max_examples=500)
@given(data=st.data())
def test_both_builds_make_the_same_of_any_record(data: st.DataObject) -> None:
    """Of escapes, heads, LSNs and ends that were broken."""
    record = bytearray(_record(b'"a\\u00e9\\ud83d\\ude00\\"b\\n"'))
    for _ in range(data.draw(st.integers(1, 3))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(_BYTES)
    cut = bytes(record[: data.draw(st.integers(0, len(record)) | st.just(len(record)))])
    row = data.draw(st.lists(st.sampled_from([b"a", b"\\", b"N", b"n", b"\t", b"\n", b"x41", b"\xff"]), max_size=6))
    plan = _plan(ValuePlan(form=Form.STRING))
    assert _walk("compiled", plan, cut, b"".join(row)) == _walk("uncompiled", plan, cut, b"".join(row))


@pytest.mark.parametrize("build", sorted(_BUILDS))
def test_each_build_is_what_it_says(build: str) -> None:
    """A missing extension must fail here, not run the sources twice."""
    assert _BUILDS[build]["walker"].compiled is (build == "compiled"), "run `make build` first"
