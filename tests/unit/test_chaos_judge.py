"""The judge of `make smoke` and `make chaos`: it sees what it is there to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from producer.sink.reader import Record
from tests.chaos.confirms import Look
from tests.chaos.judge import Round, State, Verdict, judge
from tests.chaos.load import Change, Transaction

TOPIC = "p.public.orders"
PLACE = (TOPIC, 0)
Told = tuple[str, int, int | None, int, int]


def _records(told: Sequence[Told]) -> list[Record]:
    """(op, key, version, commit LSN, ordinal) each; a delete with its tombstone."""
    found: list[Record] = []

    def add(key: int, value: object) -> None:
        found.append(Record(topic=TOPIC, partition=0, offset=len(found), timestamp_ms=0, key={"id": key}, value=value))

    for op, key, version, lsn, ordinal in told:
        after = None if version is None else {"id": key, "version": version}
        source = {"commit_lsn": lsn, "ordinal": ordinal, "txId": lsn}
        add(key, {"op": op, "before": None, "after": after, "source": source})
        if op == "d":
            add(key, None)
    return found


def _made(lsn: int, *changes: Change) -> Transaction:
    return Transaction(lsn, lsn, "", lsn, committed=True, changes=list(changes))


ROW: Told = ("r", 1, 0, 5, 0)
FIRST: Told = ("u", 1, 1, 10, 1)
SECOND: Told = ("u", 1, 2, 20, 1)
THIRD: Told = ("u", 1, 3, 30, 1)
MADE = [_made(lsn, Change("orders", "u", (1,), version)) for lsn, version in ((10, 1), (20, 2), (30, 3))]


def _judged(*told: Told, looks: Sequence[Look] = (), last: int = 3, **more: bool) -> Verdict:
    tables: State = {"orders": {(1,): {"id": 1, "version": last}}, "lines": {}, "notes": {}}
    rounds = [Round("one", {PLACE: 3}, 15), Round("two", {PLACE: 99}, 99)]
    return judge(tables, _records(told), MADE, looks, rounds, **more)


def test_a_sound_topic_is_good() -> None:
    """With a re-delivery in order, which is only counted, where it came."""
    verdict = _judged(ROW, FIRST, SECOND, FIRST, SECOND, THIRD)
    assert verdict.good, verdict.differences
    assert verdict.total("repeated") == 2
    assert [verdict.counts[name].repeated for name in ("one", "two")] == [0, 2]
    assert [verdict.counts[name].events for name in ("one", "two")] == [3, 3]


@pytest.mark.parametrize(
    ("told", "what", "where"),
    [
        ((ROW, SECOND, THIRD), "lost", "one"),
        ((ROW, FIRST, THIRD), "lost", "two"),
        ((ROW, FIRST, THIRD, SECOND, THIRD), "out_of_order", "two"),
        # Delivered again without the one between.
        ((ROW, FIRST, SECOND, THIRD, FIRST, THIRD), "out_of_order", "two"),
    ],
)
def test_what_is_lost_or_out_of_order_is_counted(told: tuple[Told, ...], what: str, where: str) -> None:
    """Where it happened."""
    verdict = _judged(*told)
    assert not verdict.good
    assert verdict.total(what) == getattr(verdict.counts[where], what) == 1


def test_exactly_once_takes_no_repeat() -> None:
    """Neither of an event nor of a row."""
    assert _judged(ROW, FIRST, SECOND, THIRD, once=True).good
    assert not _judged(ROW, FIRST, FIRST, SECOND, THIRD, once=True).good
    assert not _judged(ROW, ("r", 1, 0, 6, 0), FIRST, SECOND, THIRD, once=True).good


def test_what_was_confirmed_came_before_and_does_not_come_again() -> None:
    """By the looks at the slot and at the topics' ends."""
    told = (ROW, FIRST, SECOND, THIRD)
    assert _judged(*told, looks=[Look(21, {PLACE: 3}, killed=False)]).good
    early = _judged(*told, looks=[Look(21, {PLACE: 2}, killed=False)])
    assert (early.ahead, early.good) == (1, False)
    again = _judged(ROW, FIRST, SECOND, FIRST, SECOND, THIRD, looks=[Look(11, {PLACE: 3}, killed=True)])
    assert (again.ahead, again.good) == (1, False)


def test_what_was_not_committed_or_is_told_otherwise_is_seen() -> None:
    """A rolled back transaction, another content, a row that differs from its table."""
    assert not _judged(ROW, FIRST, SECOND, THIRD, ("u", 1, 3, 40, 1)).good
    assert not _judged(ROW, FIRST, SECOND, ("u", 1, 9, 30, 1), last=9).good
    assert not _judged(ROW, FIRST, SECOND, THIRD, last=4).good
    assert not _judged(ROW, FIRST, SECOND, ("u", 1, 7, 20, 1), THIRD).good


def test_a_delete_that_comes_again_may_know_a_new_column() -> None:
    """The log names its key alone: the column is null. One that is not, or another operation's, is another content."""
    for op, extra, same in (("d", None, True), ("d", 7, False), ("u", None, False)):
        records = _records([ROW, FIRST, SECOND, ("u", 1, 3, 30, 1), ("u", 1, 3, 30, 1)])
        for record, more in zip(records[-2:], ({}, {"extra": extra}), strict=True):
            value: Any = record.value
            value["op"], value["before"] = op, {"id": 1, **more}
        tables: State = {"orders": {} if op == "d" else {(1,): {"id": 1, "version": 3}}, "lines": {}, "notes": {}}
        made = [*MADE[:2], _made(30, Change("orders", op, (1,), 3))]
        verdict = judge(tables, records, made, [], [Round("one", {PLACE: 99}, 99)])
        assert any("another content" in one for one in verdict.differences) != same, (op, extra)
