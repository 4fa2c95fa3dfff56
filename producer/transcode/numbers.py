"""Numbers: PostgreSQL's text -> Avro int, long, float, double, and decimals as bytes.

Room: transcode (pure). PostgreSQL manual, "Numeric Types"; Avro specification, "Decimal";
java.math.BigInteger.toByteArray for minimal two's complement. Types are in numbers.pxd.
"""

from __future__ import annotations

import struct
from decimal import Decimal

import cython

from producer.transcode.plan import FormError

if not cython.compiled:
    from producer.transcode.writer import Writer

_FLOAT = struct.Struct("<f")
_DOUBLE = struct.Struct("<d")
_INFINITIES = (_DOUBLE.pack(float("inf")), _DOUBLE.pack(float("-inf")))
_INT64_MIN = -(2**63)
_INT64_MAX = 2**63 - 1
# Every number of so many digits fits 64 bits.
_SAFE_DIGITS = 18
# int() refuses text of more than 4300 digits; a numeric may have 147,455.
_INT_DIGITS = 4000
_TEN = 10
_NOT_A_NUMBER = "the value is not the number that its type promises"
_REPORT = "this is a fault of the producer: report it with the column's type"


def write_long(out: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    """Digits -> int or long."""
    i: cython.Py_ssize_t = start
    negative: cython.bint = False
    number: cython.longlong = 0
    digit: cython.int
    if end > start and source[start] == 45:
        negative = True
        i += 1
    if i >= end:
        raise FormError(_NOT_A_NUMBER, _REPORT)
    if end - i > _SAFE_DIGITS:
        return _write_wide(out, source[start:end])
    while i < end:
        digit = source[i] - 48
        if digit < 0 or digit > 9:
            raise FormError(_NOT_A_NUMBER, _REPORT)
        number = number * 10 + digit
        i += 1
    return out.long(-number if negative else number)


def _write_wide(out: Writer, text: bytes) -> int:
    digits = text.removeprefix(b"-")
    if not digits.isdigit():
        raise FormError(_NOT_A_NUMBER, _REPORT)
    number = _signed(text)
    if not _INT64_MIN <= number <= _INT64_MAX:
        raise FormError("the value does not fit a long", _REPORT)
    return out.long(number)


def read_lsn(source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
    """Two hexadecimal halves with a slash between; -1 when it is no LSN that a long can hold."""
    i: cython.Py_ssize_t = start
    high: cython.longlong = -1
    half: cython.longlong = 0
    digits: cython.int = 0
    c: cython.int
    while i < end:
        c = source[i]
        if 48 <= c <= 57:
            half = half * 16 + (c - 48)
        elif 65 <= c <= 70:
            half = half * 16 + (c - 55)
        elif c == 47 and high < 0 and digits and half <= 0x7FFF_FFFF:
            high = half
            half = 0
            digits = -1
        else:
            return -1
        digits += 1
        if digits > 8:
            return -1
        i += 1
    if high < 0 or not digits:
        return -1
    return high * 0x1_0000_0000 + half


def write_float(
    out: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t, double: cython.bint
) -> cython.int:
    """Shortest round-trip text, NaN, Infinity -> float or double, little-endian."""
    text: bytes = source[start:end]
    i: cython.Py_ssize_t = start
    c: cython.int
    # float() takes more than a server prints: blanks, underscores, other names.
    while i < end:
        c = source[i]
        if not (48 <= c <= 57 or c == 46 or c == 45 or c == 43 or c == 101 or c == 69):
            if text not in (b"NaN", b"Infinity", b"-Infinity"):
                raise FormError(_NOT_A_NUMBER, _REPORT)
            break
        i += 1
    try:
        body: bytes = _DOUBLE.pack(float(text)) if double else _nearest_float(text)
    except (ValueError, OverflowError) as error:
        raise FormError(_NOT_A_NUMBER, _REPORT) from error
    if i == end and body in _INFINITIES:
        raise FormError("the number does not fit a double", "set decimal.handling.mode=precise (or string)")
    return out.raw(body)


def _nearest_float(text: bytes) -> bytes:
    """The nearest 4-byte float, as strtof finds it.

    By way of a double it is rounded twice: 7.038531e-26 becomes a double that lies just between two
    floats, and the even one of them is the wrong one.
    """
    number = float(text)
    near = _FLOAT.pack(number)
    rounded = _FLOAT.unpack(near)[0]
    if rounded == number or number != number:
        return near
    mirrored = 2 * number - rounded
    try:
        other = _FLOAT.pack(mirrored)
    except OverflowError:
        return near
    if _FLOAT.unpack(other)[0] != mirrored:
        return near
    exact = Decimal(text.decode())
    middle = Decimal(number)
    if exact == middle:
        return near
    return near if (exact > middle) == (rounded > number) else other


def write_decimal(
    out: Writer,
    source: bytes,
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    scale: cython.int,
    precision: cython.int,
) -> cython.int:
    """Digits -> the unscaled number as bytes; never rounded. `precision` 0 sets no limit."""
    i: cython.Py_ssize_t = start
    negative: cython.bint = False
    number: cython.longlong = 0
    digits: cython.Py_ssize_t = 0
    leading: cython.Py_ssize_t = 0
    decimals: cython.Py_ssize_t = -1
    digit: cython.int
    if end > start and source[start] == 45:
        negative = True
        i += 1
    while i < end:
        if source[i] == 46 and decimals < 0:
            decimals = 0
        else:
            digit = source[i] - 48
            if digit < 0 or digit > 9:
                raise _special(source[start:end])
            if digit == 0 and leading == digits:
                leading += 1
            digits += 1
            if decimals >= 0:
                decimals += 1
            if digits <= _SAFE_DIGITS:
                number = number * 10 + digit
        i += 1
    if decimals < 0:
        decimals = 0
    if not digits:
        raise FormError(_NOT_A_NUMBER, _REPORT)
    if decimals > scale:
        raise FormError(
            f"the value has {decimals} decimals, its type {scale}",
            "the table's type was changed: see the log",
        )
    if precision and digits - leading + scale - decimals > precision and leading < digits:
        raise FormError(
            f"the value has {digits - leading + scale - decimals} digits, its type {precision}",
            "the table's type was changed: see the log",
        )
    if digits + scale - decimals > _SAFE_DIGITS:
        # Padded as text: compiled, a power of C integers would be a double.
        return _write_big(out, source[start:end].replace(b".", b"") + b"0" * (scale - decimals))
    while decimals < scale:
        number *= 10
        decimals += 1
    return _write_unscaled(out, -number if negative else number)


@cython.cfunc
def _write_unscaled(out: Writer, number: cython.longlong) -> cython.int:
    """A 64-bit number as minimal two's complement, big-endian, behind its length."""
    size: cython.int = 1
    low: cython.longlong = -128
    high: cython.longlong = 127
    shift: cython.int
    while (number < low or number > high) and size < 8:
        size += 1
        if size == 8:
            break
        low *= 256
        high = high * 256 + 255
    out.long(size)
    shift = (size - 1) * 8
    while shift >= 0:
        out.put((number >> shift) & 0xFF)
        shift -= 8
    return 0


def _write_big(out: Writer, text: bytes) -> int:
    number: object = _signed(text)
    assert isinstance(number, int)
    size = (number + (number < 0)).bit_length() // 8 + 1
    data = number.to_bytes(size, "big", signed=True)
    return out.string(data, 0, size)


def _signed(text: bytes) -> int:
    """Digits, perhaps behind a minus, of any number."""
    return -_whole(text[1:]) if text.startswith(b"-") else _whole(text)


def _whole(digits: bytes) -> int:
    size = len(digits)
    if size <= _INT_DIGITS:
        return int(digits)
    half = size // 2
    # _TEN is an object: a power of C integers would be a double.
    return _whole(digits[:half]) * _TEN ** (size - half) + _whole(digits[half:])


def write_variable_decimal(out: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    """Any finite numeric -> record {scale int, value bytes}; the display scale is kept."""
    i: cython.Py_ssize_t = start
    scale: cython.int = 0
    while i < end:
        if source[i] == 46:
            scale = end - i - 1
            break
        i += 1
    out.long(scale)
    return write_decimal(out, source, start, end, scale, 0)


def _special(text: bytes) -> FormError:
    if text in (b"NaN", b"Infinity", b"-Infinity"):
        return FormError(
            f"a decimal cannot carry {text.decode()}",
            "set decimal.handling.mode=string (or double), or mend the row",
        )
    return FormError(_NOT_A_NUMBER, _REPORT)
