"""COPY's text, taken apart."""

from __future__ import annotations

import pytest

from producer.decode.copytext import fields, only, text


def test_fields_and_nulls() -> None:
    """An empty field is text, a backslash and an N is NULL."""
    row = b"1\t\\N\t\ta\\tb\n"
    assert fields(row) == [b"1", b"\\N", b"", b"a\\tb"]
    assert [text(field) for field in fields(row)] == ["1", None, "", "a\tb"]
    assert only(row, frozenset({0, 3})) == b"1\t\\N\t\\N\ta\\tb\n"


@pytest.mark.parametrize("original", ["\b\f\n\r\t\v", "\\N", "\\\\", "é\\t", ""])
def test_escapes_are_undone(original: str) -> None:
    """As the server writes them."""
    written = original.encode().replace(b"\\", b"\\\\")
    for character, letter in zip(b"\b\f\n\r\t\v", b"bfnrtv", strict=True):
        written = written.replace(bytes([character]), b"\\" + bytes([letter]))
    assert text(written) == original
