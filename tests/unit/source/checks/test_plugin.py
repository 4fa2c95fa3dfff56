"""What `check` says of the plugin that is not ours."""

from __future__ import annotations

import pytest

from producer.source.checks.plugin import Standing, losses
from producer.source.plugins import Allowed


@pytest.mark.parametrize(
    ("plugin", "libraries", "other", "told"),
    [
        ("pgoutput", None, "usable", "wal2json is installed and allowed too, and loses: UPDATEs"),
        ("pgoutput", None, "absent", "wal2json is not installed here"),
        ("pgoutput", None, "refused", "wal2json is not allowed here"),
        ("pgoutput", ("pgoutput",), None, "wal2json is not allowed here"),
        ("pgoutput", None, None, "whether wal2json could be used here was not tried; it loses: UPDATEs"),
        ("wal2json", None, "usable", "pgoutput is installed and allowed too, and loses: nothing"),
    ],
)
def test_the_other_plugin(plugin: str, libraries: tuple[str, ...] | None, other: Standing | None, told: str) -> None:
    """Nothing that was not seen."""
    ours, theirs = losses(150000, plugin, Allowed(libraries=libraries), None, other)
    assert {ours.name, theirs.name} == {"plugin loses", "other plugin"}
    (found,) = [one.detail for one in (ours, theirs) if one.name == "other plugin"]
    assert found.startswith(told)
