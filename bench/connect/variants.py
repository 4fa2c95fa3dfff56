"""The settings of Debezium's PostgreSQL connector in each variant that is compared; why: bench/README.md."""

from __future__ import annotations

from bench.connect.converter import CONVERTER
from dev.stack import Stack

_TUNED = {
    "max.batch.size": "20000",
    "max.queue.size": "100000",
    "poll.interval.ms": "10",
    "snapshot.max.threads": "2",
    "producer.override.compression.type": "lz4",
    "producer.override.linger.ms": "50",
    "producer.override.batch.size": "524288",
}
_JSON = {
    "{}.converter": "org.apache.kafka.connect.json.JsonConverter",
    "{}.converter.schemas.enable": "false",
}
_AVRO = {"{}.converter": CONVERTER}
VARIANTS = {
    "debezium-default-json": ({}, _JSON),
    "debezium-tuned-json": (_TUNED, _JSON),
    "debezium-default-avro": ({}, _AVRO),
    "debezium-tuned-avro": (_TUNED, _AVRO),
}


def settings(stack: Stack, variant: str, database: str, slot: str, tables: str, snapshot: str) -> dict[str, str]:
    """A connector's: `tables` is Debezium's regular expression, `snapshot` its mode."""
    chosen, converter = VARIANTS[variant]
    converters = {
        name.format(side): value.format(side) for name, value in converter.items() for side in ("key", "value")
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
        "table.include.list": tables,
        "topic.prefix": slot,
        "snapshot.mode": snapshot,
        # The broker makes no topics by itself; as many partitions as pg-producer's topics have.
        "topic.creation.default.replication.factor": "1",
        "topic.creation.default.partitions": "1",
        "key.converter.schema.registry.url": stack.registry_url,
        "value.converter.schema.registry.url": stack.registry_url,
        **converters,
        **chosen,
    }
