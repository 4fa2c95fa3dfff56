"""Dead letters as a test reads them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Any

from producer.schema.registry import Registry
from producer.sink.kafka import KafkaSink
from producer.sink.protocol import RawRecord
from producer.sink.reader import TopicReader
from tests.harness import Command


@dataclass(frozen=True)
class Letter:
    """One record of the dead-letter topic."""

    key: object
    """Decoded as the table's own key."""
    value: bytes
    headers: dict[str, str]

    @property
    def row(self) -> Any:
        """The source's row."""
        return json.loads(self.value)

    def ours(self, *names: str) -> tuple[str, ...]:
        """The headers `__producer.<name>`."""
        return tuple(self.headers[f"__producer.{name}"] for name in names)


def letters(command: Command) -> list[Letter]:
    """All dead letters of the connector, in their order."""
    sink = KafkaSink(command.bootstrap_servers, client_id="test")
    registry = Registry(command.stack.registry_url)
    reader = TopicReader(command.bootstrap_servers, {}, registry.schema)

    def letter(raw: RawRecord) -> Letter:
        key_only = RawRecord(
            topic=raw.topic, partition=raw.partition, offset=raw.offset, timestamp_ms=0, key=raw.key, value=None
        )
        headers = {name: (value or b"").decode() for name, value in raw.headers}
        assert len(headers) == len(raw.headers)
        return Letter(reader.decode(key_only).key, raw.value or b"", headers)

    with contextlib.closing(registry):
        found = [letter(raw) for raw in sink.read(f"{command.prefix}.deadletter", 10)]
    sink.close(1)
    return found
