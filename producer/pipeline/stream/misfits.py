"""Rows that do not fit their plan: their shape is found, what the log does not hold is read, and they are walked again.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Schema changes", "What the plugin leaves out".
"""

from __future__ import annotations

import contextlib

from producer.decode import wal2json
from producer.decode.wal2json import Record, RowShape
from producer.errors import ConversionError, DecodeError
from producer.events import Relation
from producer.lsn import Lsn
from producer.pipeline.stream.completion import ColumnGone, Completion
from producer.pipeline.tables.plans import Shape
from producer.pipeline.tables.tables import Tables
from producer.sink.protocol import Headers
from producer.source.replication import XLOG_HEADER, data_start
from producer.source.wire import Connection
from producer.transcode.plan import FormError
from producer.transcode.walker import DELETE, OTHER, SHAPE, Walker

# Beside the walker's codes: a row of a table that is not selected.
NOT_OURS = 5


class Misfits:
    """Walks one row at a time until it fits, or cannot."""

    def __init__(self, *, walker: Walker, catalog: Connection, tables: Tables, completion: Completion) -> None:
        self._walker = walker
        self._catalog = catalog
        self._tables = tables
        self._completion = completion
        self.row = b""
        """The row at hand, as it was walked last: completed, perhaps."""
        self.headers: Headers = []
        """What its record is to say of it."""

    def take_headers(self) -> Headers:
        """The headers of the row at hand, once."""
        headers, self.headers = self.headers, []
        return headers

    def fit(self, message: bytes, ordinal: int, error: FormError | None) -> int:
        """The row does not fit its plan: find its shape, then walk it once more."""
        record = decoded(message)
        if not isinstance(record, RowShape):
            return OTHER
        if not self._tables.wants(self._catalog, record.schema, record.table):
            return NOT_OURS
        if self._tables.recalled(record):
            # A value that does not fit: what the catalogue has by now, perhaps.
            with contextlib.suppress(FormError):
                result = self._walker.row(message, XLOG_HEADER, ordinal)
                if result not in (SHAPE, OTHER):
                    return self.unhide(message, ordinal) if self._walker.suspects and result != DELETE else result
        shape, missing = self._tables.reshape(self._catalog, record)
        if missing:
            try:
                message, self.headers = self._completion.unchanged(message, XLOG_HEADER, shape, missing, record.lsn)
            except ColumnGone:
                shape, missing = self._tables.reshape(self._catalog, record, look=True)
                if missing:
                    message, self.headers = self._completion.unchanged(
                        message, XLOG_HEADER, shape, missing, record.lsn, again=True
                    )
            self.row = message
        result = self._walk_again(message, ordinal, shape, record.lsn, error)
        return self.unhide(message, ordinal) if self._walker.suspects and result != DELETE else result

    def unhide(self, message: bytes, ordinal: int) -> int:
        """A number is null that may be a NaN: read it again, walk the completed row."""
        lsn = Lsn(self._walker.lsn)
        shape = self._tables.walked(self._walker.plan())
        message, headers = self._completion.hidden(message, XLOG_HEADER, shape, lsn, self.headers)
        self.headers = self.headers + headers
        self.row = message
        result = self._walk_again(message, ordinal, shape, lsn, None)
        if self._walker.holes:
            raise ConversionError(
                f"table {shape.relation.qualified_name} at {lsn}: a column that is NOT NULL holds NaN or Infinity, "
                "which the plugin prints as null, and the row is gone or changed since",
                remedy="install wal2json 2.6 or newer, or set value.nullability=relaxed",
            )
        return result

    def _walk_again(self, message: bytes, ordinal: int, shape: Shape, lsn: Lsn, error: FormError | None) -> int:
        result: int
        try:
            result = self._walker.row(message, XLOG_HEADER, ordinal)
        except FormError:
            # The catalogue of now, which was just read, may be ahead in what no row tells.
            try:
                result = self._tables.otherwise(
                    shape, self._walker.column, lambda: self._walker.row(message, XLOG_HEADER, ordinal)
                )
            except FormError as second:
                raise self._refused(shape.relation, lsn, second) from (error or second)
        if result == OTHER:
            raise DecodeError(
                f"a row of {shape.relation.qualified_name} at {lsn} is not of the transaction that is open",
                remedy="this is a fault of the plugin or of the producer: report it",
            )
        if result == SHAPE:
            raise ConversionError(
                f"a row of {shape.relation.qualified_name} at {lsn} does not match the shape that it names",
                remedy="report it with the plugin's version; table.exclude.list leaves the table out",
            )
        return result

    def _refused(self, relation: Relation, lsn: Lsn, error: FormError) -> ConversionError:
        column = self._walker.column
        name = relation.columns[column].name if 0 <= column < len(relation.columns) else "?"
        return ConversionError(
            f"table {relation.qualified_name}, column {name}, at {lsn}: {error.reason}",
            remedy=error.remedy,
            column=name,
        )


def decoded(message: bytes) -> Record:
    """The general path's reading of a message.

    Raises:
        DecodeError: it cannot be read. Its header tells where it stands; its payload is not to be trusted.
    """
    try:
        return wal2json.decode(message, XLOG_HEADER)
    except DecodeError as error:
        raise DecodeError(f"the message at {data_start(message)}: {error.message}", remedy=error.remedy) from error
