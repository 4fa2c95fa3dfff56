"""Loading: the sources' order, everything wrong told at once, nothing secret told at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from producer.errors import NotSupportedYet, SettingsError
from producer.settings import Loaded, Settings, asked_log_format, load_settings
from producer.settings.__main__ import document

ROOT = Path(__file__).resolve().parents[3]


def load(*sets: str, config: Path | None = None, **environ: str) -> Settings:
    return loaded(*sets, config=config, **environ).settings


def loaded(*sets: str, config: Path | None = None, **environ: str) -> Loaded:
    return load_settings(config, ["topic.prefix=shop", *sets], environ)


def problems(*sets: str, config: Path | None = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, sets, environ)
    assert caught.value.remedy
    assert caught.value.verdict.value == 2
    return caught.value.message


def test_the_later_source_wins(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('topic.prefix = "file"\n[database]\nuser = "file"\nport = 1\nhostname = "file"\n')
    settings = load_settings(
        file, ["database.hostname=set"], {"PRODUCER_DATABASE_HOSTNAME": "env", "PRODUCER_DATABASE_PORT": "2"}
    ).settings
    assert settings.topic_prefix == "file"
    assert (settings.database_user, settings.database_port, settings.database_hostname) == ("file", 2, "set")
    assert settings.database_dbname == "postgres"


def test_everything_wrong_is_told_at_once() -> None:
    """Nobody mends one setting to learn of the next; what is not supported yet stands with it."""
    message = problems(
        "topic.prefx=shop", "database.port=70000", "log.level=loud", "schema.include.list=(", "slot.name=A-b",
        "producer.override.acks=1", "message.key.columns=nonsense", "tombstones.on.delete=yes", "nonsense",
        "value.subject.name.strategy=RecordNameStrategy", "column.mask.with.5.chars=a.b.c(",
        "producer.overide.linger.ms=1",
        PRODUCER_DATABASE_HOSTNME="x", PRODUCER_SNAPSHOT_SELECT_STATEMENT_OVERRIDES_A_B="x",
    )  # fmt: skip
    lines = [line.strip() for line in message.splitlines()]
    for start in (
        "topic.prefx: unknown setting (--set); did you mean topic.prefix?",
        "topic.prefix: is required",
        "database.port: ",
        "log.level: ",
        "schema.include.list: '(' is no regular expression",
        "slot.name: ",
        "producer.override.acks: would weaken order or durability",
        "message.key.columns: ",
        "tombstones.on.delete: must be true or false; it is 'yes' (--set)",
        "--set, the 9. of them: not of the form key=value",
        "value.subject.name.strategy: not supported yet",
        "column.mask.with.5.chars: 'a.b.c(' is no regular expression",
        "producer.overide.linger.ms: unknown setting (--set); did you mean producer.override.linger.ms?",
        "PRODUCER_DATABASE_HOSTNME: unknown environment variable; did you mean PRODUCER_DATABASE_HOSTNAME?",
        "PRODUCER_SNAPSHOT_SELECT_STATEMENT_OVERRIDES_A_B: cannot come from the environment",
    ):
        assert sum(line.startswith(start) for line in lines) == 1, start
    assert lines[0] == "15 settings cannot work:"


def test_an_unknown_key_names_the_nearest() -> None:
    assert "did you mean topic.prefix?" in problems("topic.prefix=p", "database.server.name=x")
    assert "the nearest is " in problems("topic.prefix=p", "zzzz=x")
    assert "without a meaning here" in problems("topic.prefix=p", "flush.lsn.source=x")


@pytest.mark.parametrize("name", ["PRODUCER_OF_THE_FILM", "PRODUCER_IMAGE"])
def test_an_unknown_variable_far_from_any_key_is_a_warning(name: str) -> None:
    """Others may use the prefix too."""
    assert load_settings(None, ["topic.prefix=p"], {name: "x"}).warnings == (
        f"{name}: unknown environment variable, not used",
    )


def test_a_command_may_do_without_the_prefix() -> None:
    assert load_settings(None, (), {}, need_prefix=False).settings.slot_name == "producer_postgres"
    assert "topic.prefix: is required" in problems("topic.prefix= ")
    assert "topic.prefix: is required" in problems("topic.prefix=${env:P}", P="")


def test_a_connect_document_may_hold_what_has_no_meaning_here(tmp_path: Path) -> None:
    """What Connect or Debezium know is a warning; a slip of the pen is not."""
    file = tmp_path / "connector.json"
    config = {
        "topic.prefix": "p", "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1",
        "key.converter": "${vault:not:looked:at}", "transforms.unwrap.type": "x", "slot.max.retries": "${env:NOBODY}",
        "value.converter.schema.registry.url": "http://r",
    }  # fmt: skip
    file.write_text(json.dumps({"name": "c", "config": config}))
    warned = load_settings(file, (), {})
    assert warned.settings.name == "c"
    assert [warning.partition(":")[0] for warning in warned.warnings] == [
        "key.converter", "transforms.unwrap.type", "slot.max.retries", "value.converter.schema.registry.url"
    ]  # fmt: skip
    assert "set schema.registry.url" in warned.warnings[3]
    file.write_text(json.dumps({"name": "c", "config": {**config, "table.inclde.list": "a.b"}}))
    assert "did you mean table.include.list?" in problems(config=file)
    file.write_text(json.dumps({"name": "c", "config": {**config, "connector.class": "MySqlConnector"}}))
    assert "connector.class: Input should be" in problems(config=file)


def test_settings_without_effect_are_warnings() -> None:
    assert "has no effect with plugin.name=wal2json" in loaded("publication.name=p").warnings[0]
    assert "taken as generic" in loaded("hosting.platform=moon").warnings[0]
    assert not loaded("hosting.platform=RDS").warnings


def test_secrets_are_never_shown() -> None:
    """Neither by errors nor by warnings; --set without its = may hold one too."""
    sets = (
        "database.password=hunter2", "producer.override.sasl.password=hunter2",
        "schema.registry.ssl.key.password=hunter2", "schema.registry.basic.auth.user.info=me:hunter2", "schema.registry.url=http://me:hunter2@r",
        "column.mask.hash.v2.SHA-257.with.salt.hunter2=a.b.c", "database.pasword=hunter2", "hunter2",
    )  # fmt: skip
    message = problems(*sets, "log.level=loud", PRODUCER_DATABASE_PASWORD="hunter2")
    assert "hunter2" not in message
    assert "column.mask.hash.v2.SHA-257.with.salt.********: " in message
    with pytest.raises(SettingsError) as caught:
        load_settings(None, sets, {})
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    "variable",
    ["COLUMN_MASK_HASH_MD5_WITH_SALT_", "COLUMN_MASK_HASH_V2_SHA_256_WITH_SALT_", "COLUM_MASK_HASH_MD5_WITH_SALT_",
     "COLUMN_MASK_HASHH_V2_SHA_256_WITH_SALT_", "column_mask_hash_md5_with_salt_"],
)  # fmt: skip
def test_the_salt_in_a_variable_s_name_is_not_shown(variable: str) -> None:
    environ: dict[str, Any] = {f"PRODUCER_{variable}HUNTER2": "a.b.c"}
    message = problems("topic.prefix=p", **environ)
    assert message.startswith("PRODUCER_COLUM")
    assert "cannot come from the environment" in message
    assert "hunter2" not in message.lower()


@pytest.mark.parametrize(
    "key",
    ["schema.include.list", "message.key.columns", "database.port", "log.level", "slot.name", "tombstones.on.delete",
     "producer.override.acks", "bootstrap.servers", "topic.prefix", "skipped.operations", "http.listen"],
)  # fmt: skip
def test_what_a_reference_brought_is_never_shown(key: str) -> None:
    """Only the reference is."""
    message = problems("topic.prefix=p", f"{key}=${{env:WHAT}}", WHAT="(hunter2 /")
    assert key in message
    assert "hunter2" not in message


def test_the_durability_that_overrides_may_not_weaken_is_named() -> None:
    """Of all clients: the brokers are one setting."""
    message = problems(
        "topic.prefix=p", "admin.override.bootstrap.servers=x", "consumer.override.error_cb=x",
        "producer.override.transactional.id=x",
    )  # fmt: skip
    for key in (
        "admin.override.bootstrap.servers",
        "consumer.override.error_cb",
        "producer.override.transactional.id",
    ):
        assert f"{key}: cannot be set" in message


def test_not_supported_yet_alone_has_its_own_class() -> None:
    with pytest.raises(NotSupportedYet) as caught:
        load("value.subject.name.strategy=RecordNameStrategy")
    assert caught.value.message.count("not supported yet") == 1


def test_the_log_format_is_known_even_when_the_rest_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "a.properties"
    file.write_text("log.format=JSON\nnonsense=1\n")
    assert asked_log_format(file, ["x"], {}) == "json"
    assert asked_log_format(tmp_path / "missing.toml", ["log.format=${env:F}"], {"F": "json"}) == "json"
    assert asked_log_format(None, ["log.format=${env:F}"], {}) == "text"
    assert asked_log_format(None, (), {"PRODUCER_LOG_FORMAT": "json"}) == "json"


def test_the_page_is_made_from_the_code() -> None:
    """docs/settings.md is what `python -m producer.settings` prints."""
    assert (ROOT / "docs" / "settings.md").read_text() == document()
