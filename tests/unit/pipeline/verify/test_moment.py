"""Which events a snapshot shows: by transaction ids, and by LSNs where ids come round."""

from __future__ import annotations

import pytest

from producer.lsn import Lsn
from producer.pipeline.verify.moment import Moment


@pytest.mark.parametrize(
    ("xid", "commit_lsn", "shown"),
    [
        (99, 10, True),
        (101, 10, False),
        (102, 60, True),
        # In the log, and not visible yet, though it committed before we asked where the log ends.
        (105, 10, False),
        (106, 60, False),
        # An id of long ago, which would be one of the future.
        (105 + (1 << 20), 10, True),
        (105 + (1 << 20), 60, False),
        # A row that was read, and the delete of a comparison: by their position.
        (None, 49, True),
        (None, 50, False),
    ],
)
def test_an_event_is_shown_once_its_transaction_is_over(xid: int | None, commit_lsn: int, shown: bool) -> None:
    """Commit LSNs alone would not tell."""
    assert Moment("100:105:101,103", Lsn(50), Lsn(70)).shows(xid, commit_lsn) is shown


def test_ids_of_the_second_epoch() -> None:
    """The log has 32 bits of them."""
    moment = Moment("4294967290:4294967306:4294967301", Lsn(50), Lsn(70))
    assert [moment.shows(xid, 60) for xid in (5, 6, 10, 4294967295)] == [False, True, False, True]
