"""The last half hour, in samples: what the status page draws.

Room: serve (pure, but for the clock that it is given). Bounded: 900 samples.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from producer.clock import Clock
from producer.observe import Counters

EVERY_SECONDS = 2.0
_KEPT = 900


class Sample(NamedTuple):
    """A moment."""

    number: int
    """From 1, within this process."""
    time_ms: int
    lag_ms: int | None
    """From commit to ack, the longest since the sample before; None: there is no stream, nobody can tell."""
    retained_bytes: int | None
    events: int
    """Of the stream, in all."""
    rows: int
    """Of snapshots, in all."""


class History:
    """Takes a sample when it is time to; read by several threads, written by one."""

    def __init__(self, counters: Counters, clock: Clock) -> None:
        self._counters = counters
        self._clock = clock
        self._samples: deque[Sample] = deque(maxlen=_KEPT)
        self._taken = 0
        self._due = clock.monotonic()

    def tick(self) -> None:
        """Take a sample, if one is due."""
        now = self._clock.monotonic()
        if now < self._due:
            return
        self._due = max(self._due + EVERY_SECONDS, now)
        self._taken += 1
        counters, now_us = self._counters, self._clock.time_us()
        peak, counters.lag.peak_ms = counters.lag.peak_ms, None
        lag: int | None = max(peak or 0, counters.lag.unacked_ms(now_us))
        if not lag and peak is None and counters.condition.phase != "streaming":
            lag = None
        self._samples.append(
            Sample(
                number=self._taken,
                time_ms=now_us // 1000,
                lag_ms=lag,
                retained_bytes=counters.slot_retained_bytes,
                events=sum(sum(counts.by_op().values()) for counts in dict(counters.events).values()),
                rows=sum(table.sent for table in counters.snapshots.copy().values()),
            )
        )

    def since(self, number: int) -> list[Sample]:
        """The samples behind that one, oldest first."""
        return [sample for sample in list(self._samples) if sample.number > number]
