"""A relation and the registry's ids become the plan that the walker follows.

Room: schema (pure). Names stand in a plan as wal2json prints them.
"""

from __future__ import annotations

import struct
from dataclasses import replace

from producer.decode.json_text import json_string
from producer.events import Column, Relation
from producer.schema.avro import column_type, is_nullable
from producer.schema.masks import Rules, mask_of
from producer.schema.types import Modes
from producer.transcode.plan import NULL, ColumnPlan, TablePlan
from producer.transcode.source_block import string

_FRAME = struct.Struct(">bI")


# Printed as JSON numbers, which know no NaN; a domain over them is printed as a string.
_JSON_NUMBERS = frozenset({"float4", "float8", "numeric"})


def table_plan(
    relation: Relation,
    *,
    topic: str,
    key_id: int | None,
    value_id: int,
    modes: Modes,
    signed_oids: bool = True,
    nan_is_null: bool = False,
    primary_told: bool = True,
    rules: Rules = (),
) -> TablePlan:
    """The plan of a relation whose schemas have these ids; `key_id` is None for null keys.

    `nan_is_null`: the plugin (wal2json before 2.6) prints NaN and Infinity as null.

    `signed_oids`: the plugin prints type OIDs from 2^31 on as negative numbers, as wal2json does
    before 2.7. A plan of the wrong kind matches no row of such a table: its rows are not lost.

    `primary_told`: the plugin is asked for the primary key.

    `rules`: whose columns' values are masked. The key holds them as they are, as Debezium's does: cut or
    masked, two rows' keys would be one.
    """
    names = [column.name for column in relation.columns]
    order = tuple(names.index(column.name) for column in relation.sent_columns)
    return TablePlan(
        topic=topic,
        columns=tuple(
            _masked(_column(column, relation, modes, signed_oids, nan_is_null), column, relation, modes, rules)
            for column in relation.columns
        ),
        key=tuple(names.index(name) for name in relation.key),
        key_frame=b"" if key_id is None else _FRAME.pack(0, key_id),
        value_frame=_FRAME.pack(0, value_id),
        names=string(relation.schema) + string(relation.name),
        table=relation.qualified_name,
        json_names='"schema":{},"table":{}'.format(*map(json_string, relation.logged_names)).encode(),
        tail=_tail(relation, signed_oids) if primary_told else b"}",
        order=() if order == tuple(sorted(order)) else order,
        full_identity=relation.identity == "full",
    )


def _tail(relation: Relation, signed_oids: bool) -> bytes:
    """What stands behind a record's columns."""
    if relation.primary is None:
        return b"}"
    names = ",".join(
        f'{{"name":{json_string(name)},"typeoid":{_signed(oid) if signed_oids else oid}}}'
        for name, oid in relation.primary
    )
    return f',"pk":[{names}]}}'.encode()


def _column(column: Column, relation: Relation, modes: Modes, signed_oids: bool, nan_is_null: bool) -> ColumnPlan:
    avro = column_type(column, modes)
    oid = _signed(column.type.oid) if signed_oids else column.type.oid
    in_key = column.name in relation.key
    nullable = is_nullable(column, relation, modes)
    return ColumnPlan(
        name=column.name,
        head=f'{{"name":{json_string(column.name)},"typeoid":{oid},"value":'.encode(),
        value=avro.value if column.sent else None,
        nullable=nullable,
        # Debezium's fallbacks fill what a before-image lacks; where null may stand, null does.
        absent=NULL if nullable else avro.fallback,
        in_identity=column.name in relation.identity_columns,
        hides_nan=nan_is_null and column.sent and column.type.kind == "base" and column.type.name in _JSON_NUMBERS,
        key=avro.value if in_key and not column.sent else None,
    )


def _masked(plan: ColumnPlan, column: Column, relation: Relation, modes: Modes, rules: Rules) -> ColumnPlan:
    """The column's plan with its mask, where it has one."""
    mask = mask_of(relation, column, column_type(column, modes), rules) if column.sent else None
    if mask is None:
        return plan
    return replace(
        plan,
        value=mask.value,
        null=mask.null if mask.null is not None and plan.nullable else plan.null,
        key=plan.value if column.name in relation.key else None,
        masked=True,
    )


def _signed(oid: int) -> int:
    return oid - (1 << 32) if oid >= 1 << 31 else oid
