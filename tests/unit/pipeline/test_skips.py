"""Positions named by an operator: read, met as often as they come, told where they never came."""

from __future__ import annotations

import pytest

from producer.errors import DecodeError, SettingsError
from producer.events import Position
from producer.lsn import Lsn
from producer.observe import Counters
from producer.pipeline.skips import Skips, parse


def test_a_position_is_read_as_errors_write_it() -> None:
    assert parse("16/B374D848:3") == Position(Lsn.parse("16/B374D848"), 3)


@pytest.mark.parametrize(
    "wrong", ["", ":", "1:1", "0/1", "0/1:", "0/1:-1", "0/1:1.0", "0/1:²", "0/1:99999999999999999999"]
)
def test_anything_else_is_wrong_usage(wrong: str) -> None:
    with pytest.raises(SettingsError):
        parse(wrong)


def test_an_event_is_left_out_as_often_as_it_comes() -> None:
    """After a broken connection it comes again; it is counted each time."""
    counters = Counters()
    skips = Skips([Position(Lsn(5), 2)], counters)
    met = [skips.leaves_out(Position(Lsn(5), ordinal), "t") for ordinal in (1, 2, 3, 2)]
    assert met == [False, True, False, True]
    assert counters.skipped == 2
    assert skips.last == 5


def test_a_message_that_cannot_be_read() -> None:
    """Its error names the position, unless that was named."""
    skips = Skips([Position(Lsn(5), 2)], Counters())
    skips.demand(Position(Lsn(5), 2), DecodeError("broken", remedy="r"))
    with pytest.raises(DecodeError) as caught:
        skips.demand(Position(Lsn(5), 3), DecodeError("broken", remedy="r"))
    assert "(position 0/5:3)" in caught.value.message
    assert "--skip-position 0/5:3" in caught.value.remedy
