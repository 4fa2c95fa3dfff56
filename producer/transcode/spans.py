"""Finding a value's plain text: JSON strings and COPY fields, their ends and their escapes.

Room: transcode (pure). RFC 8259, "Strings"; PostgreSQL manual, "COPY", text format.
Types are in spans.pxd.
"""

# mypy: disable-error-code="name-defined"
from __future__ import annotations

import cython

from producer.transcode.plan import FormError

if not cython.compiled:
    from producer.transcode.writer import Writer

_JSON_ESCAPES = {34: 34, 92: 92, 47: 47, 98: 8, 102: 12, 110: 10, 114: 13, 116: 9}
_COPY_ESCAPES = {98: 8, 102: 12, 110: 10, 114: 13, 116: 9, 118: 11}


def matches(source: bytes, start: cython.Py_ssize_t, expected: bytes) -> cython.bint:
    """True when `expected` stands at `start`."""
    size: cython.Py_ssize_t = len(expected)
    if start < 0 or start + size > len(source):
        return False
    if cython.compiled:
        return memcmp(cython.cast(cython.p_char, source) + start, cython.cast(cython.p_char, expected), size) == 0
    return source.startswith(expected, start)


def json_string_end(source: bytes, start: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Where the string that begins behind a quote at `start` ends: the place of its closing quote.

    Raises:
        IndexError: it never ends.
    """
    i: cython.Py_ssize_t = start
    while source[i] != 34:
        if source[i] == 92:
            i += 1
        i += 1
    return i


def has_backslash(source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
    """True when the part holds an escape."""
    if end > len(source):
        raise IndexError("beyond the end")
    if cython.compiled:
        return memchr(cython.cast(cython.p_char, source) + start, 92, end - start) != cython.NULL
    return source.find(b"\\", start, end) >= 0


def json_unescape(scratch: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> bytes:
    """A JSON string's text as UTF-8."""
    i: cython.Py_ssize_t = start
    c: cython.int
    scratch.rewind()
    scratch.reserve(end - start)
    while i < end:
        c = source[i]
        if c != 92:
            scratch.put(c)
            i += 1
            continue
        c = source[i + 1]
        i += 2
        if c == 34 or c == 92:
            scratch.put(c)
        elif c == 110:
            scratch.put(10)
        elif c == 117:
            i = _unicode(scratch, source, i)
        else:
            known = _JSON_ESCAPES.get(c)
            if known is None:
                raise IndexError("no JSON escape")
            scratch.put(known)
    return scratch.take(0, scratch.at)


def _unicode(scratch: Writer, source: bytes, i: int) -> int:
    """The escape whose four digits begin at `i`, with the second of a surrogate pair; where it ends."""
    point = _four_digits(source, i)
    i += 4
    if 0xD800 <= point < 0xDC00 and source[i : i + 2] == b"\\u":
        low = _four_digits(source, i + 2)
        if 0xDC00 <= low < 0xE000:
            point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00)
            i += 6
    if 0xD800 <= point < 0xE000:
        raise FormError("half of a surrogate pair is no text", "mend the row")
    scratch.raw(chr(point).encode())
    return i


def _four_digits(source: bytes, i: int) -> int:
    digits = source[i : i + 4]
    try:
        if len(digits) != 4:
            raise ValueError
        return int(digits, 16)
    except ValueError as error:
        raise IndexError("no JSON escape") from error


def copy_unescape(scratch: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> bytes:
    """A COPY field's text."""
    i: cython.Py_ssize_t = start
    c: cython.int
    scratch.rewind()
    scratch.reserve(end - start)
    while i < end:
        c = source[i]
        if c != 92:
            scratch.put(c)
            i += 1
            continue
        c = source[i + 1]
        i += 2
        if c != 92:
            c = _COPY_ESCAPES.get(c, c)
        scratch.put(c)
    return scratch.take(0, scratch.at)
