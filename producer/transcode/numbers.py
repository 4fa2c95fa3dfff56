"""Numbers: PostgreSQL's text -> Avro int, long, float, double, and decimals as bytes.

Room: transcode (pure). PostgreSQL manual, "Numeric Types"; Avro specification, "Decimal";
java.math.BigInteger.toByteArray for minimal two's complement. Types are in numbers.pxd.
"""

from __future__ import annotations

import struct

import cython

from producer.transcode.plan import FormError

if not cython.compiled:
    from producer.transcode.writer import Writer

_FLOAT = struct.Struct("<f")
_DOUBLE = struct.Struct("<d")
_INT64_MIN = -(2**63)
_INT64_MAX = 2**63 - 1
# Every number of so many digits fits 64 bits.
_SAFE_DIGITS = 18
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
    try:
        number = int(text)
    except ValueError as error:
        raise FormError(_NOT_A_NUMBER, _REPORT) from error
    if not _INT64_MIN <= number <= _INT64_MAX:
        raise FormError("the value does not fit a long", _REPORT)
    return out.long(number)


def write_float(
    out: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t, double: cython.bint
) -> cython.int:
    """Shortest round-trip text, NaN, Infinity -> float or double, little-endian."""
    try:
        number = float(source[start:end])
        return out.raw(_DOUBLE.pack(number) if double else _FLOAT.pack(number))
    except (ValueError, OverflowError) as error:
        raise FormError(_NOT_A_NUMBER, _REPORT) from error


def write_decimal(
    out: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t, scale: cython.int
) -> cython.int:
    """Digits -> the unscaled number as bytes; never rounded."""
    i: cython.Py_ssize_t = start
    negative: cython.bint = False
    number: cython.longlong = 0
    digits: cython.Py_ssize_t = 0
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
    number: object = int(text)
    assert isinstance(number, int)
    size = (number + (number < 0)).bit_length() // 8 + 1
    data = number.to_bytes(size, "big", signed=True)
    return out.string(data, 0, size)


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
    return write_decimal(out, source, start, end, scale)


def _special(text: bytes) -> FormError:
    if text in (b"NaN", b"Infinity", b"-Infinity"):
        return FormError(
            f"a decimal cannot carry {text.decode()}",
            "set decimal.handling.mode=string (or double), or mend the row",
        )
    return FormError(_NOT_A_NUMBER, _REPORT)
