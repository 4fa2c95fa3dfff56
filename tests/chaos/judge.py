"""Reads the topics and counts: lost, out of order, repeated; and compares with the tables, row by row.

* lost: a change that a writer committed behind the slot's consistent point, and that no record shows.
* out of order: a record whose position was never seen before for its key, and that is not greater than
  every position seen before for that key; and a stream event behind which one of its key is left out: what is
  delivered again begins somewhere, and goes on without a gap.
* repeated: a position of this key seen before, or another snapshot row of it. Only counted, unless `once`; but what a
  look has seen confirmed must not come again behind it.
* everything else is a difference, told in words: a transaction rolled back or unknown that is in a topic,
  an event that is not what was written, a redelivery that says something else than before, a row that a
  consumer would hold otherwise than the table does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from producer.sink import consume
from producer.sink.reader import Record
from tests.chaos.confirms import Look
from tests.chaos.load import Change, Transaction
from tests.chaos.tables import KEYS, TABLES, normal, shown
from tests.harness import Source

Position = tuple[int, int]
Place = tuple[str, tuple[int, ...]]
Rows = dict[tuple[int, ...], dict[str, object]]
State = dict[str, Rows]
_SHOWN = 5
_SNAPSHOT = 0


class Round(NamedTuple):
    """A stretch of the run that is told of by its name: to these ends of the topics, and to this LSN."""

    name: str
    ends: dict[consume.Place, int]
    lsn: int


@dataclass(slots=True)
class Counts:
    """Of one name's rounds."""

    events: int = 0
    lost: int = 0
    out_of_order: int = 0
    repeated: int = 0


@dataclass(slots=True)
class Verdict:
    """What was found; `differences` names table and key."""

    counts: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    """By the round's name."""
    ahead: int = 0
    stale: int = 0
    """Stream events that are older than a snapshot row of their key seen before: told, not judged."""
    looks: int = 0
    transactions: int = 0
    differences: list[str] = field(default_factory=list)

    def total(self, name: str) -> int:
        """One of the counts, of all rounds."""
        return sum(getattr(counts, name) for counts in self.counts.values())

    @property
    def good(self) -> bool:
        """True when nothing speaks against the promise."""
        return not (self.total("lost") or self.total("out_of_order") or self.ahead or self.differences)


class _Rounds:
    """Whose round it was."""

    def __init__(self, verdict: Verdict, rounds: Sequence[Round]) -> None:
        self._verdict = verdict
        self._rounds = rounds
        self._last = rounds[-1].name if rounds else ""

    def of(self, record: Record) -> Counts:
        """The counts of the round in which a record came."""
        place = record.topic, record.partition
        found = (each.name for each in self._rounds if record.offset < each.ends.get(place, 0))
        return self._verdict.counts[next(found, self._last)]

    def at(self, lsn: int) -> Counts:
        """The counts of the round in which something was committed."""
        return self._verdict.counts[next((each.name for each in self._rounds if lsn < each.lsn), self._last)]


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
    def snapshot(self) -> bool:
        """Whether it is a row of a reading."""
        return self.position[1] == _SNAPSHOT

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
    tables: State,
    records: Sequence[Record],
    transactions: Sequence[Transaction],
    looks: Sequence[Look],
    rounds: Sequence[Round] = (),
    *,
    once: bool = False,
) -> Verdict:
    """Compare the topics with the tables, and with what the writers committed; `once`: nothing may be repeated."""
    verdict = Verdict(looks=len(looks))
    whose = _Rounds(verdict, rounds)
    events = [_event(record) for record in records if record.value is not None]
    for event in events:
        whose.of(event.record).events += 1
    first = _order(verdict, events, whose, once=once)
    _stale(verdict, events)
    # An id of before a crash of the server may be given again: the transaction that was committed has it.
    made = sorted(transactions, key=lambda transaction: transaction.committed)
    _account(verdict, first, events, {transaction.xid: transaction for transaction in made}, whose)
    _confirmed(verdict, events, looks)
    consumers: tuple[tuple[str, Callable[[Sequence[Record]], State]], ...] = (
        ("in order", _in_order),
        ("by position", lambda records: _by_position([_event(r) for r in records if r.value is not None])),
    )
    for name, fold in consumers:
        state = fold(records)
        for table in TABLES:
            _compare(verdict, f"{table}, a consumer {name}", state.get(table, {}), tables[table])
    return verdict


def state_of(source: Source) -> State:
    """The tables, as their topics should show them."""
    with source.connect() as connection:
        return {table: shown(connection, table) for table in TABLES}


def _event(record: Record) -> _Event:
    value: Any = record.value
    source = value["source"]
    table = record.topic.rpartition(".")[2]
    position = (source["commit_lsn"], source["ordinal"])
    return _Event(record, table, _key(record, table), value["op"], position, source["txId"] or 0, value["after"])


