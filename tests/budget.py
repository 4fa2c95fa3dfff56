"""How long random tests search: `PRODUCER_TEST_SECONDS` (default 8) and `PRODUCER_TEST_SEED`, from the environment."""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import seed

DEFAULT_SECONDS = 8.0
SECONDS = float(os.environ.get("PRODUCER_TEST_SECONDS", DEFAULT_SECONDS))
SEED = os.environ.get("PRODUCER_TEST_SEED")


def examples(usual: int) -> int:
    """How many examples instead of the usual number."""
    return max(1, round(usual * SECONDS / DEFAULT_SECONDS))


def seeded(test: Callable[[], None]) -> Callable[[], None]:
    """The same test with the seed of the environment, if there is one."""
    return seed(int(SEED))(test) if SEED else test
