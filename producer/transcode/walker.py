"""The walker: one row's raw bytes, by its plan, to a record's key and value.

Room: transcode (pure). wal2json's README, format version 2; PostgreSQL manual, "COPY"; Confluent
wire format. Types are in walker.pxd. Nothing is read beyond the end of a message: every index is
checked, and an IndexError means that the row is not what its plan expects.
"""

from __future__ import annotations

import cython

from producer.transcode.plan import FormError, TablePlan

if not cython.compiled:
    from producer.transcode.forms import Route, write_value
    from producer.transcode.spans import (
        copy_unescape,
        has_backslash,
        json_string_end,
        json_unescape,
        matches,
    )
    from producer.transcode.writer import Writer

compiled: bool = cython.compiled

SHAPE = 0
"""A row of a table or of a shape that no plan fits: nothing was written."""
RECORD = 1
"""An insert or update: `key`, `value`."""
DELETE = 2
"""A delete: `key`, `value`; the tombstone is the caller's."""
KEY_CHANGE = 3
"""An update of the key: delete in `old_key`, `old_value`; create in `key`, `value`."""
OTHER = 4
"""No row, or a row outside of the transaction."""

_NULL_IN_KEY = "a key column is NULL"
_NULL_REMEDY = "a key must be whole: name other columns, or make the column NOT NULL"


