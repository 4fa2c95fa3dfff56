"""Each hosting platform, recognised on a server of our own that was made to look like it, and what is to be done there.

Nothing is set up on that server: wal_level is replica, wal2json is not allowed, and we may read and no more.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from dev.stack import Stack
from producer.commands import grants
from producer.commands.checks.source import SourceChecks
from producer.findings import Finding
from producer.settings import load_settings
from producer.source.plugins import INSTEAD
from tests.harness import Source, source_of, wait_for

Findings = dict[str, Finding]

# What each leaves visible: roles and statements in the database; then what is to be said of wal_level, of the right.
LOOKS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str, str]] = {
    "generic": ((), (), "ALTER SYSTEM SET wal_level = logical;", 'ALTER ROLE "{role}" REPLICATION;'),
    "rds": (
        ("rds_superuser", "rds_replication"),
        ("ALTER DATABASE {db} SET rds.logical_replication = off",),
        "rds.logical_replication = 1 in the DB parameter group",
        'GRANT rds_replication TO "{role}";',
    ),
    "aurora": (
        ("rds_superuser", "rds_replication"),
        ("CREATE FUNCTION pg_catalog.aurora_version() RETURNS text LANGUAGE sql AS 'SELECT ''17.5.0'''",),
        "rds.logical_replication = 1 in the DB cluster parameter group",
        'GRANT rds_replication TO "{role}";',
    ),
    "cloud_sql": (
        ("cloudsqlsuperuser",),
        ("ALTER DATABASE {db} SET cloudsql.logical_decoding = off",),
        "cloudsql.logical_decoding = on",
        'ALTER ROLE "{role}" REPLICATION;',
    ),
    "azure": (
        ("azure_pg_admin",),
        ("ALTER DATABASE {db} SET azure.extensions = ''",),
        "--name wal_level --value logical",
        'ALTER ROLE "{role}" REPLICATION;',
    ),
    "neon": (("neon_superuser",), (), "in the project's settings", 'ALTER ROLE "{role}" REPLICATION;'),
    "supabase": (("supabase_admin",), (), "Supabase has wal_level = logical", 'ALTER ROLE "{role}" REPLICATION;'),
    "crunchy_bridge": (("crunchy_superuser",), (), "restart the cluster", 'ALTER ROLE "{role}" REPLICATION;'),
}


@pytest.fixture(scope="module")
def bare(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A PostgreSQL of our own: roles are the whole server's."""
    made = Stack(tmp_path_factory.mktemp("bare") / "stack", stack.cache)
    made.start("postgres")
    with psycopg.connect(made.postgres_dsn(), autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET wal_level = replica")
    made.restart("postgres")
    # Behind the start, which allows wal2json.
    with psycopg.connect(made.postgres_dsn(), autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding")
        admin.execute("SELECT pg_reload_conf()")
        wait_for(lambda: "wal2json" not in str(admin.execute("SHOW output_plugin_libraries").fetchone()))
    yield made
    made.wipe()


@contextmanager
def looking_like(
    bare: Stack, roles: tuple[str, ...], statements: tuple[str, ...]
) -> Iterator[tuple[Source, dict[str, object]]]:
    """A database there, a role that may read its table, the settings that use it."""
    with source_of(bare, f"t{secrets.token_hex(5)}") as source:
        reader = f"reader_{source.name}"
        source.execute(
            "CREATE TABLE t (id int PRIMARY KEY)", f"CREATE ROLE {reader} LOGIN PASSWORD 'p'",
            f"GRANT SELECT ON t TO {reader}",
            # Which plugins are allowed is hidden from others.
            f"GRANT pg_read_all_settings TO {reader}", *(f"CREATE ROLE {role}" for role in roles),
            *(statement.format(db=source.name) for statement in statements),
        )  # fmt: skip
        try:
            yield source, {
                "database.port": bare.postgres_port, "database.dbname": source.name,
                "database.user": reader, "database.password": "p",
            }  # fmt: skip
        finally:
            source.execute(f"DROP OWNED BY {reader}", f"DROP ROLE {', '.join((reader, *roles))}")


def checked(settings: dict[str, object]) -> Findings:
    """What `check` finds of the source, by line."""
    sets = ["topic.prefix=p", *(f"{key}={value}" for key, value in settings.items())]
    return {one.title: one for one in SourceChecks(load_settings(None, sets, {}).settings).findings()}


def printed(settings: dict[str, object]) -> str:
    """What `grants` prints."""
    sets = ["topic.prefix=p", *(f"{key}={value}" for key, value in settings.items())]
    return "\n".join(grants(load_settings(None, sets, {}).settings))


@pytest.mark.parametrize("platform", LOOKS)
def test_recognised_with_its_own_instructions(bare: Stack, platform: str) -> None:
    """Issue E.2: from what is visible in SQL to everybody; wal_level, the right and the plugin in its own way."""
    roles, statements, level, right = LOOKS[platform]
    with looking_like(bare, roles, statements) as (_, settings):
        found = checked(settings)
    assert found["hosting platform"].status == "ok"
    shown = found["hosting platform"].detail
    assert all(f"role {role}" in shown for role in roles if role.endswith("superuser") and platform != "aurora")
    assert ("nothing of a known platform" in shown) is (platform == "generic")
    assert level in found["wal_level"].remedy
    assert found["replication right"].remedy == right.format(role=settings["database.user"])
    allowed = found["plugin allowed"]
    assert allowed.status == "failed"
    assert INSTEAD in allowed.remedy
    assert "pgoutput, test_decoding, wal2json" in allowed.remedy
    assert ("ALTER SYSTEM" in allowed.remedy) is (platform == "generic")
    assert found["read rights"].status == "ok"
    assert {name for name, one in found.items() if one.status == "failed"} == {
        "wal_level", "replication right", "plugin allowed",
    }  # fmt: skip


def test_heroku_gets_full_table_and_the_reason(bare: Stack) -> None:
    """Issue E.2: a plain explanation; and the script of `grants` stops there before it makes anything."""
    with looking_like(bare, (), ("CREATE SCHEMA heroku_ext",)) as (source, settings):
        found = checked(settings)["hosting platform"]
        assert found.status == "failed"
        assert "its log cannot be read from outside" in found.detail
        assert found.remedy.startswith("replication.method=FULL_TABLE")
        overruled = checked({**settings, "hosting.platform": "generic"})["hosting platform"]
        assert overruled.status == "warning"
        assert "looks like Heroku" in overruled.detail
        own = {**settings, "database.user": f"another_{source.name}"}
        script = printed(own)
        with pytest.raises(psycopg.errors.RaiseException, match="cannot be read from outside"):
            source.execute(script)
        assert source.rows(f"SELECT to_regrole('another_{source.name}')") == [(None,)]


def test_the_script_finds_out_where_it_runs(bare: Stack) -> None:
    """`grants` with hosting.platform=auto asks nobody: the server that runs its script has rds_replication, or not."""
    with looking_like(bare, ("rds_replication",), ()) as (source, settings):
        script = printed(settings)
        # The slot needs wal_level=logical, which this server has not.
        without_slot = script.replace("SELECT pg_create_logical_replication_slot", "SELECT format")
        source.execute(without_slot)
        member = f"SELECT pg_has_role('{settings['database.user']}', 'rds_replication', 'MEMBER')"
        assert source.rows(member) == [(True,)]
        replicates = f"SELECT rolreplication FROM pg_roles WHERE rolname = '{settings['database.user']}'"
        assert source.rows(replicates) == [(False,)]
