"""What a table may have been when a row was written whose value does not fit: guesses, likeliest first.

Room: schema (pure). PostgreSQL manual, "ALTER TABLE", "ALTER TYPE".
A row names its columns and their types; modifiers, NOT NULL, an enum's labels and a composite type's
attributes are the catalogue's, which may be ahead of the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from producer.events import Column, Relation


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
        for other in (*_altered(own, past), *_columns(own, in_key=own.name in relation.key)):
            columns = (*relation.columns[:column], other, *relation.columns[column + 1 :])
            yield replace(relation, columns=columns), exact


def _altered(column: Column, past: Sequence[Relation]) -> Iterator[Column]:
    """A composite type between what it was and what it became: attributes were added first, and others dropped then."""
    types = [c.type for known in past for c in known.columns if c.type.fields and c.type.oid == column.type.oid]
    for was, became in combinations(dict.fromkeys(types), 2):
        names = {field.name for field in was.fields}
        added = tuple(field for field in became.fields if field.name not in names)
        if added:
            yield replace(column, type=replace(column.type, fields=(*was.fields, *added)))


def _columns(column: Column, *, in_key: bool) -> Iterator[Column]:
    if column.not_null and not in_key:
        yield replace(column, not_null=False)
    if column.typmod >= 0:
        yield replace(column, typmod=-1)
    # Attributes that were added since stand behind the others.
    for count in range(len(column.type.fields) - 1, 0, -1):
        yield replace(column, type=replace(column.type, fields=column.type.fields[:count]))


def _heads(relation: Relation) -> list[tuple[str, int]]:
    return [(column.name, column.type.oid) for column in relation.columns]
