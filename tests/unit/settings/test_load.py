"""Settings: sources and their order, everything wrong told at once, secrets never shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from producer.errors import NotSupportedYet, SettingsError
from producer.settings import Settings, describe, load_settings
from producer.settings.__main__ import document

ROOT = Path(__file__).resolve().parents[3]


def load(*sets: str, config: Path | None = None, **environ: str) -> Settings:
    return load_settings(config, ["topic.prefix=shop", *sets], environ).settings


def problems(*sets: str, config: Path | None = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, sets, environ)
    return caught.value.message


def test_the_later_source_wins(tmp_path: Path) -> None:
    """Defaults < file < environment < --set."""
    file = tmp_path / "a.toml"
    file.write_text('topic.prefix = "file"\n[database]\nuser = "file"\nport = 1\nhostname = "file"\n')
    settings = load_settings(
        file, ["database.hostname=set"], {"PRODUCER_DATABASE_HOSTNAME": "env", "PRODUCER_DATABASE_PORT": "2"}
    ).settings
    assert settings.topic_prefix == "file"
    assert (settings.database_user, settings.database_port, settings.database_hostname) == ("file", 2, "set")
    assert settings.database_dbname == "postgres"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", '[topic]\nprefix = "p"\n[tombstones.on]\ndelete = false\n[errors.retry]\ntimeout = 5\n'),
        ("a.json", '{"topic.prefix": "p", "tombstones": {"on": {"delete": false}}, "errors.retry.timeout": 5}'),
        ("a.json", '{"name": "c", "config": {"topic.prefix": "p", "tombstones.on.delete": "false", '
         '"errors.retry.timeout": "5"}}'),
        ("a.properties", "# c\n! c\ntopic.prefix = p\ntombstones.on.delete:false\nerrors.retry\\\n  .timeout 5\n"),
    ],
)  # fmt: skip
def test_each_kind_of_file(tmp_path: Path, name: str, text: str) -> None:
    """Tables and flat keys, Connect documents, Java's properties."""
    file = tmp_path / name
    file.write_text(text)
    settings = load_settings(file, (), {}).settings
    assert (settings.topic_prefix, settings.tombstones_on_delete, settings.errors_retry_timeout) == ("p", False, 5)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "topic.prefix = x", "line 1"),
        ("a.json", "{", "line 1"),
        ("b.json", "[]", "no object"),
        ("a.yaml", "", "unknown kind"),
        ("missing/a.toml", None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, name: str, text: str | None, words: str) -> None:
    """Path, line, remedy."""
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    message = problems(config=file)
    assert words in message
    assert str(file) in message


def test_everything_wrong_is_told_at_once() -> None:
    """Nobody mends one setting to learn of the next."""
    message = problems(
        "topic.prefx=shop", "database.port=70000", "log.level=loud", "schema.include.list=(", "slot.name=A-b",
        "producer.override.acks=1", "producer.override.partitioner=random", "message.key.columns=nonsense",
        PRODUCER_DATABASE_HOSTNME="x",
    )  # fmt: skip
    for part in (
        "topic.prefx: unknown setting (--set); did you mean topic.prefix?",
        "topic.prefix: is required",
        "database.port",
        "log.level",
        "schema.include.list: '(' is no regular expression",
        "slot.name",
        "producer.override.acks: cannot be 1",
        "producer.override.partitioner",
        "message.key.columns",
        "did you mean PRODUCER_DATABASE_HOSTNAME?",
    ):
        assert part in message


def test_an_unknown_variable_far_from_any_key_is_a_warning() -> None:
    """Others may use the prefix too."""
    loaded = load_settings(None, ["topic.prefix=p"], {"PRODUCER_OF_THE_FILM": "x"})
    assert "PRODUCER_OF_THE_FILM" in loaded.warnings[0]


def test_a_connect_document_may_hold_what_has_no_meaning_here(tmp_path: Path) -> None:
    """As in Connect's REST interface: a warning; our own file is strict."""
    file = tmp_path / "connector.json"
    config = {"topic.prefix": "p", "key.converter": "x", "connector.class": "io.debezium.…", "tasks.max": "1"}
    file.write_text(json.dumps({"name": "c", "config": config}))
    loaded = load_settings(file, (), {})
    assert loaded.settings.name == "c"
    assert len(loaded.warnings) == 1
    assert "key.converter" in loaded.warnings[0]


