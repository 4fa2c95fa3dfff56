"""What a real server printed, cut and broken: a value, SHAPE, or an error that says so; the same in both builds.

`PRODUCER_TEST_SECONDS=600` searches for about so long.
"""

from __future__ import annotations

import contextlib
from functools import cache
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.decode import wal2json
from producer.errors import DecodeError
from tests import builds
from tests.budget import examples
from tests.golden.capture import FOLDER, Captured
from tests.golden.cases import CASES
from tests.paths import Walk

_BUILDS: dict[str, Any] = {"compiled": builds.compiled(), "uncompiled": builds.uncompiled()}
_CASES = {case.name: Captured.load(FOLDER / case.name) for case in CASES}
_SYNTAX = b'{}[]"\\,:()0123456789-+.eNul TPZ\x00\t\n\xff'
_BYTE = st.sampled_from(_SYNTAX) | st.integers(0, 255)
_HEAD = len(b'{"action":"I","xid":745,"timestamp":"2026-11-22 10:25:46+00","lsn":"')


@cache
def _walks(name: str) -> tuple[Walk, Walk]:
    relation = _CASES[name].relation
    return Walk(_BUILDS["compiled"], relation), Walk(_BUILDS["uncompiled"], relation)


@st.composite
def _broken(draw: st.DrawFn, whole: bytes, first: int) -> bytes:
    """With bytes put in, out or over, and its end cut off."""
    text = bytearray(whole)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(first, max(len(text) - 1, first)))
        how = draw(st.integers(0, 2))
        if how == 0:
            text[at:at] = bytes([draw(_BYTE)])
        elif how == 1:
            del text[at : at + draw(st.integers(1, 4))]
        elif at < len(text):
            text[at] = draw(_BYTE)
    return bytes(text[: draw(st.just(len(text)) | st.integers(first, max(len(text), first)))])


def _of_record(walk: Walk, record: bytes) -> list[object]:
    walker = walk.walker
    try:
        code = walk.record(record)
    except walk.form_error:
        # The reason may be another: a type's own functions know one build's error only.
        return ["refused", walker.column]
    assert code in (0, 1, 2, 3, 4)
    return [code, walker.value, walker.key] if code in (1, 2, 3) else [code]


def _of_line(walk: Walk, line: bytes) -> list[object]:
    try:
        walk.line(line, 0)
    except walk.form_error:
        return ["refused", walk.walker.column]
    return [walk.walker.value, walk.walker.key]


def _decode(record: bytes) -> None:
    """The general path: a record or a DecodeError; without a type OID it seems an old plugin's."""
    with contextlib.suppress(DecodeError, wal2json.NoTypeOids):
        assert isinstance(wal2json.decode(record), get_args(wal2json.Record))


@settings(max_examples=examples(600))
@given(data=st.data(), name=st.sampled_from(sorted(_CASES)))
def test_a_broken_record_gives_a_value_or_says_so(data: st.DataObject, name: str) -> None:
    """Nothing else escapes the walker, and what it wrote is whole."""
    record = data.draw(_broken(data.draw(st.sampled_from(_CASES[name].records)), _HEAD))
    compiled, uncompiled = _walks(name)
    found = _of_record(compiled, record)
    assert found == _of_record(uncompiled, record)
    _decode(record)


@settings(max_examples=examples(400))
@given(data=st.data(), name=st.sampled_from(sorted(_CASES)))
def test_a_broken_line_gives_a_value_or_says_so(data: st.DataObject, name: str) -> None:
    """COPY's."""
    line = data.draw(_broken(data.draw(st.sampled_from(_CASES[name].lines)), 0))
    compiled, uncompiled = _walks(name)
    assert _of_line(compiled, line) == _of_line(uncompiled, line)


@settings(max_examples=examples(400))
@given(record=st.binary(max_size=80) | st.binary(max_size=40).map(lambda data: b'{"action":"I","lsn":"0/1",' + data))
def test_any_bytes_are_read_or_refused(record: bytes) -> None:
    """By the general path, which sees what no plan fits."""
    _decode(record)


@pytest.mark.parametrize("name", sorted(_CASES))
def test_every_truncation(name: str) -> None:
    """At each byte: no shorter record or line is taken for a whole one."""
    compiled, uncompiled = _walks(name)
    for record in _CASES[name].records:
        for end in range(_HEAD, len(record), 1 + len(record) // 300):
            found = _of_record(compiled, record[:end])
            assert found == _of_record(uncompiled, record[:end])
            assert found[0] in (0, 4, "refused")
            with pytest.raises(DecodeError):
                wal2json.decode(record[:end])
