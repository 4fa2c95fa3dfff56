"""hstore by `hstore.handling.mode`, and pgvector's vectors.

Room: schema (pure). PostgreSQL manual, "hstore"; pgvector's README.
"""

from __future__ import annotations

import json
import re
import struct

from producer.schema.types.avro_type import ZERO, AvroType, Modes, by_function, semantic
from producer.transcode.plan import Form, FormError, ValuePlan
from producer.transcode.source_block import long, string

_STRING = rb'"((?:[^"\\]|\\.)*)"'
_PAIR = re.compile(rb"(?:, )?" + _STRING + rb"=>(?:" + _STRING + rb"|NULL)", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def hstore(_typmod: int, modes: Modes) -> AvroType:
    """A JSON object, null values kept; or an Avro map of nullable strings."""
    if modes.hstores == "map":
        return AvroType(
            schema={"type": "map", "values": ["null", "string"]},
            value=ValuePlan(form=Form.FUNCTION, function=_map),
            fallback=ZERO,
        )
    return by_function(semantic("io.debezium.data.Json", fallback=string("{}")), _json)


def _pairs(text: bytes) -> dict[str, str | None]:
    pairs: dict[str, str | None] = {}
    at = 0
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is None:
            raise FormError("the value is no hstore", "report it")
        key, value = found.groups()
        pairs[_unescaped(key)] = None if value is None else _unescaped(value)
        at = found.end()
    return pairs


def _unescaped(text: bytes) -> str:
    return _ESCAPED.sub(rb"\1", text).decode()


def _json(text: bytes) -> bytes:
    return string(json.dumps(_pairs(text), ensure_ascii=False, separators=(",", ":")))


def _map(text: bytes) -> bytes:
    pairs = _pairs(text)
    if not pairs:
        return ZERO
    entries = (string(key) + (b"\x00" if value is None else b"\x02" + string(value)) for key, value in pairs.items())
    return long(len(pairs)) + b"".join(entries) + ZERO


def vector(_typmod: int, _modes: Modes) -> AvroType:
    """pgvector's vector: an array of doubles."""
    return _vector("DoubleVector", "double", struct.Struct("<d"))


def halfvec(_typmod: int, _modes: Modes) -> AvroType:
    """pgvector's halfvec: an array of floats."""
    return _vector("FloatVector", "float", struct.Struct("<f"))


def _vector(name: str, item: str, number: struct.Struct) -> AvroType:
    def write(text: bytes) -> bytes:
        items = text.removeprefix(b"[").removesuffix(b"]").split(b",")
        return long(len(items)) + b"".join(number.pack(float(one)) for one in items) + ZERO

    return AvroType(
        schema={"type": "array", "items": item, "connect.version": 1, "connect.name": f"io.debezium.data.{name}"},
        value=ValuePlan(form=Form.FUNCTION, function=write),
        fallback=ZERO,
    )
