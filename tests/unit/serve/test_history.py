"""Samples: bounded, numbered, and honest about what is not known."""

from __future__ import annotations

from producer.observe import Counters
from producer.serve.history import EVERY_SECONDS, History
from tests.connector import StillClock


def test_a_sample_is_taken_when_it_is_time_to_and_the_oldest_go() -> None:
    clock = StillClock()
    history = History(Counters(), clock)
    history.tick()
    history.tick()
    assert len(history.since(0)) == 1
    for _ in range(2000):
        clock.now += EVERY_SECONDS
        history.tick()
    kept = history.since(0)
    assert len(kept) == 900
    assert [sample.number for sample in kept] == list(range(1102, 2002))
    assert history.since(2000) == kept[-1:]


def test_lag_is_the_longest_since_the_sample_before_or_what_waits_for_its_ack() -> None:
    """Nothing is known before there is a stream, and 0 when one has caught up."""
    clock, counters = StillClock(), Counters()
    history = History(counters, clock)

    def next_lag() -> int | None:
        clock.now += EVERY_SECONDS
        history.tick()
        return history.since(0)[-1].lag_ms

    assert next_lag() is None
    counters.condition.enter("streaming", clock.now)
    assert next_lag() == 0
    at_us = clock.time_us()
    counters.lag.sent(1, at_us - 7_000_000, 1)
    counters.lag.acked(1, lambda: at_us)
    assert next_lag() == 7000
    assert next_lag() == 0
    counters.lag.sent(2, clock.time_us(), 2)
    assert next_lag() == 2000
    counters.condition.enter("reconnecting", clock.now)
    assert next_lag() == 4000
    counters.lag.forget()
    assert next_lag() is None