class Walker:
    """Walks the rows of all tables, one after the other; its buffers are used again."""

    def __init__(self) -> None:
        self.key: bytes | None = None
        self.value: bytes | None = None
        self.old_key: bytes | None = None
        self.old_value: bytes | None = None
        self.topic = ""
        self.column = -1
        self.lsn = 0
        self.suspects = 0
        self._routes: dict[bytes, Route] = {}
        self._route: Route | None = None
        self._new = Writer()
        self._old = Writer()
        self._out = Writer()
        self._scratch = Writer()
        self._record_head = b"\x00"
        self._source_head = b""
        self._sequence_head = b""
        self._source_times = b""
        self._source_transaction = b""
        self._source_commit = b""
        self._times = b"\x00\x00\x00"

    def install(self, plan: TablePlan) -> None:
        """Walk the rows of the plan's table by it from now on."""
        self._routes[plan.json_names] = Route(plan)
        self._route = None

    def plan(self) -> TablePlan:
        """The plan of the last row."""
        assert self._route is not None
        return self._route.plan

    def begin(
        self,
        *,
        record_head: bytes,
        source_head: bytes,
        sequence_head: bytes,
        source_times: bytes,
        source_transaction: bytes,
        source_commit: bytes,
    ) -> None:
        """The constant parts of a transaction's records (see `source_block.Parts`)."""
        self._record_head = record_head
        self._source_head = source_head
        self._sequence_head = sequence_head
        self._source_times = source_times
        self._source_transaction = source_transaction
        self._source_commit = source_commit

    def clock(self, times: bytes) -> None:
        """The outer ts_ms, ts_us, ts_ns, encoded."""
        self._times = times

    def row(self, message: bytes, start: int, ordinal: int) -> int:
        """Walk a wal2json record that begins at `start`; what it was, as one of the codes above.

        A key change takes `ordinal` and the next one.

        Raises:
            FormError: a value cannot be carried; `column` is its place in the plan.
        """
        self.column = -1
        try:
            return self._row(message, start, ordinal)
        except IndexError:
            return SHAPE

    def _row(self, message: bytes, start: cython.Py_ssize_t, ordinal: cython.longlong) -> cython.int:
        at: cython.Py_ssize_t = start + 13
        lsn: cython.longlong = 0
        high: cython.longlong = 0
        c: cython.int
        action: cython.int
        route: Route | None
        old_key: bytes | None
        if not matches(message, start, b'{"action":"'):
            return OTHER
        action = message[start + 11]
        if action != 73 and action != 85 and action != 68:
            return OTHER
        if not matches(message, at, self._record_head):
            return OTHER
        at += len(self._record_head)
        c = message[at]
        while c != 34:
            if 48 <= c <= 57:
                lsn = lsn * 16 + (c - 48)
            elif 65 <= c <= 70:
                lsn = lsn * 16 + (c - 55)
            elif c == 47:
                high = lsn
                lsn = 0
            else:
                return SHAPE
            at += 1
            c = message[at]
        self.lsn = lsn = high * 0x1_0000_0000 + lsn
        at += 2
        route = self._route
        if route is None or not matches(message, at, route.names):
            route = self._find(message, at)
            if route is None:
                return SHAPE
        at += len(route.names)
        if action == 68:
            if not matches(message, at, b',"identity":['):
                return SHAPE
            at = self._image(message, at + 13, route, self._old, True)
            if at < 0 or message[at] != 125 or at + 1 != len(message):
                return SHAPE
            key = self._key_of(route, self._old)
            value = self._envelope(route, True, False, 100, ordinal)
            self.key = key
            self.value = value
            self.topic = route.topic
            return DELETE
        if not matches(message, at, b',"columns":['):
            return SHAPE
        at = self._image(message, at + 12, route, self._new, False)
        if at < 0:
            return SHAPE
        key = self._key_of(route, self._new)
        if action == 73 or message[at] == 125:
            if message[at] != 125 or at + 1 != len(message):
                return SHAPE
            value = self._envelope(route, False, True, 99 if action == 73 else 117, ordinal)
            self.key = key
            self.value = value
            self.topic = route.topic
            return RECORD
        if not matches(message, at, b',"identity":['):
            return SHAPE
        at = self._image(message, at + 13, route, self._old, True)
        if at < 0 or message[at] != 125 or at + 1 != len(message):
            return SHAPE
        old_key = self._key_of(route, self._old)
        if old_key == key:
            value = self._envelope(route, route.full_identity, True, 117, ordinal)
            self.key = key
            self.value = value
            self.topic = route.topic
            return RECORD
        old_value = self._envelope(route, True, False, 100, ordinal)
        value = self._envelope(route, False, True, 99, ordinal + 1)
        self.key = key
        self.value = value
        self.old_key = old_key
        self.old_value = old_value
        self.topic = route.topic
        return KEY_CHANGE

    def _find(self, message: bytes, at: cython.Py_ssize_t) -> Route | None:
        """The route of the table that is named at `at`: `"schema":"…","table":"…"`."""
        end: cython.Py_ssize_t = at
        if not matches(message, at, b'"schema":"'):
            return None
        end = json_string_end(message, at + 10) + 1
        if not matches(message, end, b',"table":"'):
            return None
        end = json_string_end(message, end + 10) + 1
        route: Route | None = self._routes.get(message[at:end])
        if route is not None:
            self._route = route
        return route

    def _image(
        self, message: bytes, at: cython.Py_ssize_t, route: Route, image: Writer, identity: cython.bint
    ) -> cython.Py_ssize_t:
        """One row's columns, up to behind the closing bracket; -1 when they are not the plan's."""
        column: cython.int = 0
        first: cython.bint = True
        start: cython.Py_ssize_t
        image.rewind()
        if not identity:
            self.suspects = 0
        while column < route.count:
            if identity and not route.in_identity[column]:
                if route.key_column[column]:
                    self.column = column
                    raise FormError(
                        "a key column is not in what the log holds of an old row",
                        "set REPLICA IDENTITY FULL, or key the topic by the replica identity's columns",
                    )
                image.put(0)
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
            if message[at] == 110:
                if not matches(message, at, b"null"):
                    return -1
                if not route.nullable[column]:
                    raise FormError(_NULL_IN_KEY, _NULL_REMEDY)
                if not identity and route.hides_nan[column]:
                    self.suspects += 1
                image.put(0)
                at += 4
            else:
                if route.nullable[column]:
                    image.put(2)
                start = image.at
                at = self._json_value(message, at, route, column, image)
                if route.key_column[column]:
                    route.starts[column] = start
                    route.ends[column] = image.at
            if message[at] != 125:
                return -1
            at += 1
            column += 1
        if message[at] != 93:
            return -1
        self.column = -1
        return at + 1

    def _json_value(
        self, message: bytes, at: cython.Py_ssize_t, route: Route, column: cython.int, image: Writer
    ) -> cython.Py_ssize_t:
        """A string, number, true or false; where it ends."""
        end: cython.Py_ssize_t
        if message[at] == 34:
            end = json_string_end(message, at + 1)
            if has_backslash(message, at + 1, end):
                text = json_unescape(self._scratch, message, at + 1, end)
                write_value(image, route, column, text, 0, len(text))
            else:
                write_value(image, route, column, message, at + 1, end)
            return end + 1
        end = at
        while message[end] != 125:
            end += 1
        write_value(image, route, column, message, at, end)
        return end

    def _key_of(self, route: Route, image: Writer) -> bytes | None:
        """The framed key, from the key columns in `image`."""
        out = self._out
        i: cython.Py_ssize_t = 0
        column: cython.int = route.key[0]
        if column < 0:
            return None
        out.rewind()
        out.raw(route.key_frame)
        while column >= 0:
            out.append(image, route.starts[column], route.ends[column])
            i += 1
            column = route.key[i]
        return out.take(0, out.at)

    def _envelope(
        self, route: Route, before: cython.bint, after: cython.bint, op: cython.int, ordinal: cython.longlong
    ) -> bytes:
        """The framed envelope, from the images written last."""
        out = self._out
        digits: bytes = b"%d" % self.lsn
        out.rewind()
        out.raw(route.value_frame)
        if before:
            out.put(2)
            out.append(self._old, 0, self._old.at)
        else:
            out.put(0)
        if after:
            out.put(2)
            out.append(self._new, 0, self._new.at)
        else:
            out.put(0)
        out.raw(self._source_head)
        out.put(2)
        out.long(len(self._sequence_head) + len(digits) + 2)
        out.raw(self._sequence_head)
        out.raw(digits)
        out.put(34)
        out.put(93)
        out.raw(self._source_times)
        out.raw(route.source_names)
        out.raw(self._source_transaction)
        out.put(2)
        out.long(self.lsn)
        out.put(0)
        out.put(0)
        out.put(0)
        out.raw(self._source_commit)
        out.put(2)
        out.long(ordinal)
        out.put(0)
        out.put(2)
        out.put(op)
        out.raw(self._times)
        return out.take(0, out.at)

    def copy_row(self, row: bytes, plan: TablePlan, lsn: int) -> None:
        """Walk a row of COPY's text format, columns in the plan's order: a snapshot's read.

        Raises:
            FormError: a value cannot be carried, or the row is not the plan's.
        """
        at: cython.Py_ssize_t = 0
        end: cython.Py_ssize_t
        size: cython.Py_ssize_t = len(row)
        start: cython.Py_ssize_t
        column: cython.int = 0
        escaped: cython.bint
        image = self._new
        route: Route | None = self._route
        if route is None or route.plan is not plan:
            route = self._routes[plan.json_names]
            self._route = route
        if size and row[size - 1] == 10:
            size -= 1
        image.rewind()
        self.lsn = lsn
        while column < route.count:
            self.column = column
            if at > size:
                raise FormError("the row has fewer fields than the table", "run again: the table was changed")
            end = at
            escaped = False
            while end < size and row[end] != 9:
                if row[end] == 92:
                    escaped = True
                end += 1
            if escaped and end == at + 2 and row[at + 1] == 78:
                if not route.nullable[column]:
                    raise FormError(_NULL_IN_KEY, _NULL_REMEDY)
                image.put(0)
            else:
                if route.nullable[column]:
                    image.put(2)
                start = image.at
                if escaped:
                    text = copy_unescape(self._scratch, row, at, end)
                    write_value(image, route, column, text, 0, len(text))
                else:
                    write_value(image, route, column, row, at, end)
                if route.key_column[column]:
                    route.starts[column] = start
                    route.ends[column] = image.at
            at = end + 1
            column += 1
        if at != size + 1:
            raise FormError("the row has more fields than the table", "run again: the table was changed")
        self.column = -1
        self.key = self._key_of(route, image)
        self.value = self._envelope(route, False, True, 114, 0)
        self.topic = route.topic
