"""A plan made ready to be walked, and the choice of the form that writes a value's text.

Room: transcode (pure). Types are in forms.pxd.
"""

from __future__ import annotations

from array import array

import cython

from producer.transcode.plan import Form, FormError, TablePlan

if not cython.compiled:
    from producer.transcode.numbers import write_decimal, write_float, write_long, write_variable_decimal
    from producer.transcode.spans import find
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
        # Without it an update cannot tell its old key, nor a delete whom it concerns.
        self.unlogged = next((index for index in plan.key if not columns[index].in_identity), -1)
        self.key_logged = self.unlogged < 0
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
        return _write_array(out, route, column, source, start, end)
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
    size: cython.Py_ssize_t = end - start
    if (size == 1 and source[start] == 116) or (size == 4 and source[start:end] == b"true"):
        return out.put(1)
    if (size == 1 and source[start] == 102) or (size == 5 and source[start:end] == b"false"):
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
    if 65 <= c <= 70:
        return c - 55
    return -1


def _call(out: Writer, route: Route, column: int, text: bytes) -> int:
    function = route.functions[column]
    if function is None:
        raise FormError("the plan names no function", _REPORT)
    try:
        return out.raw(function(text))
    except FormError:
        raise
    except (ValueError, LookupError) as error:
        # An IndexError would be taken for a row of another shape.
        raise FormError("the value is not what its type promises", _REPORT) from error


@cython.cfunc
def _write_array(
    out: Writer,
    route: Route,
    column: cython.int,
    source: bytes,
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
) -> cython.int:
    """One-dimensional array text -> one block of ["null", element], then the end.

    PostgreSQL manual, "Array Input and Output Syntax". The count stands before the elements: they
    are walked twice.
    """
    form: cython.int = route.elements[column]
    last: cython.Py_ssize_t = end - 1
    i: cython.Py_ssize_t = start + 1
    behind: cython.Py_ssize_t
    count: cython.longlong = 0
    if end - start < 2 or source[start] != 123 or source[last] != 125:
        if end > start and source[start] == 91:
            raise FormError("the array has other lower bounds than 1", "set array.handling.mode=string")
        raise _no_array()
    if end - start == 2:
        return out.put(0)
    behind = start
    while behind < last:
        behind = _element_end(source, behind + 1, last)
        count += 1
    out.long(count)
    while i <= last:
        behind = _element_end(source, i, last)
        if source[i] == 34:
            out.put(2)
            _write_quoted(out, form, route, column, source, i + 1, behind - 1)
        elif behind - i == 4 and source[i] | 32 == 110 and source[i:behind].upper() == b"NULL":
            out.put(0)
        else:
            out.put(2)
            _write_scalar(out, form, route, column, source, i, behind)
        i = behind + 1
    return out.put(0)


@cython.cfunc
def _element_end(source: bytes, start: cython.Py_ssize_t, last: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Behind the element at `start`: its comma, or the array's brace at `last`."""
    i: cython.Py_ssize_t = start
    c: cython.int
    if i < last and source[i] == 34:
        i += 1
        while i < last and source[i] != 34:
            i += 2 if source[i] == 92 else 1
        i += 1
        if i > last or (i < last and source[i] != 44):
            raise _no_array()
        return i
    while i < last:
        c = source[i]
        if c == 44:
            break
        if c == 123:
            raise FormError("the array has more than one dimension", "set array.handling.mode=string")
        if c == 34 or c == 92 or c == 125:
            raise _no_array()
        i += 1
    if i == start:
        raise _no_array()
    return i


@cython.cfunc
def _write_quoted(
    out: Writer,
    form: cython.int,
    route: Route,
    column: cython.int,
    source: bytes,
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
) -> cython.int:
    """An element between quotes; a backslash stands before what is taken as it is."""
    escape: cython.Py_ssize_t = find(source, 92, start, end)
    if escape < 0:
        return _write_scalar(out, form, route, column, source, start, end)
    text = bytearray()
    while escape >= 0:
        text += source[start:escape]
        text += source[escape + 1 : escape + 2]
        start = escape + 2
        escape = find(source, 92, start, end)
    text += source[start:end]
    return _write_scalar(out, form, route, column, bytes(text), 0, len(text))


def _no_array() -> FormError:
    return FormError("the value is no array", _REPORT)


assert max(Form) == 17, "the numbers in _write_scalar follow plan.Form"
