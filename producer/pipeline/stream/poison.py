"""A row of the stream that no record can carry: what of it can be sent, and its dead letter.

Room: pipeline (IO through the stages it is given). docs/errors.md, "Dead letters", tells the rules.
A delete must reach the topic, or its key would live there for ever: so an old row that cannot be
carried is left out of its event, all but the key. A new row that cannot be carried is not sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from producer.decode import wal2json
from producer.decode.wal2json import LoggedColumn, RowShape, RowValues, Truncate
from producer.errors import ConversionError
from producer.events import Position
from producer.pipeline.side.dead_letters import DeadLetters, Letter, Outgoing
from producer.pipeline.stream.completion import HIDDEN, Completion
from producer.pipeline.tables.plans import Shape
from producer.pipeline.tables.tables import Tables
from producer.sink.protocol import Headers
from producer.source.replication import XLOG_HEADER
from producer.source.wire import Connection
from producer.transcode.plan import FormError, TablePlan
from producer.transcode.walker import DELETE, KEY_CHANGE, RECORD, Walker

_OLD_ROW = "; it is in the old row, without which its event was sent"


@dataclass(frozen=True, slots=True)
class Salvaged:
    """The records of a row, in their order, and how many ordinals it takes: as many as if it were sound."""

    records: list[Outgoing]
    ordinals: int = 1
    table: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The row at hand."""

    message: bytes
    logged: RowShape
    values: RowValues
    shape: Shape | None
    """Of its table; it may not be the row's own."""
    error: ConversionError
    position: Position
    headers: Headers


