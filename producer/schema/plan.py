"""A relation and the registry's ids become the plan that the walker follows.

Room: schema (pure). Names stand in a plan as wal2json prints them.
"""

from __future__ import annotations

import struct

from producer.events import Column, Relation
from producer.schema.avro import column_type
from producer.transcode.plan import ColumnPlan, TablePlan
from producer.transcode.source_block import string

_FRAME = struct.Struct(">bI")
_SHORT = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


# Printed as JSON numbers, which know no NaN; a domain over them is printed as a string.
_JSON_NUMBERS = frozenset({"float4", "float8", "numeric"})


def table_plan(
    relation: Relation,
    *,
    topic: str,
    key_id: int | None,
    value_id: int,
    signed_oids: bool = True,
    nan_is_null: bool = False,
) -> TablePlan:
    """The plan of a relation whose schemas have these ids; `key_id` is None for null keys.

    `nan_is_null`: the plugin (wal2json before 2.6) prints NaN and Infinity as null.

    `signed_oids`: the plugin prints type OIDs from 2^31 on as negative numbers, as wal2json does
    before 2.7. A plan of the wrong kind matches no row of such a table: its rows are not lost.
    """
    names = [column.name for column in relation.columns]
    return TablePlan(
        topic=topic,
        columns=tuple(_column(column, relation, signed_oids, nan_is_null) for column in relation.columns),
        key=tuple(names.index(name) for name in relation.key),
        key_frame=b"" if key_id is None else _FRAME.pack(0, key_id),
        value_frame=_FRAME.pack(0, value_id),
        names=string(relation.schema) + string(relation.name),
        json_names='"schema":{},"table":{}'.format(*map(json_string, relation.logged_names)).encode(),
        full_identity=relation.identity == "full",
    )


def _column(column: Column, relation: Relation, signed_oids: bool, nan_is_null: bool) -> ColumnPlan:
    avro = column_type(column)
    oid = _signed(column.type.oid) if signed_oids else column.type.oid
    return ColumnPlan(
        name=column.name,
        form=avro.form,
        head=f'{{"name":{json_string(column.name)},"typeoid":{oid},"value":'.encode(),
        scale=avro.scale,
        element=avro.element,
        nullable=column.name not in relation.key,
        in_identity=column.name in relation.identity_columns,
        hides_nan=nan_is_null and column.type.kind == "base" and column.type.name in _JSON_NUMBERS,
        function=avro.function,
    )


def json_string(text: str) -> str:
    """A JSON string exactly as PostgreSQL's escape_json writes it."""
    return '"' + "".join(_escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    return _SHORT.get(code) or (f"\\u{code:04x}" if code < 32 else character)


def _signed(oid: int) -> int:
    return oid - (1 << 32) if oid >= 1 << 31 else oid
