"""Sources: each kind of file, the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.errors import SettingsError
from producer.settings import load_settings
from producer.settings.sources import from_environment, read_file

_CONNECT = (
    '{"name": "c", "config": {"topic.prefix": "p", "tombstones.on.delete": "false", "errors.retry.timeout": "5"}}'
)


def read(tmp_path: Path, name: str, text: str) -> dict[str, str]:
    file = tmp_path / name
    file.write_text(text)
    return {key: given.value for key, given in read_file(file).items()}


@pytest.mark.parametrize("value", ['"a", "column.mask.hash.MD5.with.salt.hunter2": "b"', '[["a"]]'])
def test_the_salt_in_a_key_is_not_shown(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match=r"column\.mask\.hash\.MD5\.with\.salt\.\*+") as caught:
        read(tmp_path, "a.json", f'{{"column.mask.hash.MD5.with.salt.hunter2": {value}}}')
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", '[topic]\nprefix = "p"\n[tombstones.on]\ndelete = false\n[errors.retry]\ntimeout = 5\n'),
        ("a.toml", '"topic.prefix" = "p"\ntombstones.on.delete = false\nerrors.retry.timeout = 5\n'),
        ("a.json", '{"topic.prefix": "p", "tombstones": {"on": {"delete": false}}, "errors.retry.timeout": 5}'),
        ("a.json", _CONNECT),
        ("a.properties", "# c\n! c\ntopic.prefix = p\ntombstones.on.delete:false\nerrors.retry\\\n  .timeout 5\n"),
    ],
)
def test_each_kind_of_file(tmp_path: Path, name: str, text: str) -> None:
    """Tables and flat keys, Connect documents, Java's properties."""
    file = tmp_path / name
    file.write_text("\ufeff" * (name != "a.toml") + text)
    settings = load_settings(file, (), {}).settings
    assert (settings.topic_prefix, settings.tombstones_on_delete, settings.errors_retry_timeout) == ("p", False, 5)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "topic.prefix = x", "line 1"),
        ("a.json", "{", "line 1"),
        ("a.json", "[]", "no object"),
        ("a.json", '{"a.b": 1, "a.b": 2}', "a.b is given twice"),
        ("a.json", '{"a.b": 1, "a": {"b": 2}}', "a.b is given twice"),
        ("a.json", '{"a": [[1]]}', "a: a list may hold"),
        ("a.json", '{"name": "x", "config": {"name": "y"}}', "the document's name is x"),
        ("a.properties", "a=1\nb=\\u00g0\n", "line 2"),
        ("a.yaml", "", "unknown kind"),
        ("missing/a.toml", None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, name: str, text: str | None, words: str) -> None:
    """Path, line, remedy."""
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_file(file)
    assert words in caught.value.message
    assert str(file) in caught.value.message
    assert caught.value.remedy


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="is not UTF-8"):
        read_file(file)


def test_an_array_is_a_list(tmp_path: Path) -> None:
    """A comma or semicolon in an item parts nothing."""
    file = tmp_path / "a.toml"
    file.write_text(
        'topic.prefix = "p"\nbootstrap.servers = ["a:1", "b:2"]\ntable.include.list = ["s\\\\.a{1,2}", "s.b"]\n'
        'database.initial.statements = ["SET a TO 1", "SET b TO \'x;y,z\'"]\n'
    )
    settings = load_settings(file, (), {}).settings
    assert settings.bootstrap_servers == "a:1,b:2"
    assert [one.pattern for one in settings.table_include_list] == [r"s\.a{1,2}", "s.b"]
    assert settings.database_initial_statements == ("SET a TO 1", "SET b TO 'x;y,z'")


def test_a_table_named_config_is_no_connect_document(tmp_path: Path) -> None:
    text = '{"topic.prefix": "p", "config": {"storage": {"topic": "c"}}, "log.level": null}'
    assert read(tmp_path, "a.json", text) == {"topic.prefix": "p", "config.storage.topic": "c"}


def test_variables() -> None:
    """Known keys first, then those that are passed on; keys with a free part do not come from there."""
    found, unknown = from_environment({
        "PRODUCER_DATABASE_HOSTNAME": "h", "PRODUCER_TOPIC_CREATION_DEFAULT_PARTITIONS": "3",
        "PRODUCER_TOPIC_CREATION_DEFAULT_RETENTION_MS": "5", "PRODUCER_PRODUCER_OVERRIDE_LINGER_MS": "7",
        "PRODUCER_COLUMN_MASK_WITH_5_CHARS": "x", "PRODUCER_SNAPSHOT_SELECT_STATEMENT_OVERRIDES": "a.b", "HOME": "/",
    })  # fmt: skip
    assert {key: given.value for key, given in found.items()} == {
        "database.hostname": "h", "topic.creation.default.partitions": "3",
        "topic.creation.default.retention.ms": "5", "producer.override.linger.ms": "7",
        "snapshot.select.statement.overrides": "a.b",
    }  # fmt: skip
    assert unknown == ["PRODUCER_COLUMN_MASK_WITH_5_CHARS"]
