"""The tracker, case by case; tests/property/test_acks.py compares it with a naive model."""

from producer.acks import Failure, Group, Tracker
from producer.lsn import Lsn


def take(tracker: Tracker, group: Group, *sizes: int) -> None:
    for size in sizes:
        group.pending += 1
        group.size += size


def failure(tracker: Tracker) -> object:
    return tracker.failure


def test_nothing_is_safe_before_the_group_is_closed() -> None:
    tracker = Tracker(Lsn(5))
    group = tracker.open()
    take(tracker, group, 10)
    group.ack(None, None)
    assert tracker.advance() == 5
    tracker.close(group, Lsn(9))
    assert tracker.advance() == 9
    assert tracker.idle


def test_a_later_group_waits_for_an_earlier_one() -> None:
    tracker = Tracker()
    first, second = tracker.open(), None
    take(tracker, first, 1)
    tracker.close(first, Lsn(10))
    second = tracker.open()
    take(tracker, second, 1)
    tracker.close(second, Lsn(20))
    second.ack(None, None)
    assert tracker.advance() == 0
    first.ack(None, None)
    assert tracker.advance() == 20


def test_a_group_without_records_makes_its_lsn_safe() -> None:
    tracker = Tracker()
    tracker.close(tracker.open(), Lsn(7))
    assert tracker.advance() == 7


def test_safe_never_goes_down() -> None:
    tracker = Tracker(Lsn(100))
    tracker.close(tracker.open(), Lsn(7))
    assert tracker.advance() == 100


def test_parts_of_a_transaction_make_nothing_safe_by_themselves() -> None:
    tracker = Tracker()
    part = tracker.open()
    take(tracker, part, 1)
    tracker.close(part)
    part.ack(None, None)
    assert tracker.advance() == 0
    assert tracker.idle


def test_a_failed_group_is_never_resolved_and_the_first_in_commit_order_is_told() -> None:
    tracker = Tracker()
    first, second = tracker.open(), tracker.open()
    first.commit_lsn = Lsn(7)
    for group, lsn in ((first, Lsn(1)), (second, Lsn(2))):
        take(tracker, group, 1)
        tracker.close(group, lsn)
    assert failure(tracker) is None
    second.ack("late", "report 2")
    assert failure(tracker) == Failure("late", "report 2")
    first.ack("early", "report 1")
    assert failure(tracker) == Failure("early", "report 1", Lsn(7))
    assert tracker.advance() == 0
    assert not tracker.idle


def test_a_group_keeps_its_first_failure() -> None:
    group = Group()
    group.pending = 2
    group.ack("first", None)
    group.ack("second", None)
    assert group.failure == Failure("first", None)
    assert group.pending == 0


def test_bytes_are_in_flight_until_the_group_is_resolved() -> None:
    tracker = Tracker()
    group = tracker.open()
    take(tracker, group, 30, 12)
    assert tracker.in_flight_bytes == 42
    tracker.close(group, Lsn(1))
    assert tracker.in_flight_bytes == 42
    group.ack(None, None)
    group.ack(None, None)
    tracker.advance()
    assert tracker.in_flight_bytes == 0


def test_an_open_group_that_is_all_acked_does_not_hold_reading_back() -> None:
    tracker = Tracker()
    group = tracker.open()
    take(tracker, group, 1_000_000)
    group.ack(None, None)
    assert tracker.in_flight_bytes == 0
    assert not tracker.idle


class Counted:
    acks = 0


def test_records_are_counted_when_all_before_them_are_acked() -> None:
    """Those of a group that failed never are."""
    counted = Counted()
    tracker = Tracker(counts=counted)
    first, second, third = tracker.open(), tracker.open(), tracker.open()
    for group, records in ((first, 2), (second, 3), (third, 1)):
        group.add(records, 10 * records)
        tracker.close(group)
    assert tracker.in_flight_bytes == 60
    for _ in range(3):
        second.ack(None, None)
    tracker.advance()
    assert counted.acks == 0
    first.ack(None, None)
    first.ack(None, None)
    tracker.advance()
    assert counted.acks == 5
    third.ack("refused", None)
    tracker.advance()
    assert counted.acks == 5
