"""What the loop notes for others: lag from commit to ack, errors, the phase."""

from __future__ import annotations

from producer.figures import BUCKETS_MS, Condition, Errors, Lag
from producer.observe import Counters
from tests.connector import StillClock

SECOND = 1_000_000


def test_lag_is_observed_when_all_up_to_the_transaction_is_acked() -> None:
    """Once for each transaction with events; groups without any are not observed."""
    lag = Lag()
    lag.sent(10, 5 * SECOND, 3)
    lag.sent(20, 6 * SECOND, 3)
    lag.sent(30, 7 * SECOND, 5)
    lag.acked(9, lambda: 9 * SECOND)
    assert sum(lag.histogram.counts) == 0
    assert lag.unacked_ms(9 * SECOND) == 4000
    lag.acked(29, lambda: 9 * SECOND)
    assert (sum(lag.histogram.counts), lag.histogram.sum, lag.peak_ms) == (3, 12_000, 4000)
    assert lag.unacked_ms(9 * SECOND) == 2000
    lag.acked(30, lambda: 9 * SECOND)
    assert (sum(lag.histogram.counts), lag.histogram.sum, lag.peak_ms) == (5, 16_000, 4000)
    assert lag.unacked_ms(9 * SECOND) == 0


def test_the_clock_is_not_asked_when_nothing_is_due() -> None:
    """It is called for every turn of the loop."""

    def never() -> int:
        raise AssertionError

    lag = Lag()
    lag.acked(10, never)
    lag.sent(20, 0, 1)
    lag.acked(10, never)


def test_a_session_that_failed_owes_nothing() -> None:
    lag = Lag()
    lag.sent(10, SECOND, 4)
    lag.forget()
    assert lag.unacked_ms(9 * SECOND) == 0
    lag.sent(10, SECOND, 1)
    lag.acked(10, lambda: SECOND)
    assert sum(lag.histogram.counts) == 1


def test_clocks_that_differ_give_no_negative_lag_and_every_size_has_a_bucket() -> None:
    lag = Lag()
    lag.sent(1, 9 * SECOND, 1)
    lag.acked(1, lambda: 8 * SECOND)
    lag.sent(2, 0, 2)
    lag.acked(2, lambda: (BUCKETS_MS[-1] + 1) * 1000)
    assert lag.histogram.counts[0] == lag.histogram.counts[-1] == 1
    assert list(BUCKETS_MS) == sorted(set(BUCKETS_MS))


def test_an_error_that_comes_again_is_counted_not_repeated_and_old_ones_go() -> None:
    clock = StillClock()
    errors = Errors(clock)
    errors.fault("KafkaUnavailable", "away", "wait")
    clock.now += 5
    errors.fault("KafkaUnavailable", "away", "wait")
    assert errors.faults == {"KafkaUnavailable": 2}
    (told,) = errors.told
    assert (told.times, told.time_us) == (2, clock.time_us())
    for number in range(100):
        errors.tell("ConversionError", f"table {number}", "")
    assert len(errors.told) < 20
    assert errors.told[-1].message == "table 99"
    assert errors.faults == {"KafkaUnavailable": 2}


def test_an_error_that_comes_again_is_the_last_that_was_told() -> None:
    """And stays, whatever was told once in between."""
    errors = Errors(StillClock())
    for number in range(100):
        errors.fault("KafkaUnavailable", "away", "wait")
        assert errors.told[-1].message == "away"
        errors.tell("ConversionError", f"table {number}", "")
    assert [told.times for told in errors.told if told.message == "away"] == [100]


def test_copying_or_streaming_ends_a_fault_and_looking_again_does_not() -> None:
    condition = Condition()
    condition.enter("reconnecting", 10)
    condition.enter("reconnecting", 12)
    assert (condition.failing_since, condition.since) == (10, 10)
    condition.enter("streaming", 20)
    assert (condition.failing_since, condition.since) == (None, 20)
    condition.enter("standby", 30)
    assert condition.failing_since is None


def test_kafka_owes_acks_since_it_gave_the_last_one() -> None:
    condition = Condition()
    condition.awaits_acks(1, acked=False, waiting=True)
    condition.awaits_acks(5, acked=False, waiting=True)
    assert condition.unacked_since == 1
    condition.awaits_acks(6, acked=True, waiting=True)
    assert condition.unacked_since == 6
    condition.awaits_acks(7, acked=False, waiting=False)
    assert condition.unacked_since is None


def test_a_table_that_is_copied_again_keeps_what_was_sent() -> None:
    """A counter does not go back."""
    counters = Counters()
    table = counters.awaits("public.t", 100)
    table.sent, table.rows, table.state = 100, 100, "read"
    assert counters.awaits("public.t", 120) is table
    assert (table.sent, table.expected_rows, table.state) == (100, 120, "waiting")
