"""Platforms by their marks, and each one's own words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from producer.settings.load import _PLATFORMS
from producer.source.platform import GENERIC, PLATFORMS, Platform, named, recognised

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "platforms.md").read_text()


@pytest.mark.parametrize(
    ("marks", "key"),
    [
        ((), "generic"),
        (("role postgres", "setting max_connections"), "generic"),
        (("role rds_superuser",), "rds"),
        (("setting rds.logical_replication",), "rds"),
        (("role rds_superuser", "function aurora_version"), "aurora"),
        (("role cloudsqlsuperuser",), "cloud_sql"),
        (("setting azure.extensions",), "azure"),
        (("role neon_superuser",), "neon"),
        (("role supabase_admin",), "supabase"),
        (("role crunchy_superuser",), "crunchy_bridge"),
        (("schema heroku_ext",), "heroku"),
        (("schema heroku_ext", "function aurora_version", "role rds_superuser"), "heroku"),
        (("role supabase_admin", "role rds_superuser"), "rds"),
    ],
)
def test_the_first_platform_that_shows_a_mark(marks: tuple[str, ...], key: str) -> None:
    """One that stands on another's servers shows both."""
    assert recognised(marks).key == key


def test_every_platform_of_the_settings_is_known() -> None:
    """And a word that nobody knows is generic, as the warning says."""
    assert {"auto", *(platform.key for platform in (GENERIC, *PLATFORMS))} == set(_PLATFORMS)
    assert named("moon") is GENERIC


def test_the_page_has_each_platform_with_its_marks_and_a_section() -> None:
    """docs/platforms.md is true to the code, in the code's order."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert [key for key, *_ in rows] == [platform.key for platform in (GENERIC, *PLATFORMS)]
    for (_, name, marks), platform in zip(rows[1:], PLATFORMS, strict=True):
        assert name == platform.name
        kinds = (("role", platform.roles), ("setting", platform.settings), ("schema", platform.schemas),
                 ("function", platform.functions))  # fmt: skip
        assert set(re.findall(r"(\w+) `([\w.]+)`", marks)) == {(kind, one) for kind, ones in kinds for one in ones}
    for platform in PLATFORMS:
        assert f"## {platform.name}\n" in PAGE


@pytest.mark.parametrize("platform", [GENERIC, *PLATFORMS], ids=lambda platform: platform.key)
def test_what_is_to_be_done_is_told_in_each_one_s_way(platform: Platform) -> None:
    """No placeholder is left, and names are quoted."""
    one = named(platform.key)
    assert one is platform
    assert '"The reader"' in one.may_replicate("The reader")
    for text in (one.setting("max_wal_senders", "20", restart=True), one.setting("a", "b"), one.wal_level):
        assert "{" not in text
    assert "max_wal_senders" in one.setting("max_wal_senders", "20")
