"""Patterns: keys with free parts, secrets, refused overrides."""

from __future__ import annotations

import pytest

from producer.settings import patterns

PRODUCER = "producer.override."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("acks", "1"), ("acks", "0"), ("request.required.acks", "1"), ("enable.idempotence", "false"),
        ("max.in.flight", "6"), ("max.in.flight.requests.per.connection", "1000"), ("message.timeout.ms", "300000"),
        ("delivery.timeout.ms", "1"), ("retries", "0"), ("retries", "²"), ("message.send.max.retries", "0"),
        ("partitioner", "random"),
        ("enable.gapless.guarantee", "true"), ("transactional.id", "x"), ("queuing.strategy", "lifo"),
        ("bootstrap.servers", "x:1"), ("metadata.broker.list", "x:1"), ("dr_msg_cb", "x"), ("stats_cb", "x"),
        ("on_delivery", "x"), ("logger", "x"), ("delivery.report.only.error", "true"), ("default.topic.config", "x"),
    ],
)  # fmt: skip
def test_what_keeps_order_and_durability_stays(name: str, value: str) -> None:
    ((key, why),) = patterns.refused_overrides(PRODUCER, {name: value, "linger.ms": "5"})
    assert key == PRODUCER + name
    assert why


def test_defaults_may_be_written_down() -> None:
    harmless = {
        "acks": "-1", "enable.idempotence": "true", "max.in.flight": "5", "message.timeout.ms": "0", "retries": "9",
        "partitioner": "murmur2_random", "compression.type": "zstd", "sasl.password": "x",
    }  # fmt: skip
    assert not patterns.refused_overrides(PRODUCER, harmless)
    assert not patterns.refused_overrides("consumer.override.", {"retries": "0"})


def test_secret_keys() -> None:
    for key in ("database.password", "schema.registry.basic.auth.user.info", "sasl.password", "ssl.key.pem",
                "sasl.oauthbearer.client.secret", "basic.auth.user.info"):  # fmt: skip
        assert patterns.is_secret(key)
    assert not patterns.is_secret("linger.ms")
