"""A table's history: statements, and what PostgreSQL says of each row at its own moment."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import psycopg

from producer.sink.reader import Record
from tests.harness import Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY = """
SELECT array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY k (attnum, place)
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.place)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
 WHERE i.indrelid = %s::regclass AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
"""


@dataclass(frozen=True)
class Case:
    """`statements` are made while the producer runs, or is stopped, or in one transaction."""

    name: str
    setup: tuple[str, ...]
    statements: tuple[str, ...]
    incompatible: tuple[str, ...] = ()
    """Subjects (`public.t-value`) whose compatibility is set to NONE: BACKWARD refuses the change."""


@dataclass
class Expected:
    """An event that a statement leads to."""

    table: str
    op: str | None
    key: dict[str, Any] | None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


@dataclass
class History:
    """What happened, in order."""

    events: list[Expected] = field(default_factory=list)

    def run(self, session: psycopg.Connection[Row], statements: Iterable[str]) -> None:
        """Run statements; each INSERT, UPDATE or DELETE concerns one row, and keeps its key."""
        for statement in statements:
            action, *rest = statement.split()
            if action in ("INSERT", "UPDATE", "DELETE"):
                self._change(session, statement, action, rest[0] if action == "UPDATE" else rest[1])
            else:
                session.execute(statement.encode())

    def _change(self, session: psycopg.Connection[Row], statement: str, action: str, table: str) -> None:
        found = session.execute(_KEY.encode(), (table,)).fetchone()
        names: list[str] = found[0] if found else []
        old = None
        if action != "INSERT":
            where = statement.partition(" WHERE ")[2]
            old = _row(session, f"SELECT row_to_json({table})::text FROM {table} WHERE {where}")
        new = _row(session, f"{statement} RETURNING row_to_json({table})::text")
        identity = session.execute(b"SELECT relreplident::text FROM pg_class WHERE oid = %s::regclass", (table,))
        row = identity.fetchone()
        assert row is not None
        if action == "DELETE":
            assert old is not None
            before = old if row[0] == "f" else _key(names, old)
            self.events.append(Expected(table, "d", _key(names, old), before))
            if names:
                self.events.append(Expected(table, None, _key(names, old)))
        else:
            full = old if action == "UPDATE" and row[0] == "f" else None
            self.events.append(Expected(table, "u" if action == "UPDATE" else "c", _key(names, new), full, new))

    def check(self, records: Sequence[Record], prefix: str) -> None:
        """Every event came, in order within its topic, as the row was; snapshot rows are passed over."""
        for table in dict.fromkeys(event.table for event in self.events):
            topic = f"{prefix}.{table if '.' in table else 'public.' + table}"
            came = [r for r in records if r.topic == topic and not _is_read(r)]
            wanted = [event for event in self.events if event.table == table]
            shown, told = [_shown(record) for record in came], [_told(event) for event in wanted]
            lines = [f"  {a}\n  {b}" for a, b in zip_longest(told, shown) if a != b]
            assert told == shown, f"{table}: wanted, came:\n" + "\n".join(lines)


def count(records: Iterable[Record]) -> int:
    """How many are no snapshot rows."""
    return sum(not _is_read(record) for record in records)


def allow_any(registry_url: str, subject: str, level: str = "NONE") -> None:
    """Set a subject's compatibility."""
    request = urllib.request.Request(
        f"{registry_url}/config/{subject}",
        data=json.dumps({"compatibility": level}).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def _row(session: psycopg.Connection[Row], query: str) -> dict[str, Any]:
    rows = session.execute(query.encode()).fetchall()
    assert len(rows) == 1, query
    row: dict[str, Any] = json.loads(rows[0][0], parse_float=Decimal)
    return row


def _key(names: Sequence[str], row: dict[str, Any]) -> dict[str, Any] | None:
    return {name: row[name] for name in names} or None


def _is_read(record: Record) -> bool:
    value: Any = record.value
    return value is not None and value["op"] == "r"


def _shown(record: Record) -> tuple[Any, ...]:
    value: Any = record.value or {}
    return (value.get("op"), _items(record.key), _old(value.get("before")), _items(value.get("after")))


def _told(event: Expected) -> tuple[Any, ...]:
    return (event.op, _items(event.key), _old(event.before), _items(event.after))


def _old(row: Any) -> Any:
    """A before-image: where the log holds the key alone, it does not tell which other columns there were."""
    items = _items(row)
    return None if items is None else {name: value for name, value in items if value is not None}


def _items(row: Any) -> list[tuple[str, Any]] | None:
    """Names and values in the schema's order."""
    return None if row is None else [(name, _plain(value)) for name, value in row.items()]


@dataclass(frozen=True)
class _Moment:
    """A timestamp: milliseconds or microseconds, as its column's type says."""

    at: datetime

    def __eq__(self, other: object) -> bool:
        micros = (self.at - _EPOCH) // timedelta(microseconds=1)
        return other in (micros, Decimal(micros) / 1000)

    __hash__ = None  # type: ignore[assignment]


def _plain(value: Any) -> Any:
    """A value as both sides can show it."""
    match value:
        case {"scale": scale, "value": bytes() as digits}:
            return Decimal(int.from_bytes(digits, "big", signed=True)).scaleb(-scale)
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case int() if not isinstance(value, bool):
            return Decimal(value)
        case str() if value[4:5] == "-" and value[10:11] == "T":
            return _Moment(datetime.fromisoformat(value).replace(tzinfo=UTC))
        case _:
            return value
