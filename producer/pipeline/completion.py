"""Rows that the log does not hold whole: unchanged TOAST values, and NaN that was printed as null.

Room: pipeline (IO: PostgreSQL). docs/DESIGN.md, "What the plugin leaves out".
The row is read again by its key and the record completed; the walker then sees a whole row.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import psycopg
from psycopg import sql

from producer import observe
from producer.decode import wal2json
from producer.decode.wal2json import RowValues
from producer.errors import ConversionError
from producer.events import Column, PgType, Relation
from producer.lsn import Lsn
from producer.pipeline.tables import Shape
from producer.source.wire import Connection, Server, explained
from producer.transcode.plan import Form

Headers = list[tuple[str, bytes]]
Texts = dict[str, bytes | None]

_log = observe.logger("producer.completion")


class Completion:
    """Completes records of one stream."""

    def __init__(self, server: Server, connection: Connection, placeholder: str) -> None:
        self._server = server
        self._connection = connection
        self._placeholder = placeholder

    def unchanged(
        self, message: bytes, start: int, shape: Shape, missing: Sequence[Column], lsn: Lsn
    ) -> tuple[bytes, Headers]:
        """Put in the large values that an update left alone: before-image, else the row as it is now."""
        relation = shape.relation
        found = wal2json.values(message, start)
        how: dict[str, str] = {}
        added: dict[str, bytes] = {}
        absent = []
        for column in missing:
            if relation.identity == "full" and column.name in found.identity:
                added[column.name] = found.identity[column.name]
                how[column.name] = "before"
            else:
                absent.append(column)
        texts = self._read(relation, found, absent, lsn) if absent else {}
        for column in absent:
            if texts is not None:
                added[column.name] = _json(texts[column.name])
                how[column.name] = "reselected"
            else:
                added[column.name], how[column.name] = self._stand_in(shape, column)
        header = ("__producer.unchanged", json.dumps(how, ensure_ascii=False).encode())
        return self._rebuilt(message, start, shape, found, added), [header]

    def hidden(self, message: bytes, start: int, shape: Shape, lsn: Lsn) -> tuple[bytes, Headers]:
        """Read again the numbers that are null in the record: they may be NaN or Infinity."""
        relation = shape.relation
        found = wal2json.values(message, start)
        plans = {plan.name: plan for plan in shape.plan.columns}
        suspects = [
            column
            for column in relation.columns
            if plans[column.name].hides_nan and found.columns.get(column.name) == b"null"
        ]
        texts = self._read(relation, found, suspects, lsn)
        header = ("__producer.reread", json.dumps([c.name for c in suspects], ensure_ascii=False).encode())
        added = {} if texts is None else {name: _json(text) for name, text in texts.items()}
        return self._rebuilt(message, start, shape, found, added), [header]

    def _rebuilt(self, message: bytes, start: int, shape: Shape, found: RowValues, added: dict[str, bytes]) -> bytes:
        columns = []
        for plan in shape.plan.columns:
            value = added.get(plan.name, found.columns.get(plan.name))
            assert value is not None
            columns.append(plan.head + value + b"}")
        return wal2json.with_columns(message, start, columns)

    def _read(self, relation: Relation, found: RowValues, columns: Sequence[Column], lsn: Lsn) -> Texts | None:
        """The columns' values now, as the output functions print them; None when the row is gone."""
        if not relation.key:
            raise ConversionError(
                f"table {relation.qualified_name}, column {', '.join(c.name for c in columns)}, at {lsn}: the log "
                "does not hold the value, and without a key the row cannot be read again",
                remedy=f'give it a primary key, or ALTER TABLE "{relation.schema}"."{relation.name}" '
                "REPLICA IDENTITY FULL;",
            )
        types = {column.name: column.type for column in relation.columns}
        query = sql.SQL("SELECT {} FROM ONLY {} WHERE {}").format(
            sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
            sql.Identifier(relation.schema, relation.name),
            sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier(k), sql.Placeholder()) for k in relation.key
            ),
        )
        key = [_text(found.columns[name], types[name]) for name in relation.key]
        with explained(self._server, f"reading a row of {relation.qualified_name} again"):
            try:
                result = self._connection.execute(query, key).pgresult
            except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable):
                _log.warning("a column that the log lacks is gone", table=relation.qualified_name, at=str(lsn))
                return None
        if result is None or result.ntuples == 0:
            return None
        return {column.name: result.get_value(0, place) for place, column in enumerate(columns)}

    def _stand_in(self, shape: Shape, column: Column) -> tuple[bytes, str]:
        """The placeholder, for a type that can hold it; else null."""
        form = next(plan.form for plan in shape.plan.columns if plan.name == column.name)
        if form is Form.STRING:
            return json.dumps(self._placeholder).encode(), "placeholder"
        if form is Form.BYTES:
            return json.dumps(self._placeholder.encode().hex()).encode(), "placeholder"
        return b"null", "null"


def _json(text: bytes | None) -> bytes:
    return b"null" if text is None else json.dumps(text.decode(), ensure_ascii=False).encode()


def _text(value: bytes, type: PgType) -> str:
    """A key's value as the server reads it."""
    decoded = json.loads(value) if value.startswith(b'"') else value.decode()
    # The plugin prints bytea without the mark of hexadecimal text, a domain over it with.
    return f"\\x{decoded}" if type.kind == "base" and type.name == "bytea" else str(decoded)
