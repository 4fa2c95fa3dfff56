"""Column transformations: their keys, and what is wrong with them; a salt is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.errors import SettingsError
from producer.settings import load_settings, transformations


@pytest.mark.parametrize(
    "key",
    ["column.truncate.to.5.chars", "column.mask.with.0.chars", "column.mask.hash.SHA-256.with.salt.a.b",
     "column.mask.hash.v2.SHA-512/256.with.salt.x"],
)  # fmt: skip
def test_column_keys(key: str) -> None:
    assert transformations.is_key(key)
    assert not transformations.is_key(key.replace("column", "columns"))
    transformations.transformation(key, "a.b.c")


def test_a_salt_is_not_shown() -> None:
    assert (
        transformations.without_salt("column.mask.hash.A.with.salt.s.t\nu") == "column.mask.hash.A.with.salt.********"
    )
    one = transformations.transformation("column.mask.hash.md5.with.salt.hunter2", "a")
    assert (one.salt, one.algorithm) == (b"hunter2", "md5")
    assert "hunter2" not in repr(one)


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("colum.mask.hash.MD5.with.salt.hunter2", "column.mask.hash.ALG.with.salt.SALT"),
        ("column.mask.hash.MD5.with.slt.hunter2", "column.mask.hash.ALG.with.salt.SALT"),
        ("column.mask.hash.MD5.salt.hunter2", "column.mask.hash.ALG.with.salt.SALT"),
        ("column.mask.hsh.v2.MD5.with.slt.hunter2.hunter2", "column.mask.hash.v2.ALG.with.salt.SALT"),
        ("column.mask.hash", "column.mask.hash.ALG.with.salt.SALT"),
        ("column.mask.wth.5.chars", "column.mask.with.N.chars"),
        ("column.truncate.to.5.char", "column.truncate.to.N.chars"),
    ],
)
def test_a_misspelt_key_names_the_form_without_the_salt(key: str, near: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, ["topic.prefix=p", f"{key}=a.b.c"], {})
    assert f"unknown setting (--set); did you mean {near}?" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_the_order_is_debeziums() -> None:
    """Truncation before masks before hashes, whatever was written first."""
    keys = [
        "column.mask.hash.v2.MD5.with.salt.x", "column.mask.hash.MD5.with.salt.x", "column.mask.with.3.chars",
        "column.truncate.to.9.chars", "column.truncate.to.1.chars",
    ]  # fmt: skip
    found = transformations.transformations(dict.fromkeys(keys, "a"))
    assert [(one.kind, one.length) for one in found] == [
        ("truncate", 9), ("truncate", 1), ("mask", 3), ("hash", 0), ("hash.v2", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("column.mask.hash.SHA-257.with.salt.hunter2", "a", "'SHA-257' is no known algorithm"),
        ("column.mask.hash.v2.SHA_256.with.salt.hunter2", "a", "SHA-256, SHA-384"),
        ("column.mask.hash.MD5.with.salt.hunter2", "a(", "'a(' is no regular expression"),
        ("column.truncate.to.2147483648.chars", "a", "at most 2147483647"),
    ],
)
def test_what_is_wrong_is_told_without_the_salt(key: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, ["topic.prefix=p", f"{key}={value}"], {})
    assert words in caught.value.message
    assert caught.value.message.startswith(transformations.without_salt(key))
    assert "hunter2" not in str(caught.value)


def test_what_a_reference_brought_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, ["topic.prefix=p", "column.mask.with.1.chars=${env:X}"], {"X": "secret("})
    assert "secret" not in str(caught.value)


def test_snapshot_overrides_name_each_other() -> None:
    """A table without its SELECT, and a SELECT that no table asks for."""
    key = "snapshot.select.statement.overrides"
    with pytest.raises(SettingsError) as caught:
        load_settings(None, ["topic.prefix=p", f"{key}=a.b, a.c", f"{key}.a.b=SELECT 1", f"{key}.a.d=SELECT 1"], {})
    assert f"names a.c, but {key}.a.c is not given" in caught.value.message
    assert f"{key}.a.d: has no effect" in caught.value.message
    loaded = load_settings(None, ["topic.prefix=p", f"{key}=a.b", f"{key}.a.b=SELECT 1"], {}).settings
    assert loaded.snapshot_select("a", "b") == "SELECT 1"
    assert loaded.snapshot_select("a", "c") is None


def test_the_example_of_the_docs_is_taken(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "filters.md").read_text()
    file = tmp_path / "a.toml"
    file.write_text(text.partition("```toml\n")[2].partition("```")[0])
    loaded = load_settings(file, ["topic.prefix=p"], {}).settings
    assert str(loaded.snapshot_select("public", "orders")).startswith("SELECT * FROM public.orders")


def test_columns_and_keys() -> None:
    """Anchored, in any case; exclude wins; several parts that name a table add up."""
    loaded = load_settings(
        None,
        ["topic.prefix=p", r"column.include.list=s\.t\..*,s\.u\.A", r"column.exclude.list=.*\.secret",
         r"message.key.columns=s.t:b,a;(.*)\.t:a,c"],
        {},
    ).settings  # fmt: skip
    wanted = [name for name in ("id", "secret", "SECRET", "secret2") if loaded.wants_column("s", "t", name)]
    assert wanted == ["id", "secret2"]
    assert loaded.wants_column("s", "u", "a")
    assert not loaded.wants_column("s", "u", "ab")
    assert loaded.key_of("s", "t") == ("b", "a", "c")
    assert loaded.key_of("S", "T") == ("b", "a", "c")
    assert loaded.key_of("s", "tt") == ()
