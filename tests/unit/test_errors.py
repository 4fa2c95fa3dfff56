"""Errors: each has a verdict and is drawn in the tree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from producer import errors
from producer.errors import ProducerError, Verdict


def _subclasses(kind: type[ProducerError]) -> Iterator[type[ProducerError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


@pytest.mark.parametrize("kind", list(_subclasses(ProducerError)))
def test_every_error_has_a_verdict_and_stands_in_the_tree(kind: type[ProducerError]) -> None:
    """Nobody has to guess an exit code."""
    assert isinstance(kind.verdict, Verdict)
    assert kind.verdict.value in (2, 3, 4, 5)
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__


def test_the_text_ends_with_the_remedy() -> None:
    """Whoever reads an error learns what to do."""
    assert str(errors.AccessDenied("no", remedy="ask")).endswith("remedy: ask")
