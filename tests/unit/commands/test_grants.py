"""The script for each platform, which asks nobody."""

from __future__ import annotations

import pytest

from producer.commands import grants
from producer.settings import load_settings
from producer.source.platform import PLATFORMS


def _script(*sets: str) -> str:
    return "\n".join(grants(load_settings(None, ["topic.prefix=p", "database.user=u", *sets], {}).settings))


def _statements(script: str) -> str:
    return "\n".join(line for line in script.splitlines() if not line.startswith("--"))


@pytest.mark.parametrize("key", [platform.key for platform in PLATFORMS if not platform.no_log])
def test_of_a_platform(key: str) -> None:
    """Its own way to wal_level and to the right, and a slot."""
    script = _script(f"hosting.platform={key}")
    by_role = key in ("rds", "aurora")
    assert ('GRANT rds_replication TO "u";' in script) is by_role
    assert ('ALTER ROLE "u" REPLICATION;' in script) is not by_role
    assert "pg_create_logical_replication_slot" in script
    assert "wal_level must be logical" in script
    assert ("ALTER SYSTEM" in script) is (key == "crunchy_bridge")


def test_of_a_platform_that_lets_nobody_read_its_log() -> None:
    """Heroku: why, what instead, and nothing that would fail there."""
    script = _script("hosting.platform=heroku")
    assert "replication.method=FULL_TABLE" in script
    assert "REPLICATION" not in _statements(script)
    assert "slot" not in _statements(script)
    assert "GRANT SELECT" in script


def test_of_whatever_runs_it() -> None:
    """With auto the server that runs the script decides, and all ways to wal_level are told."""
    script = _script()
    for words in (
        "to_regrole('rds_replication')",
        "rds.logical_replication",
        "cloudsql.logical_decoding",
        "az postgres",
    ):
        assert words in script


def test_expressions_are_written_as_postgresql_reads_them() -> None:
    """Python's word boundary is PostgreSQL's backspace; named groups and flags it does not know."""
    script = _script(
        r"table.include.list=(?i)public\.a\b,public\.(?P<x>b\\b)", r"message.key.columns=public\.\Bc:id",
        "column.exclude.list=x",
    )  # fmt: skip
    assert r"E'^(?:(?:public\\.a\\y)|(?:public\\.(b\\\\b)))$'" in script
    assert r"E'^(?:public\\.\\Yc)$'" in script
