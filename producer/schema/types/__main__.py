"""`python -m producer.schema.types`: prints docs/types.md; Avro types and values are what the code makes.

Room: schema (IO: stdout).
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from typing import Any

import fastavro

from producer.schema.avro import define_once
from producer.schema.topics import avro_name
from producer.schema.types.avro_type import AvroType, Modes
from producer.schema.types.page import MODES, ROWS, Row
from producer.schema.types.table import avro_type
from producer.transcode.plan import ColumnPlan, TablePlan
from producer.transcode.walker import Walker

_HEAD = """# Types

Made from the code by `python -m producer.schema.types`: types and values below are what it makes. The base is
Debezium's mapping, so that its consumers understand ours; **Differs** marks where Debezium drops, rounds or disagrees
with itself.

Every column that is not part of the topic's key is a union of null and the type below, with default null; key columns
are the type itself. A column that is NOT NULL carries `"postgres.not_null": true` (`value.nullability=table` makes it
the type itself). The semantic name is the attribute `connect.name`, with `connect.version` 1 in most cases.

The same row gives the same bytes by snapshot and by stream. A value that its type cannot carry is a *conversion
failure*: it stops the producer with table, column, key and LSN. It never becomes null, a rounded number or a shorter
text.

| PostgreSQL | Avro | semantic name | notes | values |
|---|---|---|---|---|
"""
_MODES = """
NaN and the infinities of `numeric` fit no decimal: they are a conversion failure, remedy `decimal.handling.mode=string`
(`NaN`, `Infinity`, `-Infinity`) or `double`. Debezium sends null. **Differs.**

wal2json before 2.6 prints NaN and the infinities of `real`, `double precision` and `numeric` columns as null. There a
null in such a column is read again by key; the header `__producer.reread` names the columns, and so does `check`. In a
table without a key nothing can be read again: the null stays, and the header `__producer.unread` names the columns.

A stored generated column is like any other. A virtual one (PostgreSQL 18) is never logged, and left out; `check` names
it.

## Modes

| setting | PostgreSQL | Avro | semantic name | values |
|---|---|---|---|---|
"""
_TAIL = """
- `decimal.handling.mode=double` rounds, which is what it is for. A number beyond the range of a double is a conversion
  failure.
- `time.precision.mode=connect` cuts to milliseconds. `nanoseconds` reaches from 1677 to 2262; what lies beyond is a
  conversion failure. `timestamp with time zone` and `time with time zone` are text in every mode.
- `interval.handling.mode=numeric` counts a month as 30.4375 days; an infinite interval is a conversion failure.
- `array.handling.mode=string` takes arrays of any depth and bounds, as the server prints them.
- `money.fraction.digits` is money's scale; an amount with more decimals than it lets through is a conversion failure.
- `value.nullability=table` makes NOT NULL columns not nullable in `Value`. A before-image that does not hold such a
  column then has Debezium's fallback: 0, an empty text, false, the epoch.
- `avro.logical.types=true` adds Avro's own logical types beside the semantic names, for consumers that know only
  those. **Such a consumer's range is its own problem:** many libraries refuse, or turn into something else, an infinite
  date (2147483647 days), a year before 1 or after 9999, or 24:00:00. The bytes are the same as without the setting.
  (`tail` shows such a value as the number that it is.)

## Names

A name that Avro accepts stays as it is. In any other, each refused character becomes `_u<hex>_`, its code point; a
literal `_u<hex>_` has its own first `_` escaped, so no two names become one. The original stands in `postgres.name`.

