"""The topics beside the tables': transaction metadata, heartbeats, logical messages.

Room: pipeline (IO through the stages it is given). docs/topics.md.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import fastavro

from producer.schema import fixed
from producer.schema.fixed import AvroSchema
from producer.schema.registry import Registry
from producer.schema.topics import subjects
from producer.settings import Settings
from producer.sink.protocol import Sink

Fields = Mapping[str, object]


class SideTopic:
    """A topic whose records are of fixed schemas."""

    def __init__(self, name: str, key: AvroSchema, value: AvroSchema) -> None:
        self.name = name
        self.schemas = [
            (subject, json.dumps(schema, separators=(",", ":")))
            for subject, schema in zip(subjects(name), (key, value), strict=True)
        ]
        """(subject, schema) of key and value."""
        self._key = fastavro.parse_schema(key)
        self._value = fastavro.parse_schema(value)
        self._key_frame = b""
        self.value_frame = b""

    def frame(self, key_id: int, value_id: int) -> None:
        """Begin keys and values with these ids, in Confluent's wire format."""
        self._key_frame, self.value_frame = (b"\x00" + id.to_bytes(4, "big") for id in (key_id, value_id))

    def key(self, fields: Fields) -> bytes:
        """A framed key."""
        return self._key_frame + _encoded(self._key, fields)

    def value(self, fields: Fields) -> bytes:
        """A framed value."""
        return self.value_frame + _encoded(self._value, fields)


class SideTopics:
    """Those that the settings ask for; None stands for one that is not."""

    def __init__(self, settings: Settings) -> None:
        prefix = settings.topic_prefix
        self.transactions: SideTopic | None = None
        self.heartbeats: SideTopic | None = None
        self.messages: SideTopic | None = None
        if settings.provide_transaction_metadata:
            self.transactions = SideTopic(
                f"{prefix}.transaction", fixed.TRANSACTION_METADATA_KEY, fixed.TRANSACTION_METADATA_VALUE
            )
        if settings.heartbeat_interval_ms:
            self.heartbeats = SideTopic(f"__debezium-heartbeat.{prefix}", fixed.HEARTBEAT_KEY, fixed.HEARTBEAT_VALUE)
        if settings.message_prefix_include_list:
            self.messages = SideTopic(f"{prefix}.message", fixed.MESSAGE_KEY, fixed.MESSAGE_VALUE)

    @property
    def asked(self) -> list[SideTopic]:
        """All of them."""
        return [topic for topic in (self.transactions, self.heartbeats, self.messages) if topic is not None]

    def prepare(self, sink: Sink, registry: Registry, settings: Settings) -> None:
        """Make sure of the topics, register the schemas.

        Raises:
            OperatorError: a topic is missing and may not be created, or Kafka or the registry refuses.
            KafkaUnavailable, RegistryUnavailable: as it says.
        """
        asked = self.asked
        if not asked:
            return
        sink.ensure_topics(
            [topic.name for topic in asked],
            partitions=1,
            replication_factor=settings.topic_creation_default_replication_factor,
            # They are logs of what happened: a key comes again and again, and each record counts.
            config={**settings.topic_creation_config, "cleanup.policy": "delete"},
            create=settings.topic_creation_enable,
        )
        ids = registry.register_all([pair for topic in asked for pair in topic.schemas])
        for topic, key_id, value_id in zip(asked, ids[::2], ids[1::2], strict=True):
            topic.frame(key_id, value_id)


def _encoded(schema: fastavro.types.Schema, fields: Fields) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, fields)
    return out.getvalue()
