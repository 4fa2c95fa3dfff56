"""What of a reading's rows the topic knows better."""

from __future__ import annotations

from typing import cast

import pytest

from producer.lsn import Lsn
from producer.pipeline.snapshot.later import Reading, near_enough
from producer.pipeline.snapshot.unread import Unread
from producer.source import visibility
from producer.source.catalog import Table
from producer.source.snapshot import TableReader

FRAME = b"\x00\x00\x00\x00\x01"
OTHER_FRAME = b"\x00\x00\x00\x00\x02"


def reading(*, keyed: bool = True, snapshot: str = "100:105:101,103") -> Reading:
    return Reading(Unread(cast(Table, None)), "t", keyed, cast(TableReader, None), snapshot, Lsn(7))


def test_rows_that_a_transaction_of_later_touched_are_left_out() -> None:
    """By the key's own bytes, whatever the schema's id in front of them."""
    made = reading()
    made.note(101, (FRAME + b"a", None), insert=False)
    made.note(105, (FRAME + b"b", FRAME + b"c"), insert=False)
    made.note(102, (FRAME + b"d", None), insert=False)
    left_out = [key for key in b"abcd" if made.leaves_out(OTHER_FRAME + bytes([key]))]
    assert bytes(left_out) == b"abc"
    assert not made.leaves_out(None)
    assert not made.disturbed


def test_without_keys_a_change_disturbs_the_reading() -> None:
    """An insert is of no row that was read; what the snapshot shows is no change."""
    made = reading(keyed=False)
    made.note(101, (None, None), insert=True)
    made.note(104, (None, None), insert=False)
    assert not made.disturbed
    made.note(101, (None, None), insert=False)
    assert made.disturbed


@pytest.mark.parametrize(
    ("xid", "snapshot", "expected"),
    [
        (99, "100:105:101,103", False),
        (101, "100:105:101,103", True),
        (102, "100:105:101,103", False),
        (105, "100:105:", True),
        (104, "100:105:", False),
        # The second epoch has begun: ids of 32 bits start again.
        (5, "4294967290:4294967306:4294967301", True),
        (6, "4294967290:4294967306:4294967301", False),
        (11, "4294967290:4294967306:", True),
        (4294967295, "4294967290:4294967306:", False),
        # It is about to begin: the last that ended is of this one, and what was decoded since of the next.
        (3, "4294967290:4294967294:", True),
        (3, "8589934580:8589934590:8589934585", True),
        (4294967280, "8589934580:8589934590:", False),
    ],
)
def test_a_32_bit_id_is_widened_against_the_snapshot(xid: int, snapshot: str, expected: bool) -> None:
    assert visibility.unfinished(xid, snapshot) is expected


def test_who_runs_in_a_snapshot() -> None:
    assert visibility.running("100:105:101,103") == {101, 103}
    assert visibility.running("4294967290:4294967306:4294967301") == {5}
    assert visibility.running("100:100:") == set()


def test_a_stream_that_is_always_behind_keeps_no_table_waiting_for_ever() -> None:
    """Contract 4: at once when it is not; after as long again as it is behind otherwise."""
    assert near_enough(0.9, waited=0)
    assert not near_enough(3, waited=5)
    assert near_enough(3, waited=6)
