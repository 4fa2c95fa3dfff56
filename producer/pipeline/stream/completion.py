"""Rows that the log does not hold whole: unchanged TOAST values, and NaN that was printed as null.

Room: pipeline (IO: PostgreSQL). docs/DESIGN.md, "What the plugin leaves out".
The row is read again by its key and the record completed; the walker then sees a whole row. Rows
that have already arrived behind it and lack the same are read in the same query.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg import errors, sql
from psycopg.pq.abc import PGresult

from producer import observe
from producer.clock import Clock
from producer.decode import wal2json
from producer.decode.wal2json import RowValues
from producer.errors import ConversionError, PostgresUnavailable
from producer.events import Column, PgType, Relation
from producer.lsn import Lsn
from producer.pipeline.snapshot.later import LaterReadings
from producer.pipeline.tables.plans import Shape
from producer.sink.protocol import Headers
from producer.source import visibility
from producer.source.wire import Connection, Server, explained
from producer.transcode.plan import Form

Texts = dict[str, bytes | None]
Key = tuple[str, ...]

_log = observe.logger("producer.completion")
_KEYS_A_QUERY = 500
_LOCK_TIMEOUT = b"SET LOCAL lock_timeout = '500ms'"
_VISIBLE_SECONDS = 30.0
_VISIBLE_PAUSE = 0.001
_UNCHANGED = "__producer.unchanged"
_REREAD = "__producer.reread"
_UNREAD = "__producer.unread"
HIDDEN = (_REREAD, _UNREAD)
"""The headers that name numbers whose null may have been NaN."""
# The column, its table, the type of a key column or its schema.
_GONE = (errors.UndefinedColumn, errors.UndefinedTable, errors.UndefinedObject, errors.InvalidSchemaName)
# What helps where a row cannot be read again.
_PLACEHOLDER = "set unchanged.toast.handling=placeholder (or null)"
_NEWER_PLUGIN = "install wal2json 2.6 or newer: it prints NaN and Infinity, which may hide in this null"


class ColumnGone(Exception):
    """A column that was to be read is not there any more: the row's shape must be looked at again."""


@dataclass(slots=True)
class _Read:
    """What one query gave, and for how many of the rows that asked for it."""

    rows: dict[Key, Texts]
    uses: Counter[Key]


