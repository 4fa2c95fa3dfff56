"""The fixed Avro records: what is the same for every table.

Room: schema (pure). Avro specification, "Schema Declaration". The single copy is the folder
schemas/, shipped in the wheel; a record there may name another of them, which is put in its place.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

AvroSchema = dict[str, Any]


def load(name: str) -> AvroSchema:
    """A record of schemas/, e.g. `source`, as it stands in its file."""
    text = (resources.files("producer.schemas") / f"{name}.avsc").read_text(encoding="utf-8")
    schema: AvroSchema = json.loads(text)
    return schema


SOURCE = load("source")
TRANSACTION_BLOCK = load("transaction_block")
_NAMED = {schema["connect.name"]: schema for schema in (SOURCE, TRANSACTION_BLOCK)}


def _whole(schema: Any) -> Any:
    """With the definition of each fixed record in place of its name (each is named but once)."""
    if isinstance(schema, list):
        return [_whole(item) for item in schema]
    if isinstance(schema, dict):
        return {key: _whole(item) if key in ("type", "items", "fields") else item for key, item in schema.items()}
    return _NAMED.get(schema, schema)


HEARTBEAT_KEY = load("heartbeat_key")
HEARTBEAT_VALUE = load("heartbeat_value")
TRANSACTION_METADATA_KEY = load("transaction_metadata_key")
TRANSACTION_METADATA_VALUE = load("transaction_metadata_value")
MESSAGE_KEY = load("message_key")
MESSAGE_VALUE: AvroSchema = _whole(load("message_value"))
