"""The contract suites need the real servers: they are started, never skipped."""

from __future__ import annotations

import pytest

from dev.stack import Stack


@pytest.fixture(scope="session", autouse=True)
def started(stack: Stack) -> Stack:
    """Started before the first test."""
    return stack
