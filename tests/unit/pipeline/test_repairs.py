"""What a repair sends again: keys that differ, and no others."""

from __future__ import annotations

from producer.pipeline import repairs
from producer.pipeline.repairs import Repairs

TABLE = ("s", "t")
FRAME = b"\x00\x00\x00\x00\x01"


def test_only_keys_that_differ_go_out() -> None:
    """By the key's own bytes; what a younger event has touched stays out, too."""
    made = Repairs()
    made.note(TABLE, iter([b"a", b"b"]))
    made.note(("s", "equal"), [])
    assert (TABLE in made, ("s", "equal") in made, made.total) == (True, False, {TABLE: 2})
    alone, touched = made.leaves_out(TABLE, None), made.leaves_out(TABLE, lambda key: key == FRAME + b"b")
    assert alone is not None
    assert touched is not None
    assert [alone(FRAME + b"a"), alone(FRAME + b"c"), alone(None)] == [False, True, True]
    assert [touched(FRAME + b"a"), touched(FRAME + b"b")] == [False, True]
    assert made.leaves_out(("s", "other"), None) is None
    made.done(TABLE)
    assert TABLE not in made


def test_a_table_with_very_many_is_compared_whole() -> None:
    """Nothing is left out then but what is younger."""
    made = Repairs()
    made.note(TABLE, (number.to_bytes(4, "big") for number in range(repairs.MOST + 1)))
    assert TABLE in made
    assert made.leaves_out(TABLE, None) is None