def test_references_are_put_in(tmp_path: Path) -> None:
    """`${env:…}` and `${file:…}` as Connect's config providers do; what is missing is named."""
    file = tmp_path / "secrets.properties"
    file.write_text("db.password = s\\u0065cret\n")
    settings = load(f"database.password=${{file:{file}:db.password}}", "database.user=${env:WHO}", WHO="me")
    assert settings.database_password is not None
    assert settings.database_password.get_secret_value() == "secret"
    assert settings.database_user == "me"
    assert "NOBODY, which is not set" in problems("topic.prefix=p", "database.user=${env:NOBODY}")
    assert "the key x" in problems("topic.prefix=p", f"database.user=${{file:{file}:x}}")


def test_secrets_are_never_shown() -> None:
    """Neither by repr, str, describe, nor by an error."""
    sets = (
        "database.password=hunter2", "producer.override.sasl.password=hunter2",
        "schema.registry.ssl.key.password=hunter2",
        "schema.registry.basic.auth.user.info=me:hunter2",
    )  # fmt: skip
    settings = load(*sets)
    for shown in (repr(settings), str(settings), str(describe(settings))):
        assert "hunter2" not in shown
    assert "hunter2" not in problems(*sets, "log.level=loud")


def test_names_that_follow_from_others() -> None:
    """Connector, slot, dead-letter topic."""
    settings = load("database.dbname=Shop-DB")
    assert settings.name == "shop"
    assert settings.slot_name == "producer_shop_db"
    assert settings.errors_deadletterqueue_topic_name == "shop.deadletter"
    assert load("slot.name=pipelinewise_x").slot_name == "pipelinewise_x"


def test_filters_are_anchored_and_case_insensitive() -> None:
    """Debezium's meaning: the whole name, any case."""
    settings = load("table.include.list=public.orders,sales\\.o.*", "schema.exclude.list=audit")
    assert settings.wants_table("public", "Orders")
    assert settings.wants_table("sales", "offers")
    assert not settings.wants_table("public", "orders_old")
    assert not settings.wants_table("audit", "orders")


def test_pass_through_keys_are_collected() -> None:
    """Topic settings and librdkafka properties, from the environment too."""
    settings = load(
        "topic.creation.default.retention.ms=5", "producer.override.acks=all",
        PRODUCER_PRODUCER_OVERRIDE_LINGER_MS="7",
    )  # fmt: skip
    assert settings.topic_creation_config == {"retention.ms": "5"}
    assert settings.producer_override == {"acks": "all", "linger.ms": "7"}


@pytest.mark.parametrize(
    "wanted",
    [
        "replication.method=FULL_TABLE", "plugin.name=pgoutput", "slot.failover=true", "column.exclude.list=a.b.c",
        "message.key.columns=a.b:c", "message.prefix.include.list=x", "snapshot.mode=always",
        "snapshot.mode=when_needed",
        "snapshot.select.statement.overrides=a.b", "decimal.handling.mode=string", "time.precision.mode=connect",
        "interval.handling.mode=numeric", "array.handling.mode=string", "hstore.handling.mode=map",
        "binary.handling.mode=hex", "avro.logical.types=true", "unchanged.toast.handling=null",
        "value.nullability=table",
        "column.mask.with.5.chars=a.b.c", "column.mask.hash.v2.SHA-256.with.salt.xy=a.b.c",
        "provide.transaction.metadata=true", "heartbeat.interval.ms=5", "exactly.once.support=required",
        "errors.tolerance=all", "slot.max.retained.bytes=1", "slot.retention.action=drop_slot", "http.listen=:80",
        "value.subject.name.strategy=RecordNameStrategy", "slot.drop.on.stop=true",
    ],
)  # fmt: skip
def test_what_a_later_release_brings_is_refused_by_name(wanted: str) -> None:
    """Never ignored."""
    with pytest.raises(NotSupportedYet) as caught:
        load(wanted)
    assert wanted.partition("=")[0] in caught.value.message
    assert "not supported yet" in caught.value.message


@pytest.mark.parametrize(
    "wanted",
    [
        "snapshot.mode=no_data", "snapshot.mode=never", "snapshot.mode=initial_only", "hosting.platform=rds",
        "skipped.operations=t", "skipped.operations=none", "tasks.max=1", "connector.class=PostgresConnector",
        "value.subject.name.strategy=io.confluent.kafka.serializers.subject.TopicNameStrategy",
        "max.queue.size.in.bytes=1", "errors.retry.timeout=-1", "log.format=JSON",
    ],
)  # fmt: skip
def test_what_is_supported_is_taken(wanted: str) -> None:
    """Defaults may be written down."""
    load(wanted)


def test_the_page_is_made_from_the_code() -> None:
    """docs/settings.md is what `python -m producer.settings` prints."""
    assert (ROOT / "docs" / "settings.md").read_text() == document()
