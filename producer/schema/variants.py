"""What a table may have been when a row was written whose value does not fit: guesses, likeliest first.

Room: schema (pure). PostgreSQL manual, "ALTER TABLE", "ALTER TYPE".
A row names its columns and their types; modifiers, NOT NULL, an enum's labels and a composite type's
attributes are the catalogue's, which may be ahead of the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, islice, product

from producer.events import Column, PgType, Relation
from producer.schema import composites

# Of the ways in which several types may have changed together.
_MOST = 100


def of(relation: Relation, column: int, past: Sequence[Relation], *, exact: bool) -> Iterator[tuple[Relation, bool]]:
    """Relations with the same names and type OIDs; False beside one: any label of its enums is taken.

    Nothing is guessed that a value of now could have: an array's depth is no guess.
    """
    heads = _heads(relation)
    for known in reversed(past):
        if known != relation and known.primary == relation.primary and _heads(known) == heads:
            yield known, True
    if exact:
        yield relation, False
    if 0 <= column < len(relation.columns):
        own = relation.columns[column]
        types = list(composites.within(own.type))
        added = [[type.fields, *_altered(type, past)] for type in types]
        cut = [[type.fields, *_older(type)] for type in types]
        for columns in (
            *_redefined(relation, types, added),
            *_columns(relation, column),
            *_redefined(relation, types, cut),
        ):
            yield replace(relation, columns=columns), exact


def _redefined(
    relation: Relation, types: Sequence[PgType], guesses: Sequence[Sequence[composites.Fields]]
) -> Iterator[tuple[Column, ...]]:
    """All columns, each type as one of its guesses has it: a type is altered wherever it stands. The first is known."""
    for fields in islice(product(*guesses), 1, _MOST):
        yield composites.defined(relation.columns, {type.oid: own for type, own in zip(types, fields, strict=True)})


def _altered(type: PgType, past: Sequence[Relation]) -> Iterator[composites.Fields]:
    """A composite type between what it was and what it became: attributes were added first, and others dropped then."""
    known = [one.fields for relation in past for one in composites.of(relation.columns) if one.oid == type.oid]
    for was, became in combinations(dict.fromkeys(known), 2):
        names = {field.name for field in was}
        added = tuple(field for field in became if field.name not in names)
        # One after the other, perhaps, with rows between.
        for count in range(len(added), 0, -1):
            yield (*was, *added[:count])


def _older(type: PgType) -> Iterator[composites.Fields]:
    """Attributes that were added since stand behind the others."""
    for count in range(len(type.fields) - 1, 0, -1):
        yield type.fields[:count]


def _columns(relation: Relation, place: int) -> Iterator[tuple[Column, ...]]:
    own = relation.columns[place]
    others = []
    if own.not_null and own.name not in relation.key:
        others.append(replace(own, not_null=False))
    if own.typmod >= 0:
        others.append(replace(own, typmod=-1))
    for other in others:
        yield (*relation.columns[:place], other, *relation.columns[place + 1 :])


def _heads(relation: Relation) -> list[tuple[str, int]]:
    return [(column.name, column.type.oid) for column in relation.columns]
