"""Releases and clocks: what is told of each."""

from __future__ import annotations

import pytest

from producer.source.checks import server


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [
        (90300, "failed", "logical decoding came with 9.4"),
        (90420, "failed", "9.4.20 is older than 9.4.21"),
        (90421, "failed", "9.4.21 is older than 10"),
        (90515, "failed", "older than 9.5.16"),
        (90611, "failed", "older than 9.6.12"),
        (90624, "failed", "9.6.24 is older than 10"),
        (100006, "failed", "10.6 is older than 10.7"),
        (100007, "ok", "PostgreSQL 10.7"),
        (110001, "failed", "11.1 is older than 11.2"),
        (110002, "warning", "11.2 should work; pgoutput is tested on 10, 12, 13, 14, 15, 16, 17, 18"),
        (120000, "ok", "PostgreSQL 12.0"),
        (130023, "ok", "PostgreSQL 13.23"),
        (140024, "ok", "PostgreSQL 14.24"),
        (180006, "ok", "PostgreSQL 18.6"),
        (190000, "warning", "19.0 should work"),
    ],
)
def test_a_release(number: int, status: str, words: str) -> None:
    """What we test is said apart from what should work; the first safe minor release of each line."""
    found = server.version(number, "pgoutput")
    assert found.status == status
    assert words in found.detail
    assert bool(found.remedy) == (status != "ok")


def test_a_release_that_is_tested_with_the_other_plugin() -> None:
    found = server.version(140024, "wal2json")
    assert found.status == "warning"
    assert "wal2json is tested on 13, 15, 17, 18" in found.detail


def test_clocks() -> None:
    """The answer's way is no difference."""
    assert server.apart(100.0, 99.0, 103.0).status == "ok"
    assert server.apart(103.9, 99.0, 103.0).status == "ok"
    ahead, behind = server.apart(163.0, 99.0, 103.0), server.apart(39.0, 99.0, 103.0)
    assert (ahead.status, behind.status) == ("warning", "warning")
    assert "60.0 s ahead of ours" in ahead.detail
    assert "60.0 s behind ours" in behind.detail
