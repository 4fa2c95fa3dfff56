"""The table of types: a PostgreSQL type -> its Avro type, and the form that writes it.

Room: schema (pure). docs/types.md; attributes as Connect's AvroConverter writes them for
Debezium. A type that is not in the table is sent as the server's text, with `postgres.type`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from producer.events import PgType
from producer.transcode.plan import Form, FormError
from producer.transcode.source_block import long

Schema = str | dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AvroType:
    """An Avro type, without the null of its union, and how its text is written."""

    schema: Schema
    """As JSON; attributes as Connect's AvroConverter writes them."""
    form: Form
    scale: int = 0
    """Decimals, for DECIMAL (also as `element`)."""
    element: Form | None = None
    """For ARRAY: how each element is written."""
    function: Callable[[bytes], bytes] | None = None
    """For FUNCTION (also as `element`)."""


def avro_type(type: PgType, typmod: int, dimensions: int) -> AvroType:
    """The Avro type of a column or element; what is not in the table is the server's text.

    `typmod` is atttypmod (-1: none), `dimensions` is attndims: an array column declared with none
    (LIKE, CREATE TABLE AS) or one is one-dimensional, one declared deeper is the server's text.
    """
    if type.kind == "domain" and type.base is not None:
        modifier = type.base_typmod if type.base_typmod >= 0 else typmod
        return avro_type(type.base, modifier, dimensions)
    if type.element is not None and type.name not in _VECTORS:
        return _array(type, type.element, typmod, dimensions)
    if type.kind == "enum":
        return _semantic("io.debezium.data.Enum", parameters={"allowed": ",".join(type.labels)})
    if type.kind in ("range", "multirange"):
        return AvroType(schema="string", form=Form.STRING)
    if type.kind != "base":
        return as_text(type.display_name)
    make = _TABLE.get(type.name) if type.schema == "pg_catalog" else _EXTENSIONS.get(type.name)
    return make(typmod) if make else as_text(type.display_name)


def as_text(display_name: str) -> AvroType:
    """The server's text, with the type's name beside it."""
    return AvroType(schema={"type": "string", "postgres.type": display_name}, form=Form.STRING)


# Of category array, but printed without braces.
_VECTORS = frozenset({"int2vector", "oidvector"})


def _array(type: PgType, element: PgType, typmod: int, dimensions: int) -> AvroType:
    item = avro_type(element, typmod, 0)
    if dimensions > 1 or item.form is Form.ARRAY or not _comma_separated(element):
        return as_text(element.display_name + "[]" * max(dimensions, 1))
    return AvroType(
        schema={"type": "array", "items": ["null", item.schema]},
        form=Form.ARRAY,
        element=item.form,
        scale=item.scale,
        function=item.function,
    )


def _comma_separated(element: PgType) -> bool:
    """Whether commas stand between an array's elements: box has `;`, PostGIS `:`, others who knows."""
    while element.base is not None:
        element = element.base
    if element.kind != "base":
        return True
    if element.schema == "pg_catalog":
        return element.name != "box"
    return element.name in _EXTENSIONS or element.name == "hstore"


def _plain(schema: Schema, form: Form) -> Callable[[int], AvroType]:
    return lambda _typmod: AvroType(schema=schema, form=form)


def _semantic(
    name: str,
    form: Form = Form.STRING,
    type: str = "string",
    parameters: dict[str, str] | None = None,
    function: Callable[[bytes], bytes] | None = None,
) -> AvroType:
    schema: dict[str, Any] = {"type": type, "connect.version": 1}
    if parameters is not None:
        schema["connect.parameters"] = parameters
    schema["connect.name"] = name
    return AvroType(schema=schema, form=form, function=function)


def _named(name: str, form: Form = Form.STRING, type: str = "string") -> Callable[[int], AvroType]:
    return lambda _typmod: _semantic(name, form, type)


def _numeric(typmod: int) -> AvroType:
    if typmod < 0:
        return AvroType(schema=_VARIABLE_SCALE_DECIMAL, form=Form.VARIABLE_DECIMAL)
    # numeric's modifier: precision in the high half, a signed scale of 11 bits in the low one, plus 4.
    precision = ((typmod - 4) >> 16) & 0xFFFF
    scale = ((typmod - 4) & 0x7FF ^ 1024) - 1024
    if scale < 0:
        precision, scale = precision - scale, 0
    return replace(decimal(max(precision, scale), scale), scale=scale)


