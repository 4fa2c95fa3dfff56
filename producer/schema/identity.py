"""Key and replica identity of a row's own moment: what the row tells, and what is known beside it.

Room: schema (pure). PostgreSQL manual, "ALTER TABLE", REPLICA IDENTITY; wal2json's README, "include-pk".
A row names the columns of its old row and of its table's primary key; a key's order it does not tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from producer.decode.wal2json import LoggedColumn, RowShape
from producer.events import Column, Relation, ReplicaIdentity


def pairs(columns: Iterable[LoggedColumn]) -> tuple[tuple[str, int], ...]:
    """Names and type OIDs."""
    return tuple((column.name, column.type_oid) for column in columns)


def is_whole(row: RowShape, now: Relation | None, before: Relation | None) -> bool:
    """Whether a delete holds its whole old row (REPLICA IDENTITY FULL), not its key only."""
    relations = [relation for relation in (now, before) if relation is not None]
    logged = {column.name for column in row.identity}
    if row.primary is None:
        likeliest = relations[0]
        if likeliest.identity == "full":
            return logged == likeliest.identity_columns or set(likeliest.key) < logged
        return likeliest.identity_columns < logged
    primary = {column.name for column in row.primary}
    if primary == logged:
        return False
    if any(r.identity == "index" and r.identity_columns == logged for r in relations):
        return False
    # Another index than the primary key's seldom holds the primary key.
    return primary < logged if primary else any(r.identity == "full" for r in relations)


def of_row(row: RowShape, relation: Relation, columns: Sequence[Column]) -> tuple[ReplicaIdentity, frozenset[str]]:
    """The replica identity, and the columns that the log holds of an old row."""
    if not row.identity:
        mapped = _mapped(relation, relation.identity_columns, columns)
        if relation.identity == "full":
            return "full", frozenset(column.name for column in columns)
        if row.primary is not None and relation.identity == "default":
            return "default", frozenset(column.name for column in row.primary)
        return relation.identity, frozenset(name for name in mapped if name is not None)
    logged = frozenset(column.name for column in row.identity)
    if row.primary is None:
        whole = logged >= {column.name for column in columns}
        if relation.identity == "full":
            return ("full" if whole else "default"), logged
        return ("full" if whole and not _same(relation, columns, logged) else relation.identity), logged
    if logged == {column.name for column in row.primary}:
        return (
            relation.identity
            if relation.identity in ("index", "full") and _same(relation, columns, logged)
            else "default"
        ), logged
    return ("full" if logged >= {column.name for column in columns} else "index"), logged


def key_of_row(
    row: RowShape, columns: Sequence[Column], kind: ReplicaIdentity, known: Sequence[Relation]
) -> tuple[str, ...]:
    """The key columns in key order. `known`: the likeliest relation first; each may know the order."""
    keys = [_mapped(relation, relation.key, columns) for relation in known]
    likeliest = keys[0]
    # An insert tells nothing of an identity by index.
    if row.primary is None or (kind == "index" and not row.identity) or _chosen_otherwise(known[0], kind):
        return tuple(name for name in likeliest if name is not None) if None not in likeliest else ()
    primary = tuple(column.name for column in row.primary)
    wanted = tuple(column.name for column in row.identity) if kind == "index" else primary
    for key in keys:
        if set(key) == set(wanted):
            return tuple(name for name in key if name is not None)
    if wanted:
        return wanted
    # No primary key: a unique index that somebody knows of, from when there was none either.
    for relation, key in zip(known, keys, strict=True):
        if not relation.primary and None not in key:
            return tuple(name for name in key if name is not None)
    return ()


def _chosen_otherwise(relation: Relation, kind: ReplicaIdentity) -> bool:
    """Whether the key is neither the primary key nor the identity's: the settings name it, or an index does."""
    if kind == "index" or relation.primary is None or not relation.primary:
        return False
    return set(relation.key) != {name for name, _ in relation.primary} and relation.identity != "index"


def _same(relation: Relation, columns: Sequence[Column], logged: frozenset[str]) -> bool:
    return set(_mapped(relation, relation.identity_columns, columns)) == logged


def _mapped(relation: Relation, names: Iterable[str], columns: Sequence[Column]) -> list[str | None]:
    """Columns of the relation under the names that they have in `columns`: their numbers tell; None: not there."""
    numbers = {column.name: column.attnum for column in relation.columns}
    there = {column.attnum: column.name for column in columns}
    return [there.get(numbers[name]) if name in numbers else None for name in names]
