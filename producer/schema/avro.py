"""A relation's Avro schemas: Key, Value and Envelope, as Debezium's AvroConverter writes them.

Room: schema (pure). Avro specification, "Schema Declaration".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from producer.events import Column, Relation
from producer.schema.fixed import SOURCE, TRANSACTION_BLOCK
from producer.schema.topics import namespace, topic_name
from producer.schema.types import AvroType, Modes, avro_type, nullable_field


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """A relation with its topic and the texts of its schemas."""

    relation: Relation
    topic: str
    key_schema: str | None
    """None: the topic has null keys."""
    value_schema: str


def table_schema(relation: Relation, *, modes: Modes) -> TableSchema:
    """The topic and schemas of a relation's records: the same text for the same relation."""
    space = namespace(modes.prefix, relation.schema, relation.name)
    key = None
    if relation.key:
        by_name = {column.name: column for column in relation.columns}
        fields = [_field(by_name[name], modes, nullable=False) for name in relation.key]
        key = _text(define_once(_record("Key", space, fields), set()))
    return TableSchema(
        relation=relation,
        topic=topic_name(modes.prefix, relation.schema, relation.name),
        key_schema=key,
        value_schema=_text(_envelope(relation, space, modes)),
    )


def column_type(column: Column, modes: Modes) -> AvroType:
    """The Avro type of a column."""
    return avro_type(column.type, column.typmod, column.dimensions, modes)


def is_nullable(column: Column, relation: Relation, modes: Modes) -> bool:
    """Whether Value holds it as a union with null."""
    return column.name not in relation.key and not (modes.not_null and column.not_null)


def _envelope(relation: Relation, space: str, modes: Modes) -> dict[str, Any]:
    fields = [_field(c, modes, nullable=is_nullable(c, relation, modes)) for c in relation.sent_columns]
    value = define_once(_record("Value", space, fields), set())
    return {
        **_record(
            "Envelope",
            space,
            [
                {"name": "before", "type": ["null", value], "default": None},
                {"name": "after", "type": ["null", "Value"], "default": None},
                {"name": "source", "type": SOURCE},
                {"name": "transaction", "type": ["null", TRANSACTION_BLOCK], "default": None},
                {"name": "op", "type": "string"},
                *({"name": name, "type": ["null", "long"], "default": None} for name in _TIMES),
            ],
        ),
        "connect.version": 2,
        "connect.name": f"{space}.Envelope",
    }


_TIMES = ("ts_ms", "ts_us", "ts_ns")


def _record(name: str, space: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    record: dict[str, Any] = {"type": "record", "name": name}
    if name != "Value":
        record["namespace"] = space
    return {**record, "fields": fields, "connect.name": f"{space}.{name}"}


def _field(column: Column, modes: Modes, *, nullable: bool) -> dict[str, Any]:
    schema = column_type(column, modes).schema
    field = nullable_field(column.name, schema)
    if not nullable:
        del field["default"]
        field["type"] = schema
    elif column.not_null:
        field["postgres.not_null"] = True
    return field


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


def define_once(schema: Any, defined: set[str]) -> Any:
    """A copy in which a named type is defined where it comes first; elsewhere its full name stands.

    `defined` holds the full names that are known already, and is added to.
    """
    if isinstance(schema, list):
        return [define_once(item, defined) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "record" and "namespace" in schema:
        full = f"{schema['namespace']}.{schema['name']}"
        if full in defined:
            return full
        defined.add(full)
    return {
        name: define_once(item, defined) if name in ("type", "items", "fields") else item
        for name, item in schema.items()
    }
