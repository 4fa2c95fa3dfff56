"""Reads the topics and counts: lost, out of order, repeated; and compares with the tables, row by row.

* lost: a change that a writer committed behind the slot's consistent point, and that no record shows.
* out of order: a record whose position was never seen before for its key, and that is not greater than
  every position seen before for that key. A repeat (a position of this key seen before) is only counted.
* everything else is a difference, told in words: a transaction rolled back or unknown that is in a topic,
  an event that is not what was written, a redelivery that says something else than before, a row that a
  consumer would hold otherwise than the table does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from producer.sink.reader import Record
from tests.harness import Source
from tests.smoke.confirms import Look
from tests.smoke.load import Change, Transaction
from tests.smoke.tables import KEYS, TABLES, normal, shown

Position = tuple[int, int]
Place = tuple[str, tuple[int, ...]]
Rows = dict[tuple[int, ...], dict[str, object]]
State = dict[str, Rows]
_SHOWN = 5
_SNAPSHOT = 0


@dataclass(slots=True)
class Verdict:
    """What was found; `differences` names table and key."""

    events: int = 0
    lost: int = 0
    out_of_order: int = 0
    repeated: int = 0
    ahead: int = 0
    stale: int = 0
    """Stream events that are older than a snapshot row of their key seen before: told, not judged."""
    looks: int = 0
    transactions: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """True when nothing speaks against the promise."""
        return not (self.lost or self.out_of_order or self.ahead or self.differences)


@dataclass(frozen=True, slots=True)
class _Event:
    """A record that is no tombstone."""

    record: Record
    table: str
    key: tuple[int, ...]
    op: str
    position: Position
    xid: int
    after: dict[str, Any] | None

    @property
    def where(self) -> str:
        record = self.record
        return (
            f"{self.table} {self.key}, {self.op} at {self.position}, xid {self.xid}, "
            f"partition {record.partition} offset {record.offset}"
        )

    @property
    def change(self) -> Change:
        return Change(self.table, self.op, self.key, self.after["version"] if self.after else None)


def judge(
    source: Source, records: Sequence[Record], transactions: Sequence[Transaction], looks: Sequence[Look]
) -> Verdict:
    """Compare the topics with the tables, and with what the writers committed."""
    verdict = Verdict(looks=len(looks))
    events = [_event(record) for record in records if record.value is not None]
    verdict.events = len(events)
    first = _order(verdict, events)
    _stale(verdict, events)
    _account(verdict, first, events, {made.xid: made for made in transactions})
    _confirmed(verdict, first, looks)
    consumers: tuple[tuple[str, Callable[[Sequence[Record]], State]], ...] = (
        ("in order", _in_order),
        ("by position", lambda records: _by_position([_event(r) for r in records if r.value is not None])),
    )
    with source.connect() as connection:
        tables = {table: shown(connection, table) for table in TABLES}
    for name, fold in consumers:
        state = fold(records)
        for table in TABLES:
            _compare(verdict, f"{table}, a consumer {name}", state.get(table, {}), tables[table])
    return verdict


def _event(record: Record) -> _Event:
    value: Any = record.value
    source = value["source"]
    table = record.topic.rpartition(".")[2]
    position = (source["commit_lsn"], source["ordinal"])
    return _Event(record, table, _key(record, table), value["op"], position, source["txId"] or 0, value["after"])


def _key(record: Record, table: str) -> tuple[int, ...]:
    key: Any = record.key
    return tuple(key[name] for name in KEYS[table])


def _order(verdict: Verdict, events: Sequence[_Event]) -> list[_Event]:
    """Count repeats and what is out of order; the events without their repeats."""
    seen: dict[Place, dict[Position, _Event]] = {}
    highest: dict[Place, Position] = {}
    first: list[_Event] = []
    for event in events:
        place = event.table, event.key
        of_key = seen.setdefault(place, {})
        before = of_key.get(event.position)
        if before is not None:
            verdict.repeated += 1
            # A value read again is the current one: it may differ, and the header says so.
            if event.position[1] != _SNAPSHOT and not event.record.headers and not _same(before, event):
                verdict.differences.append(f"delivered again with another content: {event.where}")
            continue
        of_key[event.position] = event
        first.append(event)
        if event.position < highest.get(place, event.position):
            verdict.out_of_order += 1
            verdict.differences.append(f"out of order, behind {highest[place]}: {event.where}")
        highest[place] = max(event.position, highest.get(place, event.position))
    return first


def _same(one: _Event, other: _Event) -> bool:
    a: Any = one.record.value
    b: Any = other.record.value
    return one.op == other.op and all(normal(a[side] or {}) == normal(b[side] or {}) for side in ("before", "after"))


def _stale(verdict: Verdict, events: Sequence[_Event]) -> None:
    rows: dict[Place, int] = {}
    for event in events:
        if event.after is not None and event.position[1] == _SNAPSHOT:
            rows[event.table, event.key] = event.after["version"]
        elif event.after is not None and event.after["version"] < rows.get((event.table, event.key), 0):
            verdict.stale += 1


def _account(verdict: Verdict, first: Sequence[_Event], events: Sequence[_Event], made: dict[int, Transaction]) -> None:
    """Each committed transaction is in the topics event by event, and nothing else is."""
    start = min((event.position[0] for event in events if event.position[1] == _SNAPSHOT), default=0)
    found: dict[int, dict[int, _Event]] = {}
    for event in first:
        if event.position[1] == _SNAPSHOT:
            continue
        of_xid = found.setdefault(event.xid, {})
        if event.position[1] in of_xid:
            verdict.differences.append(f"two events at one place of a transaction: {event.where}")
        of_xid[event.position[1]] = event
        known = made.get(event.xid)
        if known is None or not known.committed:
            verdict.differences.append(f"never committed: {event.where}")
    for xid, transaction in made.items():
        shown = found.get(xid, {})
        if not transaction.committed or (transaction.low < start and not shown):
            continue
        verdict.transactions += 1
        for ordinal, change in enumerate(transaction.changes, 1):
            if ordinal not in shown:
                verdict.lost += 1
                verdict.differences.append(
                    f"lost: {change}, ordinal {ordinal} of {len(transaction.changes)} of xid {xid}, "
                    f"committed in {transaction.low}..{transaction.high}"
                )
            elif shown[ordinal].change != change:
                verdict.differences.append(f"written was {change}, shown is {shown[ordinal].where}")
        verdict.differences += [
            f"more than was written: {e.where}" for n, e in shown.items() if n > len(transaction.changes)
        ]


def _confirmed(verdict: Verdict, first: Sequence[_Event], looks: Sequence[Look]) -> None:
    for event in first:
        record = event.record
        place = record.topic, record.partition
        for look in looks:
            if event.position[1] != _SNAPSHOT and look.ahead(event.position[0], place, record.offset):
                verdict.ahead += 1
                verdict.differences.append(f"confirmed ({look.confirmed}) before Kafka had it: {event.where}")
                break


def _in_order(records: Sequence[Record]) -> State:
    state: State = {}
    for record in records:
        value: Any = record.value
        table = record.topic.rpartition(".")[2]
        rows = state.setdefault(table, {})
        if value is None or value["op"] == "d":
            rows.pop(_key(record, table), None)
        else:
            rows[_key(record, table)] = normal(value["after"])
    return state


def _by_position(events: Sequence[_Event]) -> State:
    newest: dict[Place, _Event] = {}
    for event in events:
        before = newest.get((event.table, event.key))
        if before is None or event.position > before.position:
            newest[event.table, event.key] = event
    state: State = {}
    for (table, key), event in newest.items():
        if event.after is not None:
            state.setdefault(table, {})[key] = normal(event.after)
    return state


def _compare(verdict: Verdict, what: str, topic: Rows, table: Rows) -> None:
    told = [f"{what}: key {key} is missing in the topic" for key in sorted(table.keys() - topic.keys())]
    told += [f"{what}: key {key} is only in the topic" for key in sorted(topic.keys() - table.keys())]
    for key in sorted(table.keys() & topic.keys()):
        different = {n: (table[key][n], topic[key].get(n)) for n in table[key] if table[key][n] != topic[key].get(n)}
        if different:
            told.append(f"{what}: key {key} differs (table, topic): {different!r:.300}")
    verdict.differences += told[:_SHOWN]
    if len(told) > _SHOWN:
        verdict.differences.append(f"{what}: and {len(told) - _SHOWN} more")
