"""Reads the topics and counts: lost, out of order, repeated; and compares with the tables, row by row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from producer.sink.reader import Record
from tests.harness import Source, folded

Position = tuple[int, int]
COLUMNS = {
    "orders": "id, version, price, note, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS at",
    "lines": "order_id, line, version, tags",
    "notes": "id, version, body::text AS body, weight",
}

NAMES = {
    "orders": ("id", "version", "price", "note", "at"),
    "lines": ("order_id", "line", "version", "tags"),
    "notes": ("id", "version", "body", "weight"),
}


@dataclass(slots=True)
class Verdict:
    """What was found; `differences` names table and key."""

    events: int = 0
    lost: int = 0
    out_of_order: int = 0
    repeated: int = 0
    differences: list[str] = field(default_factory=list)


def judge(source: Source, prefix: str, records: Sequence[Record], committed: Iterable[int]) -> Verdict:
    """Compare the topics with the tables and with what the writer committed."""
    verdict = Verdict()
    seen: dict[tuple[str, str], set[Position]] = {}
    for record in records:
        event: Any = record.value
        if event is None:
            continue
        verdict.events += 1
        position = (event["source"]["commit_lsn"], event["source"]["ordinal"])
        of_key = seen.setdefault((record.topic, _key(record)), set())
        if position in of_key:
            verdict.repeated += 1
        elif of_key and position < max(of_key):
            # Never seen before, and older than what this key has shown already.
            verdict.out_of_order += 1
        of_key.add(position)
    lost = set(committed) - _versions(records)
    verdict.lost = len(lost)
    verdict.differences += [f"version {version} was committed and is in no topic" for version in sorted(lost)[:10]]
    for name, state in (("in order", folded(list(records))), ("by position", folded(_newest(records)))):
        for table, columns in COLUMNS.items():
            _compare(verdict, f"{table} {name}", state.get(f"{prefix}.public.{table}", {}), source, columns, table)
    return verdict


def confirmed_ahead(records: Iterable[Record], committed: Mapping[int, int], confirmed: int) -> int:
    """How many versions were committed below the slot's confirmed LSN, and are in no topic."""
    sent = _versions(records)
    return sum(1 for version, behind in committed.items() if behind <= confirmed and version not in sent)


def _versions(records: Iterable[Record]) -> set[int]:
    events: list[Any] = [record.value for record in records]
    return {event["after"]["version"] for event in events if event is not None and event["after"] is not None}


def _newest(records: Sequence[Record]) -> list[Record]:
    """For a consumer that keeps, for each key, the record with the highest position."""
    newest: dict[tuple[str, str], tuple[Position, Record]] = {}
    for record in records:
        event: Any = record.value
        if event is None:
            continue
        position = (event["source"]["commit_lsn"], event["source"]["ordinal"])
        key = (record.topic, _key(record))
        if key not in newest or position >= newest[key][0]:
            newest[key] = (position, record)
    return [record for _, record in newest.values()]


def _key(record: Record) -> str:
    return json.dumps(record.key, sort_keys=True)


def _compare(verdict: Verdict, what: str, state: dict[str, Any], source: Source, columns: str, table: str) -> None:
    names = NAMES[table]
    rows = {tuple(map(str, row)) for row in source.rows(f"SELECT {columns} FROM {table}")}
    topic = {tuple(str(row[name]) for name in names) for row in state.values()}
    for row in sorted(rows - topic)[:5]:
        verdict.differences.append(f"{what}: missing in the topic: key {row[0]}")
    for row in sorted(topic - rows)[:5]:
        verdict.differences.append(f"{what}: only in the topic: key {row[0]}")
