"""Which plugin a server allows, what each loses there, and the statement that allows one."""

from __future__ import annotations

import pytest

from producer.source.platform import GENERIC, named
from producer.source.plugins import INSTEAD, Allowed, allowing, instead, plugins, refused


@pytest.mark.parametrize(
    ("libraries", "statement"),
    [
        (("pgoutput", "test_decoding"), "= pgoutput, test_decoding, wal2json;"),
        (("pgoutput", "decoderbufs", "Odd name"), '= pgoutput, decoderbufs, "Odd name", wal2json;'),
        ((), "= wal2json;"),
    ],
)
def test_what_is_listed_stays(libraries: tuple[str, ...], statement: str) -> None:
    """As one list of names: quoted as a whole it would be one name."""
    told = allowing("wal2json", Allowed(libraries=libraries), GENERIC)
    assert f"ALTER SYSTEM SET output_plugin_libraries {statement} SELECT pg_reload_conf();" in told


def test_where_alter_system_does_nothing() -> None:
    """On the command line, and with a platform."""
    listed = Allowed(libraries=("pgoutput",), on_command_line=True)
    assert "-c output_plugin_libraries='pgoutput, wal2json'" in allowing("wal2json", listed, GENERIC)
    hosted = allowing("wal2json", Allowed(libraries=("pgoutput",)), named("rds"))
    assert "parameter group" in hosted
    assert "ALTER SYSTEM" not in hosted


def test_pgoutput_is_named_where_it_would_do() -> None:
    """Not where it is refused as well, nor of itself, nor before PostgreSQL 10."""
    default = Allowed(libraries=("pgoutput", "test_decoding"))
    assert INSTEAD in refused("wal2json", 150000, default).remedy
    assert INSTEAD in instead("wal2json", 100000, Allowed(libraries=None))
    assert not instead("wal2json", 150000, Allowed(libraries=("test_decoding",)))
    assert not instead("pgoutput", 150000, default)
    assert not instead("wal2json", 90624, Allowed(libraries=None))


def test_what_each_loses() -> None:
    """By the release of the server and of wal2json."""
    (old, _), (new, _), (_, newer) = (
        plugins(130000, Allowed(libraries=None), prints_nan=False),
        plugins(170000, Allowed(libraries=("wal2json",)), prints_nan=True),
        plugins(140000, Allowed(libraries=("pgoutput",))),
    )
    assert any("NaN" in words for words in old.loses)
    assert not any("NaN" in words for words in new.loses)
    assert any("identity" in words for words in new.loses)
    assert (newer.usable, newer.loses) == (True, ())
    pgoutput = plugins(130000, Allowed(libraries=("wal2json",)))[1]
    assert not pgoutput.usable
    assert any("logical messages" in words for words in pgoutput.loses)
    assert not any("TRUNCATE" in words for words in pgoutput.loses)
    assert any("TRUNCATE" in words for words in plugins(100000, Allowed(libraries=None))[1].loses)
