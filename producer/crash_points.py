"""Named moments at which a test lets the process die: nothing is cleaned up, nothing more is said.

Room: crash_points (IO: environment, signals). `PG_PRODUCER_CRASH_AT=acked:3` kills at the third reaching of `acked`.
A point is reached once for a group of transactions, a table, an offsets record: never once for an event.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "PG_PRODUCER_CRASH_AT"

_name, _, _count = os.environ.get(VARIABLE, "").partition(":")
_left = int(_count or 1)


def reach(point: str) -> None:
    """Die here, where the environment says so."""
    global _left
    if point != _name:
        return
    _left -= 1
    if not _left:
        os.kill(os.getpid(), signal.SIGKILL)
