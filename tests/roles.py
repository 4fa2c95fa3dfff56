"""Roles of a test's own, with passwords."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.findings import Settings
from tests.harness import Source


@contextmanager
def role(source: Source, options: str) -> Iterator[tuple[str, Settings]]:
    """A role with these attributes; the settings that use it."""
    name = f"reader_{source.name}"
    source.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'p' {options}")
    try:
        yield name, {"database.user": name, "database.password": "p"}
    finally:
        source.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")
