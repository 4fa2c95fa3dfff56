"""The walker: one row's raw bytes, by its plan, to a record's key and value.

Room: transcode (pure). wal2json's README, format version 2; PostgreSQL manual, "COPY"; Confluent
wire format. Types are in walker.pxd. Nothing is read beyond the end of a message: every index is
checked, and an IndexError means that the row is not what its plan expects.
"""

from __future__ import annotations

import cython

from producer.transcode.plan import CHANGED, FormError, TablePlan

if not cython.compiled:
    from producer.transcode.block import Blocks
    from producer.transcode.counts import Counts
    from producer.transcode.forms import Route
    from producer.transcode.image import Image
    from producer.transcode.numbers import read_lsn
    from producer.transcode.source_block import Parts
    from producer.transcode.spans import big_endian, find, json_string_end, matches
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
PASSED = 6
"""A row of a relation that is not selected."""

_NOT_LOGGED = "a key column is not in what the log holds of an old row"
_NOT_LOGGED_REMEDY = "set REPLICA IDENTITY FULL, or key the topic by the replica identity's columns"


@cython.cfunc
@cython.exceptval(-1, check=True)
def _is_end(message: bytes, at: cython.Py_ssize_t, tail: bytes) -> cython.bint:
    """True when the record's tail stands at `at`, and nothing behind it."""
    return at >= 0 and at + len(tail) == len(message) and matches(message, at, tail)


