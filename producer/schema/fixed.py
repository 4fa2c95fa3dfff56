"""The fixed Avro records: what is the same for every table.

Room: schema (pure). The single copy is the folder schemas/, shipped in the wheel.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

AvroSchema = dict[str, Any]


def load(name: str) -> AvroSchema:
    """A record of schemas/, e.g. `source`."""
    text = (resources.files("producer.schemas") / f"{name}.avsc").read_text(encoding="utf-8")
    schema: AvroSchema = json.loads(text)
    return schema


SOURCE = load("source")
TRANSACTION_BLOCK = load("transaction_block")