def decimal(precision: int, scale: int) -> AvroType:
    """Connect's Decimal."""
    return AvroType(
        schema={
            "type": "bytes",
            "scale": scale,
            "precision": precision,
            "connect.version": 1,
            "connect.parameters": {"scale": str(scale), "connect.decimal.precision": str(precision)},
            "connect.name": "org.apache.kafka.connect.data.Decimal",
            "logicalType": "decimal",
        },
        form=Form.DECIMAL,
        scale=scale,
    )


_VARIABLE_SCALE_DECIMAL: dict[str, Any] = {
    "type": "record",
    "name": "VariableScaleDecimal",
    "namespace": "io.debezium.data",
    "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
    "connect.doc": "Variable scaled decimal",
    "connect.version": 1,
    "connect.name": "io.debezium.data.VariableScaleDecimal",
}

_MILLIS = 3


def _by_precision(millis: tuple[str, Form, str], micros: tuple[str, Form, str]) -> Callable[[int], AvroType]:
    """Up to three digits of a second are milliseconds; more, or none declared, microseconds."""

    def make(typmod: int) -> AvroType:
        name, form, type = millis if 0 <= typmod <= _MILLIS else micros
        return _semantic(f"io.debezium.time.{name}", form, type)

    return make


_ZONE = re.compile(rb"(\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d)((?::\d\d){0,2})")


def zoned_time(text: bytes) -> bytes:
    """A timetz's text -> `13:51:30.123789+02:00`, a zero offset as `Z`; an Avro string."""
    found = _ZONE.fullmatch(text)
    if found is None:
        raise FormError("the value is not the time that its type promises", "report it")
    clock, hours, rest = found.groups()
    offset = hours + (rest or b":00")
    zero = not offset.translate(None, b"+-0:")
    whole = clock + (b"Z" if zero else offset)
    return long(len(whole)) + whole


def _string(*names: str) -> dict[str, Callable[[int], AvroType]]:
    return {name: _plain("string", Form.STRING) for name in names}


_TABLE: dict[str, Callable[[int], AvroType]] = {
    "int2": _plain({"type": "int", "connect.type": "int16"}, Form.LONG),
    "int4": _plain("int", Form.LONG),
    "int8": _plain("long", Form.LONG),
    "oid": _plain("long", Form.LONG),
    "xid": _plain("long", Form.LONG),
    "bool": _plain("boolean", Form.BOOLEAN),
    "float4": _plain("float", Form.FLOAT),
    "float8": _plain("double", Form.DOUBLE),
    "numeric": _numeric,
    "bytea": _plain("bytes", Form.BYTES),
    "date": _named("io.debezium.time.Date", Form.DATE, "int"),
    "time": _by_precision(("Time", Form.TIME_MILLIS, "int"), ("MicroTime", Form.TIME_MICROS, "long")),
    "timestamp": _by_precision(
        ("Timestamp", Form.TIMESTAMP_MILLIS, "long"), ("MicroTimestamp", Form.TIMESTAMP_MICROS, "long")
    ),
    "timestamptz": _named("io.debezium.time.ZonedTimestamp", Form.ZONED_TIMESTAMP),
    "timetz": lambda _typmod: _semantic("io.debezium.time.ZonedTime", Form.FUNCTION, function=zoned_time),
    "interval": _named("io.debezium.time.Interval", Form.INTERVAL),
    "uuid": _named("io.debezium.data.Uuid"),
    "json": _named("io.debezium.data.Json"),
    "jsonb": _named("io.debezium.data.Json"),
    "xml": _named("io.debezium.data.Xml"),
    "tsvector": _named("io.debezium.data.Tsvector"),
    "xid8": lambda _typmod: AvroType(schema="string", form=Form.STRING),
    **_string(
        "text", "varchar", "bpchar", "name", "char", "inet", "cidr", "macaddr", "macaddr8",
        "line", "lseg", "box", "path", "polygon", "circle",
    ),
}  # fmt: skip
# Types that extensions make, in whatever schema they were put.
_EXTENSIONS: dict[str, Callable[[int], AvroType]] = {
    **_string("citext"),
    "ltree": _named("io.debezium.data.Ltree"),
}
