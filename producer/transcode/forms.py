"""A plan made ready to be walked, and the choice of the form that writes a value's text.

Room: transcode (pure). Types are in forms.pxd.
"""

from __future__ import annotations

from array import array

import cython

from producer.transcode.plan import Form, FormError, TablePlan

if not cython.compiled:
    from producer.transcode.numbers import write_decimal, write_float, write_long, write_variable_decimal
    from producer.transcode.temporal import (
        write_date,
        write_interval,
        write_time,
        write_timestamp,
        write_zoned_timestamp,
    )
    from producer.transcode.writer import Writer

_REPORT = "this is a fault of the producer: report it with the column's type"


class Route:
    """A plan in the arrangement that the walker reads fastest, and where the last row's key stands."""

    def __init__(self, plan: TablePlan) -> None:
        columns = plan.columns
        self.plan = plan
        self.topic = plan.topic
        self.count = len(columns)
        self.names = plan.json_names
        self.key_frame = plan.key_frame
        self.value_frame = plan.value_frame
        self.source_names = plan.names
        self.full_identity = plan.full_identity
        self.heads = [column.head for column in columns]
        self.functions = [column.function for column in columns]
        self.forms = bytes(column.form for column in columns)
        self.elements = bytes(column.element or 0 for column in columns)
        self.nullable = bytes(column.nullable for column in columns)
        self.hides_nan = bytes(column.hides_nan for column in columns)
        self.in_identity = bytes(column.in_identity for column in columns)
        self.key_column = bytes(index in plan.key for index in range(len(columns)))
        # One more than needed: a typed view of nothing is refused.
        self.scales = array("i", [*(column.scale for column in columns), 0])
        self.key = array("i", [*plan.key, -1])
        self.starts = array("q", [0] * (len(columns) + 1))
        self.ends = array("q", [0] * (len(columns) + 1))


def write_value(
    out: Writer,
    route: Route,
    column: cython.int,
    source: bytes,
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
) -> cython.int:
    """Write the text source[start:end] as the column's form.

    Raises:
        FormError: the form cannot carry it.
    """
    form: cython.int = route.forms[column]
    if form == 16:
        return _write_array(out, route, column, source[start:end])
    return _write_scalar(out, form, route, column, source, start, end)


@cython.cfunc
def _write_scalar(
    out: Writer,
    form: cython.int,
    route: Route,
    column: cython.int,
    source: bytes,
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
) -> cython.int:
    # The numbers of plan.Form, most frequent first.
    if form == 7:
        return out.string(source, start, end)
    if form == 1:
        return write_long(out, source, start, end)
    if form == 5:
        return write_decimal(out, source, start, end, route.scales[column])
    if form == 14:
        return write_zoned_timestamp(out, source, start, end)
    if form == 12 or form == 13:
        return write_timestamp(out, source, start, end, form == 12)
    if form == 2:
        return _write_boolean(out, source, start, end)
    if form == 3 or form == 4:
        return write_float(out, source, start, end, form == 4)
    if form == 9:
        return write_date(out, source, start, end)
    if form == 8:
        return _write_bytes(out, source, start, end)
    if form == 6:
        return write_variable_decimal(out, source, start, end)
    if form == 10 or form == 11:
        return write_time(out, source, start, end, form == 10)
    if form == 15:
        return write_interval(out, source, start, end)
    if form == 17:
        return _call(out, route, column, source[start:end])
    raise FormError(f"no form has the number {form}", _REPORT)


@cython.cfunc
def _write_boolean(out: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    first: cython.int = source[start] if end > start else 0
    if first == 116:
        return out.put(1)
    if first == 102:
        return out.put(0)
    raise FormError("the value is neither true nor false", _REPORT)


@cython.cfunc
def _write_bytes(out: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    i: cython.Py_ssize_t = start
    high: cython.int
    low: cython.int
    if end - start >= 2 and source[start] == 92 and source[start + 1] == 120:
        i += 2
    if (end - i) % 2:
        raise FormError("the value is no hexadecimal text", _REPORT)
    out.long((end - i) // 2)
    out.reserve((end - i) // 2)
    while i < end:
        high = _nibble(source[i])
        low = _nibble(source[i + 1])
        if high < 0 or low < 0:
            raise FormError("the value is no hexadecimal text", _REPORT)
        out.put(high * 16 + low)
        i += 2
    return 0


@cython.cfunc
@cython.exceptval(check=False)
def _nibble(c: cython.int) -> cython.int:
    if 48 <= c <= 57:
        return c - 48
    if 97 <= c <= 102:
        return c - 87
    return -1


def _call(out: Writer, route: Route, column: int, text: bytes) -> int:
    function = route.functions[column]
    if function is None:
        raise FormError("the plan names no function", _REPORT)
    try:
        return out.raw(function(text))
    except FormError:
        raise
    except ValueError as error:
        raise FormError("the value is not what its type promises", _REPORT) from error


@cython.cfunc
def _write_array(out: Writer, route: Route, column: cython.int, text: bytes) -> cython.int:
    """One-dimensional array text -> one block of ["null", element], then the end."""
    form: cython.int = route.elements[column]
    elements = _elements(text)
    if elements:
        out.long(len(elements))
    for element in elements:
        if element is None:
            out.put(0)
        else:
            out.put(2)
            _write_scalar(out, form, route, column, element, 0, len(element))
    return out.put(0)


@cython.cfunc
def _elements(text: bytes) -> list[bytes | None]:
    """The elements' texts; None is NULL. PostgreSQL manual, "Array Input and Output Syntax"."""
    found: list[bytes | None] = []
    size: cython.Py_ssize_t = len(text)
    i: cython.Py_ssize_t = 1
    begin: cython.Py_ssize_t
    escaped: cython.bint
    if size < 2 or text[0] != 123 or text[size - 1] != 125:
        if size and text[0] == 91:
            raise FormError("the array has other lower bounds than 1", "set array.handling.mode=string")
        raise FormError("the value is no array", _REPORT)
    if size == 2:
        return found
    while True:
        if text[i] == 34:
            i += 1
            begin = i
            escaped = False
            while text[i] != 34:
                if text[i] == 92:
                    escaped = True
                    i += 1
                i += 1
            found.append(_unescape(text[begin:i]) if escaped else text[begin:i])
            i += 1
        else:
            if text[i] == 123:
                raise FormError("the array has more than one dimension", "set array.handling.mode=string")
            begin = i
            while text[i] != 44 and text[i] != 125:
                i += 1
            item: bytes = text[begin:i]
            found.append(None if item.upper() == b"NULL" else item)
        if text[i] == 125:
            break
        i += 1
    return found


def _unescape(text: bytes) -> bytes:
    parts = bytearray()
    i = 0
    while i < len(text):
        if text[i] == 92:
            i += 1
        parts.append(text[i])
        i += 1
    return bytes(parts)


assert max(Form) == 17, "the numbers in _write_scalar follow plan.Form"