class Walker:
    """Walks the rows of all tables, one after the other; its buffers are used again."""

    def __init__(self, counts: dict[str, Counts] | None = None) -> None:
        """`counts` takes each table's, by its name."""
        self.key: bytes | None = None
        self.value: bytes | None = None
        self.old_key: bytes | None = None
        self.old_value: bytes | None = None
        self.topic = ""
        self.column = -1
        self.lsn = 0
        self.suspects = 0
        self.holes = 0
        self.blocks = Blocks()
        self._counts: dict[str, Counts] = {} if counts is None else counts
        self._routes: dict[bytes, Route] = {}
        # What pgoutput's rows are of: they name nothing but an OID.
        self._bound: dict[int, Route] = {}
        self._foreign: set[int] = set()
        # The next row's table, most likely: of the stream, and of a snapshot.
        self._route: Route | None = None
        self._copied: Route | None = None
        self._last: Route | None = None
        self._new = Image()
        self._old = Image()
        self._out = Writer()
        self._parts = Parts(b"\x00", b"", b"", b"", b"", b"")
        self._times = b"\x00\x00\x00"

    def install(self, plan: TablePlan) -> None:
        """Walk the rows of the plan's table by it from now on."""
        route = Route(plan)
        route.counts = self.counts_of(plan.table)
        self._routes[plan.json_names] = route
        self._route = None

    def counts_of(self, table: str) -> Counts:
        """The counts of a table, by its name; of what belongs to none: of the empty name."""
        found = self._counts.get(table)
        if found is None:
            found = self._counts[table] = Counts()
        return found

    def count(self, op: cython.int) -> cython.int:
        """The last row went out as an event of its table: c, u or d, as a character's number."""
        route: Route | None = self._last
        assert route is not None
        counts: Counts = route.counts
        if op == 99:
            counts.creates += 1
        elif op == 117:
            counts.updates += 1
        else:
            counts.deletes += 1
        return 0

    def plan(self) -> TablePlan:
        """The plan of the last row that had one."""
        assert self._last is not None
        return self._last.plan

    def begin(self, parts: Parts) -> None:
        """The constant parts of the records that follow."""
        self._parts = parts

    def clock(self, times: bytes) -> None:
        """The outer ts_ms, ts_us, ts_ns, encoded."""
        self._times = times

    def row(self, message: bytes, start: cython.Py_ssize_t, ordinal: cython.longlong) -> cython.int:
        """Walk a wal2json record that begins at `start`; what it was, as one of the codes above.

        A key change takes `ordinal` and the next one.

        Raises:
            FormError: a value cannot be carried; `column` is its place in the plan.
        """
        self.column = -1
        try:
            code: cython.int = self._row(message, start, ordinal)
        except IndexError:
            code = SHAPE
        except FormError:
            self.column = max(self._new.column, self._old.column, self.column)
            raise
        self.suspects = self._new.suspects
        self.holes = self._new.holes
        return code

    def _row(self, message: bytes, start: cython.Py_ssize_t, ordinal: cython.longlong) -> cython.int:
        at: cython.Py_ssize_t = start + 13
        route: Route | None
        self._new.column = self._old.column = -1
        if not matches(message, start, b'{"action":"'):
            return OTHER
        action: cython.int = message[start + 11]
        if (action != 73 and action != 85 and action != 68) or message[start + 12] != 34:
            return OTHER
        if not matches(message, at, self._parts.record_head):
            return OTHER
        at += len(self._parts.record_head)
        end: cython.Py_ssize_t = find(message, 34, at, len(message))
        lsn: cython.longlong = read_lsn(message, at, end)
        if lsn < 0 or message[end + 1] != 44:
            return SHAPE
        at = end + 2
        route = self._route
        if route is None or not matches(message, at, route.names):
            route = self._find(message, at)
            if route is None:
                return SHAPE
        self._last = route
        self.lsn = lsn
        at += len(route.names)
        if action == 68:
            if not matches(message, at, b',"identity":['):
                return SHAPE
            at = self._old.from_json(message, at + 13, route, True)
            if not _is_end(message, at, route.tail):
                return SHAPE
            return self._delete(route, ordinal)
        if not matches(message, at, b',"columns":['):
            return SHAPE
        at = self._new.from_json(message, at + 12, route, False)
        if at < 0:
            return SHAPE
        key = self._new.key(route, self._out)
        if action == 73 or not matches(message, at, b',"identity":['):
            if not _is_end(message, at, route.tail):
                return SHAPE
            return self._keep(
                route, RECORD, key, self._envelope(route, False, True, 99 if action == 73 else 117, ordinal)
            )
        at = self._old.from_json(message, at + 13, route, True)
        if not _is_end(message, at, route.tail):
            return SHAPE
        # A key that the log does not hold cannot be seen to change.
        return self._update(route, key, self._old.key(route, self._out) if route.key_logged else key, ordinal)

    def bind(self, oid: int, names: bytes, heads: list[bytes], in_identity: bytes, tail: bytes) -> bool:
        """Walk pgoutput's rows of a relation by the plan of this name, where it is the relation's in every word."""
        route: Route | None = self._routes.get(names)
        if route is None or route.heads != heads or route.in_identity != in_identity or route.tail != tail:
            return False
        self._foreign.discard(oid)
        self._bound[oid] = route
        return True

    def pass_over(self, oid: int) -> None:
        """Rows of the relation are not for us."""
        self._foreign.add(oid)

    def unbind(self, oid: int) -> None:
        """The relation may be another one from now on: its next row is for the general path."""
        route: Route | None = self._bound.pop(oid, None)
        if route is not None:
            route.oid = -1
        self._foreign.discard(oid)

    def tuple_row(self, message: bytes, start: cython.Py_ssize_t, ordinal: cython.longlong) -> cython.int:
        """Walk pgoutput's insert, update or delete that begins at `start`, behind XLogData's header; as `row`.

        A row of a relation that nothing is bound to is SHAPE.

        Raises:
            FormError: a value cannot be carried; `column` is its place in the plan.
        """
        self.column = -1
        try:
            code: cython.int = self._tuple_row(message, start, ordinal)
        except IndexError:
            code = SHAPE
        except FormError:
            self.column = max(self._new.column, self._old.column, self.column)
            raise
        self.suspects = self.holes = 0
        return code

    def _tuple_row(self, message: bytes, start: cython.Py_ssize_t, ordinal: cython.longlong) -> cython.int:
        at: cython.Py_ssize_t = start + 5
        action: cython.int = message[start]
        oid: cython.longlong = big_endian(message, start + 1, 4)
        lsn: cython.longlong = big_endian(message, start - 24, 8)
        route: Route | None = self._route
        self._new.column = self._old.column = -1
        if route is None or route.oid != oid:
            route = self._bound.get(oid)
            if route is None:
                return PASSED if oid in self._foreign else SHAPE
            if self._routes.get(route.names) is not route:
                # Another plan was installed since.
                return SHAPE
            route.oid = oid
            self._route = route
        kind: cython.int = message[at]
        if lsn < 0:
            return SHAPE
        self._last = route
        self.lsn = lsn
        if action == 68:
            # K: the columns of the identity; O: all of them.
            if kind != 75 and kind != 79:
                return SHAPE
            at = self._old.from_tuple(message, at + 1, route, True)
            if at != len(message):
                return SHAPE
            return self._delete(route, ordinal)
        if action != 73 and action != 85:
            return OTHER
        old_key: bytes | None = None
        identity: cython.bint = action == 85 and (kind == 75 or kind == 79)
        if identity:
            at = self._old.from_tuple(message, at + 1, route, True)
            if at < 0:
                return SHAPE
            if route.key_logged:
                # Before the new row is walked: where the key stands is known of the last one.
                old_key = self._old.key(route, self._out)
            kind = message[at]
        elif action == 85 and route.full_identity:
            return SHAPE
        if kind != 78:
            return SHAPE
        at = self._new.from_tuple(message, at + 1, route, False)
        if at != len(message):
            return SHAPE
        key = self._new.key(route, self._out)
        if identity:
            return self._update(route, key, old_key if route.key_logged else key, ordinal)
        # Without an old row the log says that what identifies it is as it was.
        return self._keep(route, RECORD, key, self._envelope(route, False, True, 99 if action == 73 else 117, ordinal))

    def _delete(self, route: Route, ordinal: cython.longlong) -> cython.int:
        """Of the old row that was walked last."""
        if not route.key_logged:
            self.column = route.unlogged
            raise FormError(_NOT_LOGGED, _NOT_LOGGED_REMEDY)
        key = self._old.key(route, self._out)
        return self._keep(route, DELETE, key, self._envelope(route, True, False, 100, ordinal))

    def _update(self, route: Route, key: bytes | None, old_key: bytes | None, ordinal: cython.longlong) -> cython.int:
        """Of the rows that were walked last, and their keys."""
        if old_key == key:
            return self._keep(route, RECORD, key, self._envelope(route, route.full_identity, True, 117, ordinal))
        old_value = self._envelope(route, True, False, 100, ordinal)
        value = self._envelope(route, False, True, 99, ordinal + 1)
        self.old_key = old_key
        self.old_value = old_value
        return self._keep(route, KEY_CHANGE, key, value)

    def _keep(self, route: Route, code: cython.int, key: bytes | None, value: bytes) -> cython.int:
        """The record is whole: show it."""
        self.key = key
        self.value = value
        self.topic = route.topic
        return code

    def _find(self, message: bytes, at: cython.Py_ssize_t) -> Route | None:
        """The route of the table that is named at `at`: `"schema":"…","table":"…"`."""
        if not matches(message, at, b'"schema":"'):
            return None
        end: cython.Py_ssize_t = json_string_end(message, at + 10) + 1
        if not matches(message, end, b',"table":"'):
            return None
        end = json_string_end(message, end + 10) + 1
        route: Route | None = self._routes.get(message[at:end])
        if route is not None:
            self._route = route
        return route

    def _envelope(
        self, route: Route, before: cython.bint, after: cython.bint, op: cython.int, ordinal: cython.longlong
    ) -> bytes:
        """The framed envelope, from the images written last."""
        out = self._out
        parts = self._parts
        digits: bytes = b"%d" % self.lsn
        out.rewind()
        out.raw(route.value_frame)
        out.put(2 if before else 0)
        if before:
            out.append(self._old.data, 0, self._old.data.at)
        out.put(2 if after else 0)
        if after:
            out.append(self._new.data, 0, self._new.data.at)
        out.raw(parts.source_head)
        out.put(2)
        out.long(len(parts.sequence_head) + len(digits) + 2)
        out.raw(parts.sequence_head)
        out.raw(digits)
        out.raw(b'"]')
        out.raw(parts.source_times)
        out.raw(route.source_names)
        out.raw(parts.source_transaction)
        out.put(2)
        out.long(self.lsn)
        out.raw(b"\x00\x00\x00")
        out.raw(parts.source_commit)
        out.put(2)
        out.long(ordinal)
        self.blocks.write(out, route.source_names, ordinal)
        out.put(2)
        out.put(op)
        out.raw(self._times)
        return out.take(0, out.at)

    def copy_row(self, row: bytes, plan: TablePlan, lsn: cython.longlong) -> None:
        """Walk a row of COPY's text format, columns in the plan's order: a snapshot's read.

        Raises:
            FormError: a value cannot be carried, or the row is not the plan's.
        """
        route: Route | None = self._copied
        if route is None or route.plan is not plan:
            # The stream may walk the table by a later plan: this row is of the shape that was read.
            route = self._routes.get(plan.json_names)
            if route is None or route.plan is not plan:
                route = Route(plan)
            self._copied = route
        self._last = route
        self.lsn = lsn
        self.column = -1
        try:
            self._new.from_copy(row, route)
        except IndexError as error:
            self.column = self._new.column
            raise FormError("the field is not as COPY writes it", CHANGED) from error
        except FormError:
            self.column = self._new.column
            raise
        key = self._new.key(route, self._out)
        self._keep(route, RECORD, key, self._envelope(route, False, True, 114, 0))
