"""Composite types in a table's columns: a row has one definition of each, wherever it stands.

Room: schema (pure). PostgreSQL manual, "Composite Types".
Columns of several moments may disagree, and an Avro schema would define the type by the first of them only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from producer.events import Column, PgType, Relation, TypeField

Fields = tuple[TypeField, ...]


def within(type: PgType) -> Iterator[PgType]:
    """The composite types that a type is made of, the outermost first: itself, its elements, its attributes."""
    if type.kind == "composite":
        yield type
    for inner in (type.element, type.base, *(field.type for field in type.fields)):
        if inner is not None:
            yield from within(inner)


def of(columns: Iterable[Column]) -> Iterator[PgType]:
    """Those of all columns."""
    for column in columns:
        yield from within(column.type)


def defined(columns: Iterable[Column], fields: Mapping[int, Fields]) -> tuple[Column, ...]:
    """The columns with these attributes of their composite types, by OID."""
    return tuple(replace(column, type=_defined(column.type, fields)) for column in columns)


def agreed(relation: Relation) -> Relation:
    """The relation with one definition of each type: where columns disagree that of the last, which is the youngest."""
    found: dict[int, Fields] = {}
    differ = False
    for type in of(relation.columns):
        differ |= found.get(type.oid, type.fields) != type.fields
        found[type.oid] = type.fields
    return replace(relation, columns=defined(relation.columns, found)) if differ else relation


def _defined(type: PgType, fields: Mapping[int, Fields]) -> PgType:
    own = fields.get(type.oid, type.fields)
    return replace(
        type,
        element=None if type.element is None else _defined(type.element, fields),
        base=None if type.base is None else _defined(type.base, fields),
        fields=tuple(replace(field, type=_defined(field.type, fields)) for field in own),
    )