class Completion:
    """Completes records of one stream. `ahead` gives the messages that have arrived behind one."""

    def __init__(
        self,
        server: Server,
        clock: Clock,
        connection: Connection,
        handling: Literal["reselect", "placeholder", "null", "fail"],
        placeholder: str,
        ahead: Callable[[], Iterable[bytes]],
        later: LaterReadings,
    ) -> None:
        self._server = server
        self._clock = clock
        self._connection = connection
        self._handling = handling
        self._placeholder = placeholder
        self._ahead = ahead
        self._later = later
        self._unread: set[str] = set()
        self._read_before: dict[tuple[Relation, tuple[Column, ...]], _Read] = {}

    def unchanged(
        self, message: bytes, start: int, shape: Shape, missing: Sequence[Column], lsn: Lsn, *, again: bool = False
    ) -> tuple[bytes, Headers]:
        """Put in the large values that an update left alone: before-image, else what unchanged.toast.handling says.

        Raises:
            ColumnGone: one of the columns was dropped or renamed. Asked `again`, it has stand-ins put in.
            ConversionError: the value is not to be had, and nothing may stand for it.
        """
        found = wal2json.values(message, start)
        # The log holds an old value of these columns, and it is unchanged.
        wanted = _wanted(shape.relation, missing)
        added = {column.name: found.identity[column.name] for column in wanted if column.name in found.identity}
        how = dict.fromkeys(added, "before")
        absent = [column for column in wanted if column.name not in added]
        texts = self._absent(shape, found, absent, lsn, start, again) if absent else None
        for column in absent:
            if texts is not None:
                added[column.name], how[column.name] = _json(texts[column.name]), "reselected"
            else:
                added[column.name], how[column.name] = self._stand_in(shape, column)
        header = (_UNCHANGED, json.dumps(how, ensure_ascii=False).encode())
        return self._rebuilt(message, start, shape, found, added), [header] if how else []

    def _absent(
        self, shape: Shape, found: RowValues, absent: Sequence[Column], lsn: Lsn, start: int, again: bool
    ) -> Texts | None:
        """The values that the log does not hold, as they are now; None: something else is to stand for them."""
        if self._handling == "fail":
            names = ", ".join(column.name for column in absent)
            raise ConversionError(
                f"table {shape.relation.qualified_name}, column {names}, at {lsn}: an update left the value as it "
                "was, and the log does not hold it",
                remedy="set unchanged.toast.handling=reselect (or placeholder, null), or ALTER TABLE … REPLICA "
                "IDENTITY FULL;",
                column=names,
            )
        if self._handling != "reselect":
            return None
        names_absent = {column.name for column in absent}
        try:
            return self._read(
                shape, found, absent, lsn, start, lambda row: names_absent.isdisjoint(row.columns), _PLACEHOLDER
            )
        except ColumnGone:
            if not again:
                raise
            return None

    def hidden(self, message: bytes, start: int, shape: Shape, lsn: Lsn, headers: Headers) -> tuple[bytes, Headers]:
        """Read again the numbers that are null in the record: they may be NaN or Infinity.

        Not a null that we put in ourselves, as its `headers` tell: the plugin has hidden nothing there; but where
        Value takes no null it helps to read it. A row without a key cannot be read again: the nulls stay, and a
        header says so.
        """
        own = {column for name, how in headers if name == _UNCHANGED for column in json.loads(how or b"{}")}
        hiding = {
            plan.name for plan in shape.plan.columns if plan.hides_nan and not (plan.nullable and plan.name in own)
        }
        relation = shape.relation
        columns = [column for column in relation.columns if column.name in hiding]
        found = wal2json.values(message, start)
        suspects = [column.name for column in columns if found.columns.get(column.name) == b"null"]
        if not suspects:
            return message, []
        names = json.dumps(suspects, ensure_ascii=False).encode()
        if not relation.key:
            if relation.qualified_name not in self._unread:
                self._unread.add(relation.qualified_name)
                _log.warning(
                    "a null may hide NaN or Infinity, and without a key no row can be read again",
                    table=relation.qualified_name, at=str(lsn), header=_UNREAD, remedy=_NEWER_PLUGIN,
                )  # fmt: skip
            return message, [(_UNREAD, names)]
        try:
            texts = self._read(
                shape, found, columns, lsn, start,
                lambda row: any(row.columns.get(name) == b"null" for name in hiding), _NEWER_PLUGIN,
            )  # fmt: skip
        except ColumnGone:
            _log.warning("a null may have been NaN: its column is gone", table=relation.qualified_name, at=str(lsn))
            texts = None
        added = {} if texts is None else {name: _json(texts[name]) for name in suspects}
        return self._rebuilt(message, start, shape, found, added), [(_REREAD, names)]

    def _rebuilt(self, message: bytes, start: int, shape: Shape, found: RowValues, added: dict[str, bytes]) -> bytes:
        columns = []
        for plan in shape.plan.columns:
            value = added.get(plan.name, found.columns.get(plan.name))
            # A column that is not sent is walked over, whatever stands there.
            assert value is not None or (plan.value is None and plan.key is None)
            columns.append(plan.head + (value or b"null") + b"}")
        return wal2json.with_columns(message, start, columns)

    def _read(
        self,
        shape: Shape,
        found: RowValues,
        columns: Sequence[Column],
        lsn: Lsn,
        start: int,
        lacks: Callable[[RowValues], bool],
        otherwise: str,
    ) -> Texts | None:
        """The columns' values as they are now, as the output functions print them; None: the row is gone."""
        relation = shape.relation
        if not relation.key:
            raise ConversionError(
                f"table {relation.qualified_name}, column {', '.join(c.name for c in columns)}, at {lsn}: the log "
                "does not hold the value, and without a key the row cannot be read again",
                remedy=f"give it a primary key, or {otherwise}",
                column=", ".join(column.name for column in columns),
            )
        key = _key(relation, found)
        wanted = (relation, tuple(columns))
        read = self._read_before.get(wanted)
        if read is None or not read.uses[key]:
            ahead = self._keys_ahead(shape, start, lacks)[: _KEYS_A_QUERY - 1]
            keys = [key, *(one for one, _ in ahead)]
            self._await_visible({found.xid, *(xid for _, xid in ahead)}, relation)
            read = _Read(self._query(relation, columns, list(dict.fromkeys(keys))), Counter(keys))
            self._read_before[wanted] = read
        # A row that arrives later may be newer than what was read: each use is for a row that was here.
        read.uses[key] -= 1
        return read.rows.get(key)

    def _keys_ahead(self, shape: Shape, start: int, lacks: Callable[[RowValues], bool]) -> list[tuple[Key, int]]:
        """The keys of rows of the same table, arrived already, that lack the same; with their transactions."""
        keys = []
        for message in self._ahead():
            if shape.plan.json_names in message:
                try:
                    row = wal2json.values(message, start)
                except ValueError:
                    continue
                # A NULL in a key column is no key to ask for; that row will be told of in its turn.
                key = [row.columns.get(name, b"null") for name in shape.relation.key]
                if row.columns and lacks(row) and b"null" not in key:
                    keys.append((_key(shape.relation, row), row.xid))
        return keys

    def _await_visible(self, xids: set[int], relation: Relation) -> None:
        """Wait until the transactions are visible: they are in the log, and decoded, a moment before.

        Raises:
            PostgresUnavailable: a commit waits for its synchronous standby for long.
        """
        deadline = self._clock.monotonic() + _VISIBLE_SECONDS
        while True:
            with explained(self._server, f"reading rows of {relation.qualified_name} again"):
                shown = visibility.snapshot(self._connection)
            if not any(visibility.unfinished(xid, shown) for xid in xids):
                return
            if self._clock.monotonic() > deadline:
                raise PostgresUnavailable(
                    f"PostgreSQL {self._server.where}: a transaction is in the log and not visible yet",
                    remedy="does its commit wait for a synchronous standby that is away?",
                )
            time.sleep(_VISIBLE_PAUSE)

    def _query(self, relation: Relation, columns: Sequence[Column], keys: list[Key]) -> dict[Key, Texts]:
        types = {column.name: column.type for column in relation.columns}
        alias = [sql.Identifier(f"key{place}") for place in range(len(relation.key))]
        asked = sql.SQL(", ").join(
            sql.SQL("unnest({}::text[]::{}[])").format(
                sql.Placeholder(), sql.Identifier(types[name].schema, types[name].name)
            )
            for name in relation.key
        )
        query = sql.SQL("SELECT {}, {} FROM ROWS FROM ({}) AS asked ({}) JOIN {} {} AS t ON {}").format(
            sql.SQL(", ").join(sql.Identifier("t", name) for name in relation.key),
            sql.SQL(", ").join(sql.Identifier("t", column.name) for column in columns),
            asked,
            sql.SQL(", ").join(alias),
            sql.SQL("" if relation.logged_as else "ONLY"),
            sql.Identifier(relation.schema, relation.name),
            sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier("t", name), key)
                for name, key in zip(relation.key, alias, strict=True)
            ),
        )
        with explained(self._server, f"reading rows of {relation.qualified_name} again"):
            try:
                parts = [list(part) for part in zip(*keys, strict=True)]
                result = self._select(query, parts)
            except _GONE as error:
                raise ColumnGone from error
        width = len(relation.key)
        found: dict[Key, Texts] = {}
        for row in range(result.ntuples if result is not None else 0):
            assert result is not None
            key = tuple((result.get_value(row, place) or b"").decode() for place in range(width))
            found[key] = {column.name: result.get_value(row, width + n) for n, column in enumerate(columns)}
        return found

    def _select(self, query: sql.Composed, parts: list[list[str]]) -> PGresult | None:
        """Somebody who waits to change the table may wait for our reading of it: we would wait for him, for ever."""
        if self._later.reading is not None:
            try:
                with self._connection.transaction():
                    self._connection.execute(_LOCK_TIMEOUT)
                    return self._connection.execute(query, parts).pgresult
            except errors.LockNotAvailable:
                self._later.close()
        return self._connection.execute(query, parts).pgresult

    def _stand_in(self, shape: Shape, column: Column) -> tuple[bytes, str]:
        """The placeholder, for a type that can hold it; else null."""
        if self._handling == "null":
            return b"null", "null"
        plan = next(plan for plan in shape.plan.columns if plan.name == column.name)
        form = plan.value.form if plan.value else None
        # Of a masked column nothing but null: a mask of the placeholder would look like a value's.
        if form is Form.STRING:
            return json.dumps(self._placeholder).encode(), "placeholder"
        if form is Form.BYTES:
            return json.dumps(self._placeholder.encode().hex()).encode(), "placeholder"
        return b"null", "null"


def _wanted(relation: Relation, columns: Sequence[Column]) -> list[Column]:
    """Those that are sent: what Value leaves out is neither read nor mentioned."""
    read = {column.name for column in relation.read_columns}
    return [column for column in columns if column.name in read]


def _json(text: bytes | None) -> bytes:
    return b"null" if text is None else json.dumps(text.decode(), ensure_ascii=False).encode()


def _key(relation: Relation, row: RowValues) -> Key:
    types = {column.name: column.type for column in relation.columns}
    # A key's own large value may be among the unchanged ones: then the log holds it in the old row.
    return tuple(_text(row.columns.get(name) or row.identity[name], types[name]) for name in relation.key)


def _text(value: bytes, type: PgType) -> str:
    """A key's value as the server prints it."""
    if value in (b"true", b"false"):
        return value[:1].decode()
    text = json.loads(value) if value.startswith(b'"') else value.decode()
    # The plugin prints bytea without the mark of hexadecimal text, a domain over it with.
    return f"\\x{text}" if type.kind == "base" and type.name == "bytea" else str(text)
