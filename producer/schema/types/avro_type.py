"""An Avro type with the form that writes it, and the modes that choose among several.

Room: schema (pure). Attributes as Connect's AvroConverter writes them for Debezium.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from producer.settings import Settings
from producer.transcode.plan import Form, ValuePlan
from producer.transcode.source_block import string

Schema = str | dict[str, Any]

# What a NOT NULL column holds in a before-image that does not have it: Debezium's fallbacks.
ZERO = b"\x00"
EMPTY = string("")


@dataclass(frozen=True, slots=True, kw_only=True)
class AvroType:
    """An Avro type, without the null of its union, and how its text is written."""

    schema: Schema
    """As JSON; attributes as Connect's AvroConverter writes them."""
    value: ValuePlan
    fallback: bytes
    """The Avro body that Debezium invents for it: 0, "", false, the epoch."""

    @property
    def array_depth(self) -> int:
        """How deep an array's values must be; 0 for what is none."""
        return self.value.depth if self.value.form is Form.ARRAY else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """The settings that choose how types are sent, and the prefix of the names of composite types."""

    prefix: str = ""
    decimals: Literal["precise", "double", "string"] = "precise"
    times: Literal["adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"] = (
        "adaptive"
    )
    intervals: Literal["string", "numeric"] = "string"
    arrays: Literal["array", "string"] = "array"
    hstores: Literal["json", "map"] = "json"
    binaries: Literal["bytes", "base64", "base64-url-safe", "hex"] = "bytes"
    money_digits: int = 2
    logical_types: bool = False
    """Add Avro's own logical types beside the semantic names."""
    not_null: bool = False
    """Columns that are NOT NULL are not nullable in Value."""
    exact_labels: bool = True
    """False: an enum's label need not be one that the schema lists."""

    @classmethod
    def of(cls, settings: Settings) -> Modes:
        """Those of a connector."""
        return cls(
            prefix=settings.topic_prefix,
            decimals=settings.decimal_handling_mode,
            times=settings.time_precision_mode,
            intervals=settings.interval_handling_mode,
            arrays=settings.array_handling_mode,
            hstores=settings.hstore_handling_mode,
            binaries=settings.binary_handling_mode,
            money_digits=settings.money_fraction_digits,
            logical_types=settings.avro_logical_types,
            not_null=settings.value_nullability == "table",
        )


Make = Callable[[int, Modes], AvroType]
"""A row of the table: the type's modifier (-1: none) and the modes -> its Avro type."""


def plain(schema: Schema, form: Form, fallback: bytes = ZERO) -> AvroType:
    """A type without a semantic name."""
    return AvroType(schema=schema, value=ValuePlan(form=form), fallback=fallback)


TEXT = plain("string", Form.STRING, EMPTY)


def as_text(display_name: str) -> AvroType:
    """The server's text, with the type's name beside it."""
    return plain({"type": "string", "postgres.type": display_name}, Form.STRING, EMPTY)


def semantic(
    name: str,
    type: str = "string",
    value: ValuePlan | Form = Form.STRING,
    *,
    fallback: bytes | None = None,
    parameters: dict[str, str] | None = None,
    logical: str | None = None,
) -> AvroType:
    """A type with a semantic name (`connect.name`), version 1."""
    schema: dict[str, Any] = {"type": type, "connect.version": 1}
    if parameters is not None:
        schema["connect.parameters"] = parameters
    schema["connect.name"] = name
    if logical is not None:
        schema["logicalType"] = logical
    if fallback is None:
        fallback = EMPTY if type == "string" else ZERO
    return AvroType(
        schema=schema, value=value if isinstance(value, ValuePlan) else ValuePlan(form=value), fallback=fallback
    )


def by_function(type: AvroType, function: Callable[[bytes], bytes]) -> AvroType:
    """The same type, written by a Python function: text -> Avro body."""
    return replace(type, value=ValuePlan(form=Form.FUNCTION, function=function))
