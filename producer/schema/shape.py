"""The shape of a row that did not fit its plan: what its names and types say, and what else is known.

Room: schema (pure). PostgreSQL manual, "pg_attribute": a dropped column keeps its number, length,
modifier and storage; a renamed or retyped one keeps its number.
The row is of its own moment; the catalogue is of now, and may be ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from producer.decode.wal2json import LoggedColumn, RowShape
from producer.errors import ConversionError
from producer.events import Attribute, Column, PgType, Relation
from producer.schema import composites, identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a table beside the row itself."""

    now: Relation | None
    """The table's shape in the catalogue; None: it is gone."""
    before: Relation | None
    """The shape that was walked before, or the one at our start."""
    attributes: Sequence[Attribute] = ()
    """All columns that the table ever had, by number."""
    types: Mapping[int, PgType] | None = None
    """The types that the row names, by OID."""


def shape_of(row: RowShape, known: Known) -> tuple[Relation, tuple[Column, ...]]:
    """The row's shape, and the columns whose large, unchanged values it lacks.

    Raises:
        ConversionError: nothing tells what the row's columns are.
    """
    relation = known.now or known.before
    if relation is None:
        raise ConversionError(
            f"table {row.schema}.{row.table} at {row.lsn}: it was dropped before its rows were read, and "
            "its shape is not known",
            remedy="leave the table out with table.exclude.list; its changes up to the drop are then not sent",
        )
    if row.action == "D" and not identity.is_whole(row, known.now, known.before):
        return _of_old_key(row, relation, known), ()
    # Under FULL a delete holds its whole row in `identity`.
    columns = _columns(row, row.columns or row.identity, known)
    missing = _unchanged_toast(columns, row, known) if row.action == "U" else ()
    shape = tuple(sorted((*columns, *missing), key=lambda column: column.attnum))
    return _relation(row, relation, shape, known), missing


def fits(row: RowShape, shape: Relation) -> bool:
    """Whether the row is of this very shape, as far as its names, type OIDs and primary key tell."""
    if row.primary is not None and shape.primary not in (None, identity.pairs(row.primary)):
        return False
    if row.action == "D":
        own = {(c.name, c.type.oid) for c in shape.columns if c.name in shape.identity_columns}
        return own == set(identity.pairs(row.identity))
    logged = identity.pairs(row.columns)
    names = {name for name, _ in logged}
    whole = tuple((column.name, column.type.oid) for column in shape.columns if column.name in names)
    return whole == logged and all(
        column.toastable and row.action == "U" for column in shape.columns if column.name not in names
    )


def exactly(row: RowShape, shape: Relation) -> bool:
    """Whether the row is of this very shape, whole, and its old row as this shape logs it."""
    if not fits(row, shape):
        return False
    old = {column.name for column in row.identity}
    return row.action != "U" or (len(row.columns) == len(shape.columns) and old == shape.identity_columns)


def only_toast_missing(row: RowShape, shape: Relation) -> tuple[Column, ...]:
    """The toastable columns that an update of this very shape lacks; none when it differs otherwise."""
    if row.action != "U":
        return ()
    if not fits(row, shape) or {column.name for column in row.identity} != shape.identity_columns:
        return ()
    names = {column.name for column in row.columns}
    return tuple(column for column in shape.columns if column.name not in names)


def _relation(row: RowShape, relation: Relation, columns: tuple[Column, ...], known: Known) -> Relation:
    """The relation with these columns; key and identity are the row's own, as far as it tells."""
    # What an insert does not tell is as it was before, not as it is by now.
    likely = [one for one in (known.before, relation) if one is not None]
    kind, logged = identity.of_row(row, likely[0], columns)
    return composites.agreed(
        replace(
            relation,
            columns=columns,
            key=identity.key_of_row(row, columns, kind, likely),
            identity=kind,
            identity_columns=logged,
            primary=relation.primary if row.primary is None else identity.pairs(row.primary),
        )
    )


def _of_old_key(row: RowShape, relation: Relation, known: Known) -> Relation:
    """For a delete that holds key columns only: the last shape with these columns."""
    logged = {(column.name, column.type_oid) for column in row.identity}
    for shape in (known.before, known.now):
        if shape is not None:
            own = {(c.name, c.type.oid) for c in shape.columns if c.name in shape.identity_columns}
            if (own == logged and row.primary is None) or fits(row, shape):
                return shape
    found = {column.attnum: column for column in _columns(row, row.identity, known)}
    columns = tuple(found.get(column.attnum, column) for column in relation.columns)
    return _relation(row, relation, columns, known)


