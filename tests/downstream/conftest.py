"""Fixtures: Connect beside the stack, a second database, a connector into it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.stack import Stack
from tests.downstream.sink import Sink
from tests.harness import Source, source_of


@pytest.fixture(scope="session")
def connect(stack: Stack) -> Stack:
    """The stack with Connect, which is not started by default."""
    stack.start("connect")
    return stack


@pytest.fixture
def copy(stack: Stack, source: Source) -> Iterator[Source]:
    """The database that the sink writes into."""
    with source_of(stack, f"{source.name}_copy") as made:
        yield made


@pytest.fixture
def sink(connect: Stack, source: Source, copy: Source) -> Iterator[Sink]:
    """A connector that is not yet started; for all tables of the source."""
    made = Sink(connect, copy.name, rf"{source.name}\.public\..*", copy)
    yield made
    made.remove()
