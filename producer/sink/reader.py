"""Reading table topics back, decoded: what `tail` prints and tests compare.

Room: sink (IO: Kafka). Confluent's wire format (0x00, four-byte schema id, Avro body); Avro
specification 1.12, "Data Serialization and Deserialization". fastavro decodes: it shares nothing
with the transcoder that wrote.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import fastavro
from fastavro.types import Schema

from producer import observe
from producer.errors import DecodeError
from producer.sink.consume import LogReader, Place, consumer_config
from producer.sink.protocol import RawRecord

_log = observe.logger(__name__)

_MAGIC = 0
_HEAD = 5
_DISCOVER_SECONDS = 5.0
# Their Python types hold less than Avro's numbers do (a date beyond year 9999): read as numbers.
_PLAIN = ("date", "time-", "timestamp-", "local-timestamp-", "duration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record with key and value decoded; a tombstone's value is None."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: object
    value: object
    headers: tuple[tuple[str, bytes | None], ...] = ()


def table_topics(prefix: str) -> re.Pattern[str]:
    """The topics of a connector's tables: `<prefix>.<schema>.<table>`, none of its others."""
    return re.compile(re.escape(prefix) + r"\.[^.]+\..+")


class Decoder:
    """Decodes raw records; `schema_of` gives a schema's text by its id."""

    def __init__(self, schema_of: Callable[[int], str]) -> None:
        self._schema_of = schema_of
        self._parsed: dict[int, Schema] = {}

    def decode(self, raw: RawRecord) -> Record:
        """One record decoded.

        Raises:
            DecodeError: key or value is not in Confluent's wire format, or not of its schema.
        """
        return Record(
            topic=raw.topic,
            partition=raw.partition,
            offset=raw.offset,
            timestamp_ms=raw.timestamp_ms,
            key=self._decode(raw, "key", raw.key),
            value=self._decode(raw, "value", raw.value),
            headers=raw.headers,
        )

    def _decode(self, raw: RawRecord, part: str, data: bytes | None) -> object:
        if data is None:
            return None
        where = f"topic {raw.topic} [{raw.partition}], offset {raw.offset}: the {part}"
        if len(data) < _HEAD or data[0] != _MAGIC:
            raise DecodeError(
                f"{where} is not in Confluent's wire format ({len(data)} bytes)",
                remedy="another program writes to this topic: name only the tables' topics",
            )
        number = int.from_bytes(data[1:_HEAD], "big")
        body = io.BytesIO(data)
        body.seek(_HEAD)
        schema = self._schema(number)
        try:
            value: object = fastavro.schemaless_reader(body, schema, None)
        except (EOFError, ValueError, IndexError, KeyError, TypeError, ArithmeticError) as error:
            raise DecodeError(
                f"{where} does not follow its schema (id {number}): {type(error).__name__}",
                remedy="is schema.registry.url the registry that the producer used?",
            ) from None
        if body.tell() != len(data):
            raise DecodeError(
                f"{where} is longer than its schema (id {number}) says: {len(data) - body.tell()} bytes",
                remedy="is schema.registry.url the registry that the producer used?",
            )
        return value

    def _schema(self, number: int) -> Schema:
        if number not in self._parsed:
            self._parsed[number] = fastavro.parse_schema(lossless(json.loads(self._schema_of(number))))
        return self._parsed[number]


class TopicReader:
    """Reads topics without a consumer group; `schema_of` gives a schema's text by its id."""

    def __init__(self, bootstrap_servers: str, overrides: Mapping[str, str], schema_of: Callable[[int], str]) -> None:
        self._config = consumer_config(bootstrap_servers, overrides)
        self.decode = Decoder(schema_of).decode

    def records(
        self, topics: Sequence[str] | re.Pattern[str], *, from_beginning: bool = True, once: bool = False
    ) -> Iterator[Record]:
        """Every record of the topics named, or of all whose whole name matches.

        `once` stops at the ends seen at the start; else it goes on for ever, and topics and
        partitions made later are found within seconds and read from their beginning.

        Raises:
            DecodeError: a record is not in Confluent's wire format, or not of its schema.
        """
        reader = LogReader(self._config)
        try:
            known = reader.topics()
            for name in () if isinstance(topics, re.Pattern) else topics:
                if name not in known:
                    _log.warning(
                        "there is no such topic" if once else "there is no such topic yet",
                        topic=name, remedy="is the table written as schema.table, and was it ever captured?",
                    )  # fmt: skip
            reader.add(reader.watermarks(_wanted(reader, topics)), from_beginning=from_beginning)
            discovered = time.monotonic()
            while reader.behind or not once:
                for raw in reader.poll(to_end=once):
                    yield self.decode(raw)
                if not once and time.monotonic() - discovered > _DISCOVER_SECONDS:
                    reader.add(reader.watermarks(_wanted(reader, topics)), from_beginning=True)
                    discovered = time.monotonic()
        finally:
            reader.close()


def as_json(record: Record) -> dict[str, object]:
    """The record as a JSON document: decimals, NaN and infinities as strings, bytes in base64."""
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": plain(record.key),
        "value": plain(record.value),
        "headers": [[name, _header(value)] for name, value in record.headers],
    }


def plain(value: object) -> object:
    """A decoded value as JSON can hold it."""
    match value:
        case dict():
            return {str(name): plain(item) for name, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case bytes():
            return base64.b64encode(value).decode()
        case float() if math.isnan(value):
            return "NaN"
        case float() if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        case Decimal():
            return format(value, "f") if value.is_finite() else str(value)
        case UUID():
            return str(value)
    return value


def _header(value: bytes | None) -> str | None:
    """Text as it is; what is no text (a framed key) in base64."""
    try:
        text = None if value is None else value.decode()
    except UnicodeDecodeError:
        text = "\0"
    return text if text is None or text.isprintable() else base64.b64encode(value or b"").decode()


def lossless(schema: Schema) -> Schema:
    """The schema without the logical types whose Python form holds less than the number."""
    if isinstance(schema, list):
        return [lossless(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    logical = str(schema.get("logicalType", ""))
    return {
        name: lossless(item) if name in ("type", "items", "values", "fields") else item
        for name, item in schema.items()
        if not (name == "logicalType" and logical.startswith(_PLAIN))
    }


def _wanted(reader: LogReader, topics: Sequence[str] | re.Pattern[str]) -> list[Place]:
    """The partitions of the topics that are not read yet."""
    return sorted(
        (name, partition)
        for name, partitions in reader.topics().items()
        if (topics.fullmatch(name) if isinstance(topics, re.Pattern) else name in topics)
        for partition in partitions
        if (name, partition) not in reader.assigned
    )
