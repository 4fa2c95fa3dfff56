"""The model: what follows from what, what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from producer.errors import SettingsError
from producer.settings import Settings, load_settings
from producer.settings.model import FIELDS

SECRET = (
    "database.password=hunter2", "producer.override.sasl.password=hunter2", "schema.registry.ssl.key.password=hunter2",
    "schema.registry.basic.auth.user.info=me:hunter2",
)  # fmt: skip


def load(*sets: str) -> Settings:
    return load_settings(None, ["topic.prefix=shop", *sets], {}).settings


def test_a_field_is_named_as_its_key() -> None:
    assert {key.replace(".", "_") for key in FIELDS} == set(FIELDS.values())
    for name in FIELDS.values():
        assert Settings.model_fields[name].description


def test_every_key_of_the_defaults_is_one_word_a_part() -> None:
    """So that a variable's name tells the key."""
    assert all(re.fullmatch(r"[a-z0-9]+(\.[a-z0-9]+)*", key) for key in FIELDS)


def test_names_that_follow_from_others() -> None:
    """Connector, slot, publication, dead-letter topic."""
    settings = load("database.dbname=Shop-DB")
    assert settings.name == "shop"
    assert settings.slot_name == "producer_shop_db"
    assert settings.publication_name == "producer_Shop-DB"
    assert settings.errors_deadletterqueue_topic_name == "shop.deadletter"
    assert load("slot.name=pipelinewise_x").slot_name == "pipelinewise_x"
    assert load(f"database.dbname={'é' * 63}").slot_name == "producer_" + "_" * 54


def test_filters_select_tables() -> None:
    settings = load("table.include.list=public.orders,sales\\.o.*", "schema.exclude.list=audit")
    assert settings.wants_table("public", "Orders")
    assert settings.wants_table("sales", "offers")
    assert not settings.wants_table("public", "orders_old")
    assert not settings.wants_table("audit", "orders")


def test_pass_through_keys_are_collected() -> None:
    settings = load("topic.creation.default.retention.ms=5", "producer.override.acks=all")
    assert settings.topic_creation_config == {"retention.ms": "5"}
    assert settings.producer_override == {"acks": "all"}
    assert load().producer_override == {}


def test_secrets_are_never_shown() -> None:
    settings = load(*SECRET)
    for shown in (repr(settings), str(settings), str(settings.describe()), settings.model_dump_json(),
                  str(settings.model_dump()), repr([settings])):  # fmt: skip
        assert "hunter2" not in shown
    assert settings.describe()["database.password"] == "********"
    assert settings.describe()["producer.override.sasl.password"] == "********"


def test_what_is_described_can_be_loaded_again() -> None:
    """Every kind of value in the way it is written."""
    settings = load(
        *SECRET, r"table.include.list=a\.b{1\,2},c\.d", "database.initial.statements=SET a TO 'x;;y'; SET b TO 1",
        "skipped.operations=t,d", "topic.creation.default.retention.ms=5", "tombstones.on.delete=FALSE",
    )  # fmt: skip
    plain = settings.describe(mask_secrets=False)
    again = load(*(f"{key}={value}" for key, value in plain.items() if value))
    assert again == settings
    assert again.describe(mask_secrets=False) == plain
    assert load().describe()["skipped.operations"] == "none"


def test_nothing_changes_afterwards() -> None:
    with pytest.raises(ValidationError):
        load().log_level = "debug"


@pytest.mark.parametrize(
    "wrong",
    [
        "database.port=0", "database.port=x", "database.sslmode=maybe", "database.hostname= ", "slot.name=Upper",
        f"slot.name={'a' * 64}", "topic.prefix=a b", "topic.creation.default.partitions=0",
        "topic.creation.default.replication.factor=0", "bootstrap.servers=", "bootstrap.servers=a:0",
        "bootstrap.servers=a:99999", "bootstrap.servers=a b", "schema.registry.url=registry:8081",
        "schema.registry.url=", "schema.registry.url=http://", "schema.registry.url=http://a:x", "log.level=loud",
        "skipped.operations=x", "skipped.operations=none,c", "skipped.operations=c,u,d,t",
        "tombstones.on.delete=1", "max.queue.size.in.bytes=0", "errors.retry.timeout=-2", "http.listen=8080",
        "http.listen=:65536", "http.listen=a b:1", "http.listen=a..b:1", "database.hostname=a..b",
        f"database.hostname={'a' * 64}.b", "http.basic.auth.user.info=x", "http.basic.auth.user.info=:x",
        "errors.deadletterqueue.topic.name=a/b", "value.subject.name.strategy=x", "hosting.platform=a b",
        "errors.retry.delay.max.ms=0", "snapshot.max.threads=0", "heartbeat.interval.ms=-1",
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(wrong: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(wrong)
    assert caught.value.message.startswith(wrong.partition("=")[0] + ": ")


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("bootstrap.servers= a:1 , [::1]:9092,b", "a:1,[::1]:9092,b"),
        ("schema.registry.url=http://a, https://b:1/x", "http://a,https://b:1/x"),
        ("topic.creation.default.partitions=-1", "-1"), ("skipped.operations= T , d", "d,t"),
        ("value.subject.name.strategy=io.confluent.kafka.serializers.subject.TopicNameStrategy", "TopicNameStrategy"),
        ("hosting.platform=Some-Where", "some-where"), ("log.format=JSON", "json"), ("log.level=WARN", "warn"),
        ("replication.method=log_based", "LOG_BASED"), ("database.hostname= größe.example. ", "größe.example."),
        ("database.hostname=/a/..b,::1,@c..d", "/a/..b,::1,@c..d"), ("http.listen=[::1]:0", "[::1]:0"),
        ("max.queue.size.in.bytes=1", "1"),
    ],
)  # fmt: skip
def test_what_is_written_otherwise_is_taken(written: str, taken: str) -> None:
    key, _, value = written.partition("=")
    assert load(f"{key}={value}").describe()[key] == taken


def test_modules_stay_small() -> None:
    for path in (Path(__file__).parents[3] / "producer" / "settings").glob("*.py"):
        assert len(path.read_text().splitlines()) < 300, path
