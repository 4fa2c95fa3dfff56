"""Fixtures: the real stack, a database and a command for each test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from dev.secured import Secured
from dev.stack import Stack
from tests import harness
from tests.harness import Command, Source, source_of
from tests.proxy import Link

# How fast a busy machine makes up examples is no property of the code.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--plugin pgoutput` runs every command with that plugin."""
    parser.addoption("--plugin", choices=("wal2json", "pgoutput"), default="wal2json", help="plugin.name of each run")


def pytest_configure(config: pytest.Config) -> None:
    """What every test's command is told."""
    harness.PLUGIN = config.getoption("--plugin")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of what one plugin says are none of the other's."""
    if config.getoption("--plugin") == "pgoutput":
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("wal2json")])
        items[:] = [item for item in items if not item.get_closest_marker("wal2json")]


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The real servers, started when they do not run. Absent servers are a failure."""
    found = Stack.load()
    found.start()
    return found


@pytest.fixture
def source(stack: Stack) -> Iterator[Source]:
    """A fresh database."""
    with source_of(stack, f"t{secrets.token_hex(5)}") as made:
        yield made


@pytest.fixture
def command(stack: Stack, source: Source, tmp_path: Path) -> Iterator[Command]:
    """The command, with this database and a topic prefix of its own."""
    made = Command(stack, source, tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="session")
def detour() -> Iterator[Link]:
    """The way to `secured`'s broker that can be disturbed."""
    made = Link(0)
    yield made
    made.close()


@pytest.fixture(scope="session")
def secured(stack: Stack, detour: Link, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A PostgreSQL and a Kafka of our own, to be taken away, and to be reached by those who prove who they are."""
    made = Secured(tmp_path_factory.mktemp("secured") / "servers", stack.cache, detour.port)
    detour.target = made.behind_detour
    made.start()
    yield made
    made.wipe()