class Poison:
    """Sets rows of one stream aside, or refuses to: `errors.tolerance`."""

    def __init__(
        self,
        *,
        walker: Walker,
        catalog: Connection,
        tables: Tables,
        completion: Completion,
        dead_letters: DeadLetters,
        tombstones: bool,
    ) -> None:
        self._walker = walker
        self._catalog = catalog
        self._tables = tables
        self._completion = completion
        self._dead_letters = dead_letters
        self._tombstones = tombstones
        self._named = False

    def row(
        self, message: bytes, error: ConversionError, position: Position, headers: Headers, *, named: bool = False
    ) -> Salvaged:
        """What is to be sent of the row that ended in `error`, with the headers that it had by then.

        `named`: it is to be left out, and there is no letter of it. Of a change of the key the delete is sent all the
        same, or the old key would live in the topic for ever.

        Raises:
            ConversionError: errors.tolerance is none, and the row is not named.
        """
        self._named = named
        try:
            salvaged = self._salvaged(message, error, position, headers)
        finally:
            self._named = False
        if not named:
            return salvaged
        sound = [record for record in salvaged.records if record.topic != self._dead_letters.topic]
        return replace(salvaged, records=sound if salvaged.ordinals > 1 else [])

    def _salvaged(self, message: bytes, error: ConversionError, position: Position, headers: Headers) -> Salvaged:
        logged = wal2json.decode(message, XLOG_HEADER)
        assert isinstance(logged, RowShape)
        self._tolerate(error, position, self._tables.last(logged.schema, logged.table))
        row = _Row(
            message=message, logged=logged, values=wal2json.values(message, XLOG_HEADER),
            shape=self._shape(logged), error=error, position=position, headers=headers,
        )  # fmt: skip
        if logged.action == "D":
            return self._delete(row)
        if logged.action == "U":
            return self._update(row)
        return Salvaged([self._new_row(row, self._key(row))])

    def truncate(self, truncate: Truncate, error: ConversionError, position: Position) -> Salvaged:
        """A truncate of a table of which nothing is known any more: it has no row.

        Raises:
            ConversionError: errors.tolerance is none.
        """
        self._tolerate(error, position, None)
        return Salvaged([self._letter(truncate, None, error, position, {}, None)])

    def _shape(self, logged: RowShape) -> Shape | None:
        """A shape of the row's table: that of the rows before it, else the one of now, perhaps of another time."""
        try:
            return self._tables.last(logged.schema, logged.table) or self._tables.current(
                self._catalog, logged.schema, logged.table
            )
        except ConversionError:
            return None

    def _tolerate(self, error: ConversionError, position: Position, shape: Shape | None) -> None:
        if not self._dead_letters.tolerant and not self._named:
            raise self._dead_letters.stop(error, shape.relation.key if shape else None, position) from error

    def _delete(self, row: _Row) -> Salvaged:
        gone = self._gone(row, whole=False)
        letter = self._old_row(row, gone)
        return Salvaged([*self._deleted(gone), letter], table=_table(row.shape))

    def _update(self, row: _Row) -> Salvaged:
        if row.shape is not None and row.shape.plan.full_identity:
            salvaged = self._without_old_row(row, row.shape)
            if salvaged is not None:
                return salvaged
        new = self._key(row)
        whole = self._gone(row, whole=True)
        gone = whole or self._gone(row, whole=False)
        if gone is None and new is not None and not self._named:
            salvaged = self._without_old_key(row)
            if salvaged is not None:
                return salvaged
        if gone is None or gone.key == new:
            return Salvaged([self._new_row(row, new)])
        # The key changed, and the old one is known: its delete does not depend on the new row.
        if new is not None:
            gone = replace(gone, headers=[("__debezium.newkey", new)])
        records = self._deleted(gone)
        if whole is None:
            records.append(self._old_row(row, gone))
        behind = replace(row, position=row.position._replace(ordinal=row.position.ordinal + 1))
        return Salvaged([*records, self._new_row(behind, new)], 2, _table(row.shape))

    def _without_old_row(self, row: _Row, shape: Shape) -> Salvaged | None:
        """The update, when only the old row is to blame."""
        lean = _lean(shape.plan)
        cells = _cells(lean, row.values.identity, row.logged.identity, shape)
        if cells is None:
            return None
        message = wal2json.with_identity(row.message, XLOG_HEADER, cells)
        with self._by(lean, shape.plan):
            code, headers = self._walk_whole(message, row, shape, row.position.ordinal)
        walker, topic = self._walker, shape.plan.topic
        if code == RECORD:
            records = [Outgoing(topic, walker.key, walker.value, headers, "u")]
        elif code == KEY_CHANGE:
            old, new = walker.old_key or b"", walker.key or b""
            records = [
                *self._deleted(Outgoing(topic, old, walker.old_value, [("__debezium.newkey", new)], "d")),
                Outgoing(topic, new, walker.value, [("__debezium.oldkey", old), *headers], "c"),
            ]
        else:
            return None
        if not all(self._dead_letters.fits(record.key, record.value, record.headers) for record in records):
            return None
        letter = self._old_row(row, records[0])
        return Salvaged([*records, letter], 2 if code == KEY_CHANGE else 1, shape.plan.table)

    def _without_old_key(self, row: _Row) -> Salvaged | None:
        """The update of a key, when only the old one is to blame: the letter is the delete, the create is sent."""
        shape = row.shape
        if shape is None:
            return None
        message = wal2json.as_insert(row.message, XLOG_HEADER)
        with self._by(shape.plan, shape.plan):
            code, headers = self._walk_whole(message, row, shape, row.position.ordinal + 1)
        if code != RECORD:
            return None
        created = Outgoing(shape.plan.topic, self._walker.key, self._walker.value, headers, "c")
        if not self._dead_letters.fits(created.key, created.value, created.headers):
            return None
        letter = replace(self._old_row(row, created), key=None)
        return Salvaged([letter, created], 2, shape.plan.table)

    def _walk_whole(self, message: bytes, row: _Row, shape: Shape, ordinal: int) -> tuple[int | None, Headers]:
        """As `_walk`, and the headers that the record gets: what the plugin may hide in it is read again."""
        code, headers = self._walk(message, ordinal), row.headers
        if self._walker.suspects and not any(name in HIDDEN for name, _ in headers):
            try:
                message, reread = self._completion.hidden(message, XLOG_HEADER, shape, row.logged.lsn, headers)
            except ConversionError:
                return None, headers
            return self._walk(message, ordinal), headers + reread
        return code, headers

    def _gone(self, row: _Row, *, whole: bool) -> Outgoing | None:
        """A delete of the old row, whole or with nothing but its key; None: it cannot be made."""
        shape = row.shape
        if shape is None or not shape.plan.key:
            return None
        plan = shape.plan if whole else _lean(shape.plan)
        cells = _cells(plan, row.values.identity, row.logged.identity, shape)
        if cells is None or (whole and len(cells) != len(row.values.identity)):
            return None
        with self._by(plan, shape.plan):
            if self._walk(wal2json.as_delete(row.message, XLOG_HEADER, cells), row.position.ordinal) != DELETE:
                return None
            made = Outgoing(shape.plan.topic, self._walker.key, self._walker.value, [], "d")
        return made if self._dead_letters.fits(made.key, made.value, made.headers) else None

    def _key(self, row: _Row) -> bytes | None:
        """The new row's key: that of a delete of a row with these values."""
        # A large key that did not change is in the old row only.
        values = {**row.values.identity, **row.values.columns}
        columns = (*row.logged.identity, *row.logged.columns)
        as_old = replace(row, values=replace(row.values, identity=values), logged=replace(row.logged, identity=columns))
        made = self._gone(as_old, whole=False)
        return None if made is None else made.key

    def _deleted(self, gone: Outgoing | None) -> list[Outgoing]:
        if gone is None:
            return []
        return [gone, Outgoing(gone.topic, gone.key, None, [])] if self._tombstones else [gone]

    def _old_row(self, row: _Row, sent: Outgoing | None) -> Outgoing:
        error = row.error
        if sent is not None:
            error = type(error)(error.message + _OLD_ROW, remedy=error.remedy, column=error.column)
        key = None if sent is None else sent.key
        return self._letter(row.logged, row.shape, error, row.position, row.values.identity, key)

    def _new_row(self, row: _Row, key: bytes | None) -> Outgoing:
        return self._letter(row.logged, row.shape, row.error, row.position, row.values.columns, key)

    def _letter(
        self,
        logged: RowShape | Truncate,
        shape: Shape | None,
        error: ConversionError,
        position: Position,
        values: Mapping[str, bytes],
        key: bytes | None,
    ) -> Outgoing:
        if self._named:
            return Outgoing(self._dead_letters.topic, None, None, [])
        schema, name = self._tables.captured_as(self._catalog, logged.schema, logged.table) or (
            logged.schema,
            logged.table,
        )
        letter = Letter(
            error=error, topic=self._tables.topic(schema, name), key=key, table=f"{schema}.{name}",
            row={column: value for column, value in values.items() if not self._withheld(shape, column)},
            key_columns=shape.relation.key if shape else (), lsn=logged.lsn, position=position,
        )  # fmt: skip
        return self._dead_letters.record(letter)

    def _withheld(self, shape: Shape | None, column: str) -> bool:
        """Whether the column's text may not leave us; of a table that is not known none may, once any is masked."""
        return column in shape.plan.withheld if shape is not None else self._tables.withholds

    def _walk(self, message: bytes, ordinal: int) -> int | None:
        """What the walker makes of a record of ours; None: it cannot be carried either."""
        try:
            result: int = self._walker.row(message, XLOG_HEADER, ordinal)
        except FormError:
            return None
        return result

    @contextmanager
    def _by(self, plan: TablePlan, own: TablePlan) -> Iterator[None]:
        """Walk the table's rows by another plan for a moment."""
        self._walker.install(plan)
        try:
            yield
        finally:
            self._walker.install(own)


def _table(shape: Shape | None) -> str:
    return "" if shape is None else shape.plan.table


def _lean(plan: TablePlan) -> TablePlan:
    """The plan of the same table as if nothing but the key were logged of an old row."""
    columns = tuple(replace(column, in_identity=place in plan.key) for place, column in enumerate(plan.columns))
    return replace(plan, columns=columns, full_identity=False)


def _cells(
    plan: TablePlan, values: Mapping[str, bytes], logged: Sequence[LoggedColumn], shape: Shape
) -> list[bytes] | None:
    """The old row's columns, as the plugin prints them; None where one is not there, or of another type."""
    types = {column.name: column.type_oid for column in logged}
    own = {column.name: column.type.oid for column in shape.relation.columns}
    cells = []
    for column in plan.columns:
        if column.in_identity:
            if types.get(column.name) != own[column.name]:
                return None
            cells.append(column.head + values[column.name] + b"}")
    return cells