def _columns(row: RowShape, logged: Sequence[LoggedColumn], known: Known) -> list[Column]:
    """The logged columns with their numbers.

    Most are found by name and type. The others were dropped, renamed or retyped since: a row names
    its columns in the order of their numbers, so each has its place between its neighbours.
    """
    # What names and types do not tell (modifiers, labels) is as it was before, until a value does not fit it.
    # A column that was dropped and made anew has two numbers: then the others' order alone decides.
    first: list[Column | None] | None = None
    for relations in ((known.before, known.now), (known.now, known.before), ()):
        found = [_same(column, relations, known.now) for column in logged]
        first = found if first is None else first
        numbers = _numbers(logged, [None if column is None else column.attnum for column in found], known, 0)
        if numbers is not None:
            break
    else:
        missing = next((column for column, same in zip(logged, first or found, strict=True) if same is None), logged[0])
        raise ConversionError(
            f"table {row.schema}.{row.table} at {row.lsn}: column {missing.name} (type OID {missing.type_oid}) is "
            "not in the catalogue any more, and nothing tells what it was",
            remedy="its type was dropped before this row was read: leave the table out with table.exclude.list",
            column=missing.name,
        )
    attributes = {attribute.attnum: attribute for attribute in known.attributes}
    return [
        same if same is not None else _of_attribute(column, attributes[number], known)
        for column, same, number in zip(logged, found, numbers, strict=True)
    ]


def _same(logged: LoggedColumn, relations: Sequence[Relation | None], now: Relation | None) -> Column | None:
    """A column of this name and type; whether it is NOT NULL, the catalogue of now tells, as a row does not."""
    not_null = {column.attnum: column.not_null for column in now.columns} if now else {}
    for relation in relations:
        for column in relation.columns if relation else ():
            if column.name == logged.name and column.type.oid == logged.type_oid:
                return replace(column, not_null=not_null.get(column.attnum, column.not_null))
    return None


def _numbers(logged: Sequence[LoggedColumn], fixed: Sequence[int | None], known: Known, last: int) -> list[int] | None:
    """Rising numbers for the columns, those in `fixed` given; None when there are none."""
    if not logged:
        return []
    if fixed[0] is not None:
        rest = _numbers(logged[1:], fixed[1:], known, fixed[0]) if fixed[0] > last else None
        return None if rest is None else [fixed[0], *rest]
    limit = next((number for number in fixed if number is not None), 1 << 16)
    for attribute in _candidates(logged[0], known, last, limit):
        rest = _numbers(logged[1:], fixed[1:], known, attribute.attnum)
        if rest is not None:
            return [attribute.attnum, *rest]
    return None


def _candidates(logged: LoggedColumn, known: Known, low: int, high: int) -> list[Attribute]:
    """What the column may be now, likeliest first: a living column stands in every row after its making."""
    type = (known.types or {}).get(logged.type_oid)
    if type is None:
        return []
    free = [attribute for attribute in known.attributes if low < attribute.attnum < high]
    living = [attribute for attribute in free if not attribute.dropped]
    return [
        *(attribute for attribute in living if attribute.name == logged.name),
        *(a for a in living if a.name != logged.name and a.type_oid == logged.type_oid),
        *(attribute for attribute in free if attribute.dropped and attribute.length == type.length),
    ]


def _of_attribute(logged: LoggedColumn, attribute: Attribute, known: Known) -> Column:
    type = (known.types or {})[logged.type_oid]
    same_type = attribute.dropped or attribute.type_oid == logged.type_oid
    return Column(
        name=logged.name,
        attnum=attribute.attnum,
        type=type,
        typmod=attribute.typmod if same_type else -1,
        dimensions=attribute.dimensions if same_type else int(type.element is not None),
        not_null=attribute.not_null,
        toastable=attribute.toastable,
    )


def _unchanged_toast(columns: Sequence[Column], row: RowShape, known: Known) -> tuple[Column, ...]:
    """The columns that an update left out: known before and still there, so not dropped; and toastable.

    One that was renamed since is read again by its name of now, unless the old row names it. Of a table that is gone,
    all that were known: that a value is not known is to be said, and nothing tells that its column was dropped first.
    """
    present = {column.attnum for column in columns}
    logged = {column.name for column in row.identity}
    last = known.now or known.before
    current = last.columns if last else ()
    there = {column.attnum: column for column in current}
    candidates = current
    if known.before is not None:
        candidates = tuple(
            column if column.name in logged else there[column.attnum]
            for column in known.before.columns
            if column.attnum in there
        )
    return tuple(column for column in candidates if column.attnum not in present and column.toastable)
