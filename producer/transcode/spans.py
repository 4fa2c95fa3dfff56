"""Finding a value's plain text: JSON strings and COPY fields, their ends and their escapes; numbers of the protocol.

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
_HEXADECIMAL = b"0123456789abcdefABCDEF"
_COPY_ESCAPES = {98: 8, 102: 12, 110: 10, 114: 13, 116: 9, 118: 11}


def matches(source: bytes, start: cython.Py_ssize_t, expected: bytes) -> cython.bint:
    """True when `expected` stands at `start`."""
    size: cython.Py_ssize_t = len(expected)
    if start < 0 or start + size > len(source):
        return False
    if cython.compiled:
        return memcmp(cython.cast(cython.p_char, source) + start, cython.cast(cython.p_char, expected), size) == 0
    return source.startswith(expected, start)


def find(source: bytes, c: cython.int, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Where the ASCII character stands first in the part; -1 when it does not.

    Raises:
        IndexError: the part reaches beyond `source`.
    """
    if start < 0 or end > len(source):
        raise IndexError("beyond the end")
    if start >= end:
        return -1
    if cython.compiled:
        first: cython.p_char = cython.cast(cython.p_char, source)
        found: cython.p_char = cython.cast(cython.p_char, memchr(first + start, c, end - start))
        return -1 if found == cython.NULL else found - first
    return source.find(c, start, end)


def big_endian(source: bytes, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.longlong:
    """A whole number in network order: one of 8 bytes has a sign, a shorter one has none.

    Raises:
        IndexError: it reaches beyond `source`.
    """
    end: cython.Py_ssize_t = at + size
    value: cython.ulonglong = 0
    while at < end:
        value = value * 256 + source[at]
        at += 1
    if cython.compiled:
        return cython.cast(cython.longlong, value)
    return value - (1 << 64) if value >= 1 << 63 else value


def json_string_end(source: bytes, start: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Where the string that begins behind a quote at `start` ends: the place of its closing quote.

    Raises:
        IndexError: it never ends.
    """
    size: cython.Py_ssize_t = len(source)
    quote: cython.Py_ssize_t = find(source, 34, start, size)
    escape: cython.Py_ssize_t = find(source, 92, start, quote)
    at: cython.Py_ssize_t
    while escape >= 0:
        at = escape + 2
        if quote < at:
            quote = find(source, 34, at, size)
        escape = find(source, 92, at, quote)
    if quote < 0:
        raise IndexError("the string never ends")
    return quote


def bare_end(source: bytes, start: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Where a number, true or false ends: the place of the brace behind it.

    Raises:
        IndexError: something else stands there.
    """
    i: cython.Py_ssize_t = start
    c: cython.int = source[i]
    while c != 125:
        if not (48 <= c <= 57 or c == 46 or c == 45 or c == 43 or 97 <= c <= 122 or c == 69):
            raise IndexError("no JSON value")
        i += 1
        c = source[i]
    if i == start:
        raise IndexError("no JSON value")
    return i


def json_unescape(scratch: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> bytes:
    """A JSON string's text as UTF-8."""
    i: cython.Py_ssize_t = start
    escape: cython.Py_ssize_t = find(source, 92, start, end)
    c: cython.int
    scratch.rewind()
    while escape >= 0:
        scratch.copy(source, i, escape)
        if escape + 1 >= end:
            raise IndexError("no JSON escape")
        c = source[escape + 1]
        i = escape + 2
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
        escape = find(source, 92, i, end)
    scratch.copy(source, i, end)
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
    # int() takes a sign, blanks and underscores too.
    if len(digits) != 4 or digits.strip(_HEXADECIMAL):
        raise IndexError("no JSON escape")
    return int(digits, 16)


def copy_unescape(scratch: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> bytes:
    """A COPY field's text."""
    i: cython.Py_ssize_t = start
    escape: cython.Py_ssize_t = find(source, 92, start, end)
    c: cython.int
    scratch.rewind()
    while escape >= 0:
        scratch.copy(source, i, escape)
        if escape + 1 >= end:
            raise IndexError("a field ends in half an escape")
        c = source[escape + 1]
        i = escape + 2
        if c == 92:
            scratch.put(92)
        else:
            known = _COPY_ESCAPES.get(c)
            if known is None:
                raise IndexError("no escape of the server")
            scratch.put(known)
        escape = find(source, 92, i, end)
    scratch.copy(source, i, end)
    return scratch.take(0, scratch.at)
