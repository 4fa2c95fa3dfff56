"""Which servers believe, for later transactions, what an older one had them look up."""

from __future__ import annotations

import pytest

from producer.source.publication.writers import believes


@pytest.mark.parametrize("version", [100023, 120022, 130020, 140017, 150012, 160008, 170004])
def test_before_the_minors_of_may_2025(version: int) -> None:
    assert believes(version)


@pytest.mark.parametrize("version", [130021, 140018, 150013, 160009, 170005, 180000, 190001])
def test_since_then(version: int) -> None:
    assert not believes(version)