| PostgreSQL | Avro |
|---|---|
"""
_NAMES = ("order_id", "order-id", "größe", "1st", "a b", "_u2d_", "customer_u2")
_ORDER = """
Columns stand in the table's order (attnum). A dropped one leaves, a new one is appended. A type change that Avro cannot
promote is the registry's to judge; its refusal is told before anything of the new shape is sent.
"""


def document() -> str:
    """The whole page."""
    by_label = {row.label: row for row in ROWS}
    table = [f"| {row.label} | {_type(row)} | {row.note} | {_values(row)} |" for row in ROWS]
    modes = [
        f"| `{key}={value}` | {label} | {_type(by_label[label], mode)} | {_values(by_label[label], mode)} |"
        for key, value, labels in MODES
        for mode in [mode_of(key, value)]
        for label in labels
    ]
    names = [f"| `{name}` | `{avro_name(name)}` |" for name in _NAMES]
    parts = [_HEAD, "\n".join(table), "\n", _MODES, "\n".join(modes), "\n", _TAIL, "\n".join(names), "\n", _ORDER]
    return "".join(parts)


def mode_of(key: str, value: str) -> Modes:
    """The modes with one setting changed."""
    field = {
        "decimal.handling.mode": "decimals",
        "time.precision.mode": "times",
        "interval.handling.mode": "intervals",
        "hstore.handling.mode": "hstores",
        "binary.handling.mode": "binaries",
        "array.handling.mode": "arrays",
        "avro.logical.types": "logical_types",
    }[key]
    changed: dict[str, Any] = {field: True if value == "true" else value}
    return replace(Modes(prefix="shop"), **changed)


def _made(row: Row, modes: Modes) -> AvroType:
    return avro_type(row.types[0], row.typmod, row.dimensions, modes)


def _type(row: Row, modes: Modes | None = None) -> str:
    """Its Avro type, and its semantic name."""
    schema = _made(row, modes or Modes(prefix="shop")).schema
    name = schema.get("connect.name") if isinstance(schema, dict) else None
    return f"{_shown_type(schema)} | {f'`{name}`' if name else ''}"


def _shown_type(schema: Any) -> str:
    """A schema in a few words."""
    if isinstance(schema, list):
        return "nullable " + _shown_type(schema[1])
    if not isinstance(schema, dict):
        return str(schema)
    kind = schema["type"]
    if kind == "record":
        fields = ", ".join(f"{field['name']}: {_shown_type(field['type'])}" for field in schema["fields"])
        return f"record {{{fields}}}"
    if kind == "array":
        return f"array of {_shown_type(schema['items'])}"
    if kind == "map":
        return f"map of {_shown_type(schema['values'])}"
    more = [schema[name] for name in ("connect.type",) if name in schema]
    if schema.get("logicalType") == "decimal":
        more.append(f"decimal({schema['precision']},{schema['scale']})")
    elif "logicalType" in schema:
        more.append(schema["logicalType"])
    if "postgres.type" in schema:
        more.append(f"`postgres.type` {schema['postgres.type']}")
    return ", ".join([kind, *more])


def _values(row: Row, modes: Modes | None = None) -> str:
    return "; ".join(f"`{text}` → `{shown(row, text, modes)}`" for text in row.texts)


def shown(row: Row, text: str, modes: Modes | None = None) -> str:
    """A text's Avro value, as a consumer decodes it that knows no logical types but decimals."""
    made = _made(row, modes or Modes(prefix="shop"))
    column = ColumnPlan(name="v", head=b"", value=made.value, nullable=False)
    plan = TablePlan(topic="t", columns=(column,), key=(0,), key_frame=b"", value_frame=b"", names=b"", json_names=b"")
    walker = Walker()
    walker.copy_row(text.replace("\\", "\\\\").encode() + b"\n", plan, 0)
    assert walker.key is not None
    schema = fastavro.parse_schema(_plain(define_once(made.schema, set())))
    return _words(fastavro.schemaless_reader(io.BytesIO(walker.key), schema, None))


def _plain(schema: Any) -> Any:
    if isinstance(schema, dict) and schema.get("logicalType", "decimal") != "decimal":
        return {name: part for name, part in schema.items() if name != "logicalType"}
    return schema


def _words(value: Any) -> str:
    if isinstance(value, bytes):
        return f"[{value.hex(' ')}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_inner(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inner, value)) + "]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def _inner(value: Any) -> str:
    """Inside of something a text is quoted: it may be empty, or say NULL."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _words(value)


if __name__ == "__main__":
    sys.stdout.write(document())
