"""One row's columns as Avro: from wal2json's JSON, pgoutput's tuple or COPY's text, by a plan.

Room: transcode (pure). wal2json's README, format version 2; PostgreSQL manual, "COPY", "Logical Replication Message
Formats". Types are in image.pxd. Every index is checked: an IndexError means that the row is not what its plan expects.
"""

from __future__ import annotations

import cython

from producer.transcode.plan import CHANGED, FormError

if not cython.compiled:
    from producer.transcode.forms import Codec, Route, write_value
    from producer.transcode.spans import (
        bare_end,
        big_endian,
        copy_unescape,
        find,
        json_string_end,
        json_unescape,
        matches,
    )
    from producer.transcode.writer import Writer

_NULL_IN_KEY = "a key column is NULL"
_NULL_REMEDY = "a key must be whole: name other columns, or make the column NOT NULL"
_NULL = "the column is NOT NULL in the schema, and NULL in the row"


@cython.cfunc
@cython.exceptval(-1)
def _value_end(message: bytes, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Where a value that is passed over ends."""
    return json_string_end(message, at + 1) + 1 if message[at] == 34 else bare_end(message, at)


class Image:
    """The columns of one row, written one behind the other in `data`; used again for the next row."""

    def __init__(self) -> None:
        self.data = Writer()
        self.column = -1
        """The column that is being walked; -1 when the row is whole."""
        self.suspects = 0
        """How many nulls may be a NaN that the plugin could not print."""
        self.holes = 0
        """How many of these stand where Value has no null: the image is not whole."""
        # Key columns that Value leaves out, or masks.
        self._aside = Writer()
        self._sorted = Writer()
        self._scratch = Writer()

    def from_json(
        self, message: bytes, at: cython.Py_ssize_t, route: Route, identity: cython.bint
    ) -> cython.Py_ssize_t:
        """The columns behind an opening bracket, up to behind the closing one; -1 when they are not the plan's."""
        column: cython.int = 0
        first: cython.bint = True
        start: cython.Py_ssize_t
        value: cython.Py_ssize_t
        codec: Codec | None
        keyed: Codec | None
        data = self.data
        into = data
        data.rewind()
        self._aside.rewind()
        self.suspects = 0
        self.holes = 0
        while column < route.count:
            route.pieces[column] = data.at
            codec = route.codecs[column]
            if identity and not route.in_identity[column]:
                if codec is not None:
                    data.raw(route.absents[column])
                column += 1
                continue
            if first:
                first = False
            else:
                if message[at] != 44:
                    return -1
                at += 1
            head: bytes = route.heads[column]
            if not matches(message, at, head):
                return -1
            at += len(head)
            self.column = column
            if codec is None:
                codec = route.key_codecs[column]
                into = self._aside
            else:
                into = data
            if codec is None:
                at = _value_end(message, at)
            elif message[at] == 110:
                if not matches(message, at, b"null"):
                    return -1
                self._null(route, column, into, identity)
                at += 4
            else:
                if route.nullable[column]:
                    into.put(2)
                start = into.at
                value = at
                at = self._json_value(message, at, codec, into)
                if route.key_column[column]:
                    keyed = route.key_codecs[column]
                    if keyed is not None and into is data:
                        # The key holds it otherwise than Value does.
                        into = self._aside
                        start = into.at
                        self._json_value(message, value, keyed, into)
                    route.starts[column] = start
                    route.ends[column] = into.at
            if message[at] != 125:
                return -1
            at += 1
            column += 1
        if message[at] != 93:
            return -1
        self.column = -1
        return at + 1

    def _json_value(self, message: bytes, at: cython.Py_ssize_t, codec: Codec, into: Writer) -> cython.Py_ssize_t:
        """A string, number, true or false; where it ends."""
        end: cython.Py_ssize_t
        if message[at] == 34:
            end = json_string_end(message, at + 1)
            if find(message, 92, at + 1, end) >= 0:
                text = json_unescape(self._scratch, message, at + 1, end)
                write_value(into, codec, text, 0, len(text))
            else:
                write_value(into, codec, message, at + 1, end)
            return end + 1
        end = bare_end(message, at)
        write_value(into, codec, message, at, end)
        return end

    def _null(self, route: Route, column: cython.int, into: Writer, identity: cython.bint) -> cython.int:
        if route.key_column[column]:
            raise FormError(_NULL_IN_KEY, _NULL_REMEDY)
        if route.hides_nan[column] and not identity:
            self.suspects += 1
            if not route.nullable[column]:
                self.holes += 1
                return 0
        elif not route.nullable[column]:
            raise FormError(_NULL, CHANGED)
        return into.raw(route.nulls[column])

    def from_tuple(
        self, message: bytes, at: cython.Py_ssize_t, route: Route, identity: cython.bint
    ) -> cython.Py_ssize_t:
        """The columns of pgoutput's TupleData; where it ends, -1 when they are not the plan's, or not all there."""
        column: cython.int = 0
        kind: cython.int
        start: cython.Py_ssize_t
        end: cython.Py_ssize_t
        size: cython.Py_ssize_t = len(message)
        codec: Codec | None
        keyed: Codec | None
        data = self.data
        into = data
        if big_endian(message, at, 2) != route.count:
            return -1
        at += 2
        data.rewind()
        self._aside.rewind()
        self.suspects = 0
        self.holes = 0
        while column < route.count:
            route.pieces[column] = data.at
            kind = message[at]
            at += 1
            end = at
            if kind == 116:
                at += 4
                end = at + big_endian(message, at - 4, 4)
                if end > size:
                    raise IndexError("beyond the end")
            codec = route.codecs[column]
            if identity and not route.in_identity[column]:
                if codec is not None:
                    data.raw(route.absents[column])
                at = end
                column += 1
                continue
            self.column = column
            if codec is None:
                codec = route.key_codecs[column]
                into = self._aside
            else:
                into = data
            if codec is None:
                pass
            elif kind == 110:
                self._null(route, column, into, identity)
            elif kind == 116:
                if route.nullable[column]:
                    into.put(2)
                start = into.at
                write_value(into, codec, message, at, end)
                if route.key_column[column]:
                    keyed = route.key_codecs[column]
                    if keyed is not None and into is data:
                        into = self._aside
                        start = into.at
                        write_value(into, keyed, message, at, end)
                    route.starts[column] = start
                    route.ends[column] = into.at
            else:
                # A large value that an update left as it was.
                return -1
            at = end
            column += 1
        self.column = -1
        return at

    def from_copy(self, row: bytes, route: Route) -> cython.int:
        """The columns of a row in COPY's text format."""
        data = self.data
        into = data
        codec: Codec | None
        keyed: Codec | None
        at: cython.Py_ssize_t = 0
        end: cython.Py_ssize_t
        start: cython.Py_ssize_t
        escape: cython.Py_ssize_t
        size: cython.Py_ssize_t = len(row)
        column: cython.int = 0
        fields: cython.int = 0
        if size and row[size - 1] == 10:
            size -= 1
        data.rewind()
        self._aside.rewind()
        while column < route.count:
            route.pieces[column] = data.at
            codec = route.codecs[column]
            if codec is None:
                codec = route.key_codecs[column]
                into = self._aside
                if codec is None:
                    column += 1
                    continue
            else:
                into = data
            self.column = column
            fields += 1
            if at > size:
                raise FormError("the row has fewer fields than the table", CHANGED)
            end = find(row, 9, at, size)
            if end < 0:
                end = size
            escape = find(row, 92, at, end)
            if escape == at and end == at + 2 and row[at + 1] == 78:
                # COPY prints a NaN as one: a null is a null.
                self._null(route, column, into, True)
            else:
                if route.nullable[column]:
                    into.put(2)
                start = into.at
                self._copy_value(row, at, end, escape, codec, into)
                if route.key_column[column]:
                    keyed = route.key_codecs[column]
                    if keyed is not None and into is data:
                        into = self._aside
                        start = into.at
                        self._copy_value(row, at, end, escape, keyed, into)
                    route.starts[column] = start
                    route.ends[column] = into.at
            at = end + 1
            column += 1
        self.column = -1
        # A table without columns has empty rows.
        if at != size + 1 and (fields or size):
            raise FormError("the row has more fields than the table", CHANGED)
        return 0

    def _copy_value(
        self,
        row: bytes,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        escape: cython.Py_ssize_t,
        codec: Codec,
        into: Writer,
    ) -> cython.int:
        """A field whose first backslash stands at `escape`; -1: it has none."""
        if escape < 0:
            return write_value(into, codec, row, at, end)
        text = copy_unescape(self._scratch, row, at, end)
        return write_value(into, codec, text, 0, len(text))

    def key(self, route: Route, out: Writer) -> bytes | None:
        """The framed key of the row walked last; from then on the columns are in Value's order."""
        i: cython.Py_ssize_t = 0
        column: cython.int = route.key[0]
        out.rewind()
        out.raw(route.key_frame)
        while column >= 0:
            out.append(
                self.data if route.key_codecs[column] is None else self._aside,
                route.starts[column],
                route.ends[column],
            )
            i += 1
            column = route.key[i]
        if route.reordered:
            self._sort(route)
        return out.take(0, out.at) if i else None

    def _sort(self, route: Route) -> cython.int:
        """Put the columns, which a partition's rows may hold in an order of its own, in Value's."""
        into = self._sorted
        i: cython.Py_ssize_t = 0
        column: cython.int = route.order[0]
        into.rewind()
        route.pieces[route.count] = self.data.at
        while column >= 0:
            into.append(self.data, route.pieces[column], route.pieces[column + 1])
            i += 1
            column = route.order[i]
        return self.data.swap(into)
