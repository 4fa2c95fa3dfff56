"""A plan made ready to be walked, and the choice of the form that writes a value's text.

Room: transcode (pure). Types are in forms.pxd; arrays and records are in the same module, since they
hold values again. PostgreSQL manual, "Array Input and Output Syntax", "Composite Type Input and Output Syntax".
"""

from __future__ import annotations

from array import array

import cython

from producer.transcode.plan import Form, FormError, TablePlan, UnknownLabel, ValuePlan

if not cython.compiled:
    from producer.transcode.counts import Counts
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
_ALTERED = (
    "its type was altered before this row was read: leave the table out with table.exclude.list, "
    "or drop the slot for a new snapshot"
)
_AS_TEXT = "set array.handling.mode=string"


class Codec:
    """A value's plan in the arrangement that is read fastest."""

    def __init__(self, plan: ValuePlan) -> None:
        self.form = int(plan.form)
        self.scale = plan.scale
        self.precision = plan.precision
        self.depth = plan.depth
        self.delimiter = ord(plan.delimiter)
        self.element = None if plan.element is None else Codec(plan.element)
        self.attributes = [Codec(attribute) for attribute in plan.attributes]
        self.labels = plan.labels
        self.function = plan.function


class Route:
    """A table's plan in the arrangement that is read fastest, and where the last row's key stands."""

    def __init__(self, plan: TablePlan) -> None:
        columns = plan.columns
        self.plan = plan
        self.topic = plan.topic
        self.counts = Counts()
        self.count = len(columns)
        self.names = plan.json_names
        # The relation whose tuples it was found to fit; -1: none.
        self.oid = -1
        self.tail = plan.tail
        self.key_frame = plan.key_frame
        self.value_frame = plan.value_frame
        self.source_names = plan.names
        self.full_identity = plan.full_identity
        self.heads = [column.head for column in columns]
        self.codecs = [None if column.value is None else Codec(column.value) for column in columns]
        self.key_codecs = [None if column.key is None else Codec(column.key) for column in columns]
        self.nulls = [column.null for column in columns]
        self.absents = [column.absent for column in columns]
        self.nullable = bytes(column.nullable for column in columns)
        self.hides_nan = bytes(column.hides_nan for column in columns)
        self.in_identity = bytes(column.in_identity for column in columns)
        # Without it an update cannot tell its old key, nor a delete whom it concerns.
        self.unlogged = next((index for index in plan.key if not columns[index].in_identity), -1)
        self.key_logged = self.unlogged < 0
        self.key_column = bytes(index in plan.key for index in range(len(columns)))
        self.reordered = bool(plan.order)
        # One more than needed: a typed view of nothing is refused.
        self.key = array("i", [*plan.key, -1])
        self.order = array("i", [*plan.order, -1])
        self.starts = array("q", [0] * (len(columns) + 1))
        self.ends = array("q", [0] * (len(columns) + 1))
        self.pieces = array("q", [0] * (len(columns) + 1))


def write_value(
    out: Writer, codec: Codec, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t
) -> cython.int:
    """Write the text source[start:end] as its form says.

    Raises:
        FormError: the form cannot carry it.
    """
    form: cython.int = codec.form
    # The numbers of plan.Form, most frequent first.
    if form == 7:
        return out.string(source, start, end)
    if form == 1:
        return write_long(out, source, start, end)
    if form == 5:
        return write_decimal(out, source, start, end, codec.scale, codec.precision)
    if form == 14:
        return write_zoned_timestamp(out, source, start, end)
    if form == 12 or form == 13 or form == 21:
        return write_timestamp(out, source, start, end, form, codec.scale)
    if form == 2:
        return _write_boolean(out, source, start, end)
    if form == 18:
        return _write_label(out, codec, source, start, end)
    if form == 3 or form == 4:
        return write_float(out, source, start, end, form == 4)
    if form == 16:
        return _write_array(out, codec, source, start, end)
    if form == 9:
        return write_date(out, source, start, end)
    if form == 8:
        return _write_bytes(out, source, start, end)
    if form == 6:
        return write_variable_decimal(out, source, start, end)
    if form == 10 or form == 11 or form == 20:
        return write_time(out, source, start, end, form, codec.scale)
    if form == 15:
        return write_interval(out, source, start, end)
    if form == 17:
        return _call(out, codec, source[start:end])
    if form == 19:
        return _write_composite(out, codec, source, start, end)
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
def _write_label(
    out: Writer, codec: Codec, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t
) -> cython.int:
    # Without labels every one is taken: an older row's may have been renamed since.
    if codec.labels and source[start:end] not in codec.labels:
        raise UnknownLabel("the enum's label is not in the schema", _REPORT)
    return out.string(source, start, end)


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


def _call(out: Writer, codec: Codec, text: bytes) -> int:
    function = codec.function
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
    out: Writer, codec: Codec, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t
) -> cython.int:
    if end - start < 2 or source[start] != 123 or source[end - 1] != 125:
        if end > start and source[start] == 91:
            raise FormError("the array has other lower bounds than 1", _AS_TEXT)
        raise _no_array()
    if end - start == 2:
        # Of whatever depth.
        return out.put(0)
    return _write_dimension(out, codec, source, start, end, codec.depth)


