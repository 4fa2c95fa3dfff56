"""What a database or a role sets for its sessions changes neither what is captured nor how it is printed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Command, Source
from tests.roles import role


def test_quotes_and_backslashes(source: Source, command: Command) -> None:
    """A schema whose name begins as the system's do is captured; a name in a value is quoted where it must be."""
    source.execute(
        "CREATE SCHEMA pgx",
        "CREATE TABLE pgx.t (id int PRIMARY KEY, of regclass)",
        "INSERT INTO pgx.t VALUES (1, 'pgx.t')",
        f"ALTER DATABASE {source.name} SET standard_conforming_strings = off",
        f"ALTER DATABASE {source.name} SET quote_all_identifiers = on",
    )
    assert command.run("run", "--once").returncode == 0
    source.execute("INSERT INTO pgx.t VALUES (2, 'pgx.t')")
    assert command.run("run", "--once").returncode == 0
    records: list[Any] = command.records("pgx.t")
    assert [record.value["after"] for record in records] == [{"id": 1, "of": "pgx.t"}, {"id": 2, "of": "pgx.t"}]


@pytest.mark.matrix
def test_a_limit_for_transactions(source: Source, command: Command) -> None:
    """transaction_timeout (PostgreSQL 17) ends neither a snapshot nor the decoding of a big transaction."""
    if source.major() < 17:
        pytest.skip("PostgreSQL 17 brought transaction_timeout")
    with role(source, "SUPERUSER") as (user, login):
        source.execute(
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 50000) i",
            f"ALTER ROLE {user} SET transaction_timeout = '100ms'",
        )
        settings = {**login, "snapshot.max.threads": 1}
        done = command.run("run", "--once", settings=settings)
        assert done.returncode == 0, done.stderr
        source.execute("UPDATE t SET v = v || 'y'")
        done = command.run("run", "--once", settings=settings)
        assert done.returncode == 0, done.stderr
        assert len(command.records("public.t")) == 100000
