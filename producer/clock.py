"""The clock, so that tests can hold it.

Room: clock (IO: time).
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for what we say, monotonic time for what we wait."""

    def time_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds, never going back."""
        ...


class SystemClock:
    """The machine's clock."""

    def time_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds, never going back."""
        return time.monotonic()
