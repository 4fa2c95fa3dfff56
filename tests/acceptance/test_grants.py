"""`grants`: what it prints, run by an administrator, is all that the producer needs, and no more than it may see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.harness import Command, Source

Settings = dict[str, object]


@pytest.fixture
def role(source: Source) -> Iterator[str]:
    """The name of a role that does not exist yet."""
    name = f"The {source.name}"
    yield name
    source.execute(f'DROP OWNED BY "{name}"', f'DROP ROLE "{name}"')


def script(command: Command, settings: Settings) -> str:
    """What it prints."""
    done = command.run("grants", settings=settings)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_a_fresh_server(source: Source, command: Command, role: str) -> None:
    """Role, rights, slot; tables and columns that are left out stay unseen; it may be run again."""
    source.execute(
        'CREATE SCHEMA "Of sales"',
        'CREATE TABLE "Of sales".orders (region text, id int, name text, secret text, PRIMARY KEY (id, region))',
        "INSERT INTO \"Of sales\".orders VALUES ('eu', 1, 'a', 's')",
        "CREATE TABLE unkeyed (code int NOT NULL UNIQUE, note text, v int)",
        "INSERT INTO unkeyed VALUES (1, 'n', 2)",
        "CREATE TABLE events (id int PRIMARY KEY, at date, note text) PARTITION BY RANGE (id)",
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (100)",
        "INSERT INTO events VALUES (1, '2026-01-01', 'n')",
        "CREATE TABLE hidden (id int PRIMARY KEY)",
    )
    settings: Settings = {
        "database.user": role, "database.password": "p", "database.dbname": source.name,
        "schema.include.list": "of sales,public", "table.exclude.list": r"public\.h\w{5}",
        "column.exclude.list": r".*\.(secret|note|region|code)", "message.key.columns": r"public\.events:id,at",
    }  # fmt: skip
    statements = script(command, settings)
    assert "PASSWORD 'p'" not in statements
    source.execute(*(f"ALTER TABLE {t} REPLICA IDENTITY FULL" for t in ("events", "events_1", "unkeyed")))
    for _ in range(2):
        source.execute(statements)
    source.execute(f"ALTER ROLE \"{role}\" PASSWORD 'p'")
    assert source.confirmed_lsn() is not None
    checked = command.run("check", settings=settings)
    assert checked.returncode == 0, checked.stdout
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    records: list[Any] = command.records()
    found = {record.topic.removeprefix(f"{command.prefix}."): (record.key, record.value["after"]) for record in records}
    assert found == {
        "Of_sales.orders": ({"id": 1, "region": "eu"}, {"id": 1, "name": "a"}),
        "public.unkeyed": ({"code": 1}, {"v": 2}),
        "public.events": ({"id": 1, "at": 20454}, {"id": 1, "at": 20454}),
    }
    dsn = source.stack.postgres_dsn(source.name)
    with psycopg.connect(dsn, user=role, password="p", autocommit=True) as connection:
        for query in ('SELECT secret FROM "Of sales".orders', "SELECT id FROM hidden", "SELECT note FROM events"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(query.encode())


def test_whole_tables(source: Source, command: Command, role: str) -> None:
    """Without column filters a table's new columns are readable too."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    settings: Settings = {"database.user": role, "database.password": "p", "database.dbname": source.name}
    source.execute(script(command, settings), f"ALTER ROLE \"{role}\" PASSWORD 'p'", "ALTER TABLE t ADD v int")
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    records: list[Any] = command.records("public.t")
    assert [record.value["after"] for record in records] == [{"id": 1, "v": None}]


def test_tables_that_come_later(source: Source, command: Command, role: str) -> None:
    """Those that the owners of today make are readable at once; not where filters leave tables or columns out."""
    owner = f"owner_{source.name}"
    source.execute(
        f"CREATE ROLE {owner}", f"CREATE SCHEMA theirs AUTHORIZATION {owner}", "CREATE SCHEMA others",
        "CREATE SCHEMA e",
        "CREATE TABLE theirs.t (id int PRIMARY KEY)", f"ALTER TABLE theirs.t OWNER TO {owner}",
    )  # fmt: skip
    settings: Settings = {"database.user": role, "schema.include.list": "theirs,e"}
    later = ("theirs.later", "e.later", "others.later")
    try:
        for filters, readable in (({"column.exclude.list": "x"}, ()), ({}, later[:2])):
            for _ in range(2):
                source.execute(script(command, settings | filters))
            source.execute(
                f"SET ROLE {owner}", "CREATE TABLE theirs.later (id int PRIMARY KEY)", "RESET ROLE",
                "CREATE TABLE e.later (id int)", "CREATE TABLE others.later (id int)",
            )  # fmt: skip
            for table in later:
                schema = table.partition(".")[0]
                may = source.rows(
                    f"SELECT has_table_privilege('{role}', '{table}', 'SELECT') "
                    f"AND has_schema_privilege('{role}', '{schema}', 'USAGE')"
                )
                assert may == [(table in readable,)], (table, filters)
            source.execute(*(f"DROP TABLE {table}" for table in later))
    finally:
        source.execute(f"DROP OWNED BY {owner}", f"DROP ROLE {owner}")


def test_of_a_platform(command: Command) -> None:
    """Amazon's role in place of the attribute that nobody may set there; FULL_TABLE needs neither it nor a slot."""
    statements = script(command, {"hosting.platform": "rds", "database.user": "u"})
    assert 'GRANT rds_replication TO "u";' in statements
    assert "rds.logical_replication" in statements
    assert "ALTER ROLE" not in statements.replace("ALTER ROLE … PASSWORD", "")
