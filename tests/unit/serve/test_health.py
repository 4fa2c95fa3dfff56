"""When 503 is answered, and why; a standby and a short fault are healthy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from producer.observe import Counters
from producer.serve import health
from producer.settings import load_settings

NOW = 1000.0
SETTINGS = load_settings(None, ["topic.prefix=p", "slot.max.retained.bytes=100"], {}).settings


def _streaming(counters: Counters) -> None:
    counters.condition.enter("streaming", NOW)
    counters.condition.patience = 60


def _reconnecting(seconds: float) -> Callable[[Counters], None]:
    def make(counters: Counters) -> None:
        counters.condition.enter("reconnecting", NOW - seconds)
        counters.recent.fault("KafkaUnavailable", "no broker answers", "start one")

    return make


def _standby(counters: Counters) -> None:
    counters.condition.enter("standby", NOW - 10_000)


def _with(**values: float | None) -> Callable[[Counters], None]:
    def make(counters: Counters) -> None:
        _streaming(counters)
        for name, value in values.items():
            setattr(counters.condition, name, value)

    return make


def _slot(status: str, retained: int) -> Callable[[Counters], None]:
    def make(counters: Counters) -> None:
        _streaming(counters)
        counters.slot_wal_status, counters.slot_retained_bytes = status, retained

    return make


@pytest.mark.parametrize(
    ("make", "reasons"),
    [
        (lambda _: None, []),
        (_streaming, []),
        (_standby, []),
        (_reconnecting(9), []),
        (_reconnecting(11), ["reconnecting"]),
        (_with(tended_at=NOW - 59, heard_at=NOW - 59, unacked_since=NOW - 29), []),
        (_with(tended_at=NOW - 61), ["still"]),
        (_with(tended_at=NOW - 61, patience=0.0), ["still"]),
        (_with(tended_at=NOW - 61, patience=100.0), []),
        # A server that waits a moment only is not the measure of a busy machine.
        (_with(tended_at=NOW - 9, heard_at=NOW - 9, patience=2.0), []),
        (_with(heard_at=NOW - 69), ["silent"]),
        (_with(unacked_since=NOW - 31), ["kafka"]),
        (_slot("reserved", 100), []),
        (_slot("extended", 100), []),
        (_slot("unreserved", 101), ["slot", "retained"]),
        (_slot("lost", 0), ["slot"]),
    ],
)  # fmt: skip
def test_reasons(make: Callable[[Counters], None], reasons: list[str]) -> None:
    counters = Counters()
    make(counters)
    found = health.reasons(SETTINGS, counters, NOW)
    assert [reason.reason for reason in found] == reasons
    assert all(reason.message and reason.remedy for reason in found)


def test_what_is_tried_again_is_told_and_the_state_is_connects() -> None:
    counters = Counters()
    assert health.state(counters.condition) == "RUNNING"
    _reconnecting(11)(counters)
    assert health.state(counters.condition) == "RESTARTING"
    (reason,) = health.reasons(SETTINGS, counters, NOW)
    assert "no broker answers" in reason.message
    assert reason.remedy == "start one"
    _streaming(counters)
    assert health.state(counters.condition) == "RUNNING"
