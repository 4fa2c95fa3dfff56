"""How long a WAL budget lasts."""

from __future__ import annotations

import pytest

from producer.pipeline.health.retention import seconds_left


@pytest.mark.parametrize(
    ("safe", "rate", "expected"),
    [(None, 10.0, None), (100, 0.0, None), (100, -1.0, None), (100, 10.0, 10.0), (-5, 10.0, 0.0)],
)
def test_seconds_left(safe: int | None, rate: float, expected: float | None) -> None:
    """None without a limit, or without growth."""
    assert seconds_left(safe, rate) == expected
