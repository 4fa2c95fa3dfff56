"""The settings of Debezium's PostgreSQL connector in each variant that is compared; why: bench/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.connect.converter import CONVERTER
from dev.stack import Stack


@dataclass(frozen=True, slots=True)
class _Variant:
    converter: Mapping[str, str]
    """For the key and for the value."""
    tuned: Mapping[str, str]
    prompt: Mapping[str, str]
    """What is set otherwise where latency is measured."""


_JSON = {"converter": "org.apache.kafka.connect.json.JsonConverter", "converter.schemas.enable": "false"}
_AVRO = {"converter": CONVERTER}
_DEFAULT: Mapping[str, str] = {}
_TUNED = {
    "max.batch.size": "20000",
    "max.queue.size": "100000",
    "poll.interval.ms": "10",
    "snapshot.max.threads": "2",
    # Four headers on each record that say which connector sent it.
    "extended.headers.enabled": "false",
    "producer.override.compression.type": "lz4",
    "producer.override.linger.ms": "50",
    "producer.override.batch.size": "524288",
}
_PROMPT = {"producer.override.linger.ms": "0"}
VARIANTS = {
    "debezium-default-json": _Variant(_JSON, _DEFAULT, _DEFAULT),
    "debezium-tuned-json": _Variant(_JSON, _TUNED, _PROMPT),
    "debezium-default-avro": _Variant(_AVRO, _DEFAULT, _DEFAULT),
    "debezium-tuned-avro": _Variant(_AVRO, _TUNED, _PROMPT),
}


def settings(
    stack: Stack, variant: str, database: str, slot: str, prefix: str, snapshot: str, *, prompt: bool
) -> dict[str, str]:
    """A connector's, for all public tables of a database: `snapshot` is its mode, `prompt` for latency."""
    chosen = VARIANTS[variant]
    converter = {
        **chosen.converter,
        **({"converter.schema.registry.url": stack.registry_url} if chosen.converter is _AVRO else {}),
    }
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "tasks.max": "1",
        "database.hostname": stack.postgres_host,
        "database.port": str(stack.postgres_port),
        "database.user": stack.postgres_user,
        "database.password": stack.postgres_password,
        "database.dbname": database,
        "slot.name": slot,
        "publication.name": slot,
        "publication.autocreate.mode": "filtered",
        "schema.include.list": "public",
        "topic.prefix": prefix,
        "snapshot.mode": snapshot,
        # The broker makes no topics by itself; as many partitions as pg-producer's topics have.
        "topic.creation.default.replication.factor": "1",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.message.timestamp.type": "LogAppendTime",
        **{f"{side}.{name}": value for side in ("key", "value") for name, value in converter.items()},
        **chosen.tuned,
        **(chosen.prompt if prompt else {}),
    }
