"""The table of types: a PostgreSQL type -> its Avro type, and the form that writes it.

Room: schema (pure). docs/types.md is tested against it. A type that is not in the table is sent as
the server's text, with `postgres.type`.
"""

from __future__ import annotations

from typing import Any

from producer.events import PgType
from producer.schema.topics import avro_name, namespace
from producer.schema.types import binary, extensions, numbers, spatial, temporal
from producer.schema.types.avro_type import TEXT, ZERO, AvroType, Make, Modes, as_text, plain, semantic
from producer.transcode.plan import Form, ValuePlan

# Of category array, but printed without braces.
_NO_ARRAYS = frozenset({"int2vector", "oidvector"})


def avro_type(type: PgType, typmod: int, dimensions: int, modes: Modes) -> AvroType:
    """The Avro type of a column, attribute or element.

    `typmod` is atttypmod (-1: none), `dimensions` is attndims: an array declared with none (LIKE,
    CREATE TABLE AS forget it) has one.
    """
    if type.kind == "domain" and type.base is not None:
        modifier = type.base_typmod if type.base_typmod >= 0 else typmod
        return avro_type(type.base, modifier, type.base_dimensions or dimensions, modes)
    if type.element is not None and type.name not in _NO_ARRAYS:
        return _array(type.element, typmod, max(dimensions, 1), modes)
    if type.kind == "enum":
        return _enum(type, modes)
    if type.kind in ("range", "multirange"):
        return TEXT
    if type.kind == "composite":
        return _composite(type, modes)
    if type.kind != "base":
        return as_text(type.display_name)
    make = _TABLE.get(type.name) if type.schema == "pg_catalog" else _EXTENSIONS.get(type.name)
    return make(typmod, modes) if make else as_text(type.display_name)


def _array(element: PgType, typmod: int, depth: int, modes: Modes) -> AvroType:
    if modes.arrays == "string":
        return as_text(element.display_name + "[]" * depth)
    item = avro_type(element, typmod, 0, modes)
    schema = item.schema
    for _ in range(depth):
        schema = {"type": "array", "items": ["null", schema]}
    value = ValuePlan(form=Form.ARRAY, element=item.value, depth=depth, delimiter=element.delimiter)
    return AvroType(schema=schema, value=value, fallback=ZERO)


def _enum(type: PgType, modes: Modes) -> AvroType:
    labels = frozenset(label.encode() for label in type.labels) if modes.exact_labels else frozenset()
    value = ValuePlan(form=Form.ENUM, labels=labels)
    return semantic("io.debezium.data.Enum", value=value, parameters={"allowed": ",".join(type.labels)})


def _composite(type: PgType, modes: Modes) -> AvroType:
    """A record; each attribute may be null."""
    types = [avro_type(field.type, field.typmod, field.dimensions, modes) for field in type.fields]
    schema: dict[str, Any] = {
        "type": "record",
        "name": avro_name(type.name),
        "namespace": namespace(modes.prefix, type.schema),
        "fields": [nullable_field(field.name, of.schema) for field, of in zip(type.fields, types, strict=True)],
        "postgres.type": type.display_name,
    }
    schema["connect.name"] = f"{schema['namespace']}.{schema['name']}"
    value = ValuePlan(form=Form.COMPOSITE, attributes=tuple(of.value for of in types))
    return AvroType(schema=schema, value=value, fallback=ZERO * len(types))


def nullable_field(name: str, schema: Any) -> dict[str, Any]:
    """A record's field that may be null; `postgres.name` keeps a name that Avro refuses."""
    legal = avro_name(name)
    field: dict[str, Any] = {"name": legal, "type": ["null", schema], "default": None}
    if legal != name:
        field["postgres.name"] = name
    return field


def _same(type: AvroType) -> Make:
    return lambda _typmod, _modes: type


def _uuid(_typmod: int, modes: Modes) -> AvroType:
    return semantic("io.debezium.data.Uuid", logical="uuid" if modes.logical_types else None)


_LONG = plain("long", Form.LONG)
_JSON = semantic("io.debezium.data.Json")

_TABLE: dict[str, Make] = {
    "int2": _same(plain({"type": "int", "connect.type": "int16"}, Form.LONG)),
    "int4": _same(plain("int", Form.LONG)),
    "int8": _same(_LONG),
    "oid": _same(_LONG),
    "xid": _same(_LONG),
    "bool": _same(plain("boolean", Form.BOOLEAN)),
    "float4": _same(plain("float", Form.FLOAT, ZERO * 4)),
    "float8": _same(plain("double", Form.DOUBLE, ZERO * 8)),
    "numeric": numbers.numeric,
    "money": numbers.money,
    "bytea": binary.bytea,
    "bit": binary.bit,
    "varbit": binary.varbit,
    "date": temporal.date,
    "time": temporal.time,
    "timetz": temporal.timetz,
    "timestamp": temporal.timestamp,
    "timestamptz": temporal.timestamptz,
    "interval": temporal.interval,
    "uuid": _uuid,
    "json": _same(_JSON),
    "jsonb": _same(_JSON),
    "xml": _same(semantic("io.debezium.data.Xml")),
    "tsvector": _same(semantic("io.debezium.data.Tsvector")),
    "point": spatial.point,
    **dict.fromkeys(
        (
            "text", "varchar", "bpchar", "name", "char", "xid8", "inet", "cidr", "macaddr", "macaddr8",
            "line", "lseg", "box", "path", "polygon", "circle",
        ),
        _same(TEXT),
    ),
}  # fmt: skip
# Types that extensions make, in whatever schema they were put.
_EXTENSIONS: dict[str, Make] = {
    "citext": _same(TEXT),
    "ltree": _same(semantic("io.debezium.data.Ltree")),
    "hstore": extensions.hstore,
    "vector": extensions.vector,
    "halfvec": extensions.halfvec,
    "geometry": spatial.geometry,
    "geography": spatial.geography,
}