@cython.cfunc
def _write_dimension(
    out: Writer,
    codec: Codec,
    source: bytes,
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    depth: cython.int,
) -> cython.int:
    """One block of what stands between the braces, then the end. The count stands first: it is walked twice."""
    last: cython.Py_ssize_t = end - 1
    i: cython.Py_ssize_t = start + 1
    behind: cython.Py_ssize_t = start
    count: cython.longlong = 0
    element: Codec | None = codec.element
    if element is None:
        raise FormError("the plan names no element", _REPORT)
    while behind < last:
        behind = _item_end(source, behind + 1, last, codec.delimiter, depth)
        count += 1
    out.long(count)
    while i <= last:
        behind = _item_end(source, i, last, codec.delimiter, depth)
        if depth > 1:
            out.put(2)
            _write_dimension(out, codec, source, i, behind, depth - 1)
        elif source[i] == 34:
            out.put(2)
            _write_quoted(out, element, source, i + 1, behind - 1)
        elif behind - i == 4 and source[i] | 32 == 110 and source[i:behind].upper() == b"NULL":
            out.put(0)
        else:
            out.put(2)
            write_value(out, element, source, i, behind)
        i = behind + 1
    return out.put(0)


@cython.cfunc
@cython.exceptval(-1)
def _item_end(
    source: bytes, start: cython.Py_ssize_t, last: cython.Py_ssize_t, delimiter: cython.int, depth: cython.int
) -> cython.Py_ssize_t:
    """Behind the element or the inner array at `start`: its delimiter, or the brace at `last`."""
    i: cython.Py_ssize_t = start
    c: cython.int
    if depth > 1:
        return _inner_end(source, start, last, delimiter)
    if i < last and source[i] == 34:
        i = _quoted_end(source, i, last)
        if i > last or (i < last and source[i] != delimiter):
            raise _no_array()
        return i
    while i < last:
        c = source[i]
        if c == delimiter:
            break
        if c == 123:
            raise FormError("the array has more dimensions than the column is declared with", _AS_TEXT)
        if c == 34 or c == 92 or c == 125:
            raise _no_array()
        i += 1
    if i == start:
        raise _no_array()
    return i


@cython.cfunc
@cython.exceptval(-1)
def _inner_end(
    source: bytes, start: cython.Py_ssize_t, last: cython.Py_ssize_t, delimiter: cython.int
) -> cython.Py_ssize_t:
    """Behind the inner array at `start`."""
    i: cython.Py_ssize_t = start
    open_braces: cython.int = 0
    if i >= last or source[i] != 123:
        raise FormError("the array has fewer dimensions than the column is declared with", _AS_TEXT)
    while i < last:
        if source[i] == 34:
            i = _quoted_end(source, i, last)
            continue
        if source[i] == 123:
            open_braces += 1
        elif source[i] == 125:
            open_braces -= 1
            if open_braces == 0:
                break
        i += 1
    i += 1
    if i > last or (i < last and source[i] != delimiter):
        raise _no_array()
    return i


@cython.cfunc
@cython.exceptval(-1)
def _quoted_end(source: bytes, start: cython.Py_ssize_t, last: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Behind the closing quote of what is quoted at `start`; beyond `last` when there is none."""
    i: cython.Py_ssize_t = start + 1
    while i < last and source[i] != 34:
        i += 2 if source[i] == 92 else 1
    return i + 1


@cython.cfunc
def _write_quoted(
    out: Writer, codec: Codec, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t
) -> cython.int:
    """An element between quotes; a backslash stands before what is taken as it is."""
    escape: cython.Py_ssize_t = find(source, 92, start, end)
    if escape < 0:
        return write_value(out, codec, source, start, end)
    text = bytearray()
    while escape >= 0:
        text += source[start:escape]
        text += source[escape + 1 : escape + 2]
        start = escape + 2
        escape = find(source, 92, start, end)
    text += source[start:end]
    return write_value(out, codec, bytes(text), 0, len(text))


def _no_array() -> FormError:
    return FormError("the value is no array", _REPORT)


def _write_composite(out: Writer, codec: Codec, source: bytes, start: int, end: int) -> int:
    """Record text -> its attributes, one behind the other; nothing between two commas is null.

    Their number must be the plan's: the text names none, and one that was dropped or added moves the others.
    """
    text: bytes = source[start:end]
    fields = _fields(text) if codec.attributes or text != b"()" else []
    if len(fields) != len(codec.attributes):
        raise FormError(f"the value has {len(fields)} attributes, its type {len(codec.attributes)}", _ALTERED)
    for attribute, field in zip(codec.attributes, fields, strict=True):
        if field is None:
            out.put(0)
        else:
            out.put(2)
            write_value(out, attribute, field, 0, len(field))
    return 0


def _fields(text: bytes) -> list[bytes | None]:
    """A record's fields, unquoted."""
    if len(text) < 2 or not text.startswith(b"(") or not text.endswith(b")"):
        raise FormError("the value is no record", _REPORT)
    fields: list[bytes | None] = []
    i = 1
    while i < len(text):
        field = bytearray()
        quoted = present = False
        while i < len(text) - 1 and (quoted or text[i] != 44):
            present = True
            if text[i] == 92:
                field += text[i + 1 : i + 2]
                i += 2
            elif text[i] == 34 and quoted and text[i + 1] == 34:
                field.append(34)
                i += 2
            else:
                if text[i] == 34:
                    quoted = not quoted
                else:
                    field.append(text[i])
                i += 1
        if quoted:
            raise FormError("the value is no record", _REPORT)
        fields.append(bytes(field) if present else None)
        i += 1
    return fields


assert max(Form) == 21, "the numbers in write_value follow plan.Form"