def _key(record: Record, table: str) -> tuple[int, ...]:
    key: Any = record.key
    return tuple(key[name] for name in KEYS[table])


def _order(verdict: Verdict, events: Sequence[_Event], whose: _Rounds, *, once: bool) -> list[_Event]:
    """Count repeats and what is out of order; the events without their repeats."""
    seen: dict[Place, dict[Position, _Event]] = defaultdict(dict)
    highest: dict[Place, Position] = {}
    order = _Order()
    copied: set[Place] = set()
    first: list[_Event] = []
    for event in events:
        place = event.table, event.key
        counts = whose.of(event.record)
        before = seen[place].get(event.position)
        repeated = before is not None
        if event.snapshot:
            repeated |= place in copied
            copied.add(place)
        elif not order.follows(place, event.position):
            counts.out_of_order += 1
            verdict.differences.append(f"an event of its key before it was left out: {event.where}")
        if repeated:
            counts.repeated += 1
            if once:
                verdict.differences.append(f"repeated: {event.where}")
        if before is not None:
            # A value read again is the current one: it may differ, and the header says so.
            if not event.snapshot and not event.record.headers and not _same(before, event):
                verdict.differences.append(f"delivered again with another content: {event.where}")
            continue
        seen[place][event.position] = event
        first.append(event)
        if event.position < highest.get(place, event.position):
            counts.out_of_order += 1
            verdict.differences.append(f"out of order, behind {highest[place]}: {event.where}")
        highest[place] = max(event.position, highest.get(place, event.position))
    return first


class _Order:
    """The stream's events of each key: what comes again begins anywhere, and goes on without a gap."""

    def __init__(self) -> None:
        self._number: dict[Place, dict[Position, int]] = defaultdict(dict)
        self._last: dict[Place, int] = {}

    def follows(self, place: Place, position: Position) -> bool:
        """Take the next event of a key; False when one was left out before it."""
        numbers = self._number[place]
        number = numbers.setdefault(position, len(numbers))
        last = self._last.get(place, -1)
        self._last[place] = number
        return number <= last + 1


def _same(one: _Event, other: _Event) -> bool:
    a: Any = one.record.value
    b: Any = other.record.value
    pairs = [(normal(a[side] or {}), normal(b[side] or {})) for side in ("before", "after")]
    if one.op == other.op == "d":
        # The log names its key alone: behind a schema change it comes again with the columns of then, which are null.
        pairs = [({**dict.fromkeys(y), **x}, {**dict.fromkeys(x), **y}) for x, y in pairs]
    return one.op == other.op and all(x == y for x, y in pairs)


def _stale(verdict: Verdict, events: Sequence[_Event]) -> None:
    rows: dict[Place, int] = {}
    for event in events:
        if event.after is not None and event.snapshot:
            rows[event.table, event.key] = event.after["version"]
        elif event.after is not None and event.after["version"] < rows.get((event.table, event.key), 0):
            verdict.stale += 1


def _account(
    verdict: Verdict,
    first: Sequence[_Event],
    events: Sequence[_Event],
    made: dict[int, Transaction],
    whose: _Rounds,
) -> None:
    """Each committed transaction is in the topics event by event, and nothing else is."""
    start = min((event.position[0] for event in events if event.snapshot), default=0)
    found: dict[int, dict[int, _Event]] = {}
    for event in first:
        if event.snapshot:
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
                whose.at(transaction.low).lost += 1
                verdict.differences.append(
                    f"lost: {change}, ordinal {ordinal} of {len(transaction.changes)} of xid {xid}, "
                    f"committed in {transaction.low}..{transaction.high}"
                )
            elif shown[ordinal].change != change:
                verdict.differences.append(f"written was {change}, shown is {shown[ordinal].where}")
        verdict.differences += [
            f"more than was written: {e.where}" for n, e in shown.items() if n > len(transaction.changes)
        ]


def _confirmed(verdict: Verdict, events: Sequence[_Event], looks: Sequence[Look]) -> None:
    """What was confirmed came before the look that saw it confirmed, and never again behind it."""
    # A server that was killed may go back in what it has confirmed; what was confirmed once counts.
    confirmed = list(accumulate((look.confirmed for look in looks), max))
    seen: set[tuple[Place, Position]] = set()
    for event in events:
        if event.snapshot:
            continue
        record, event_id = event.record, ((event.table, event.key), event.position)
        at = bisect_right(confirmed, event.position[0])
        # Ends only grow: the earliest look that is beyond the event is the strictest.
        if at < len(looks) and record.offset >= looks[at].ends.get((record.topic, record.partition), 0):
            how = "came again, and was confirmed" if event_id in seen else "confirmed before Kafka had it"
            verdict.ahead += 1
            verdict.differences.append(f"{how} ({confirmed[at]}): {event.where}")
        seen.add(event_id)


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
