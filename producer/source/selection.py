"""What is sent of a table, and how it is keyed: the filters of columns and the keys of one's own.

Room: source (pure). The contract's rules of keys are in `catalog`; here is what the settings say beyond them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from producer.errors import SettingsError
from producer.events import Relation
from producer.settings import Settings, values


def chosen(relation: Relation, settings: Settings) -> Relation:
    """The relation with the columns that are sent, and with the key that `message.key.columns` names.

    Raises:
        SettingsError: a key column that the table does not have.
    """
    key = settings.key_of(relation.schema, relation.name)
    names = [column.name for column in relation.columns]
    unknown = [name for name in key if name not in names]
    if unknown:
        raise SettingsError(
            f"message.key.columns: table {relation.qualified_name} has no column {', '.join(map(repr, unknown))}",
            remedy=f"its columns are {', '.join(map(repr, names))}",
        )
    return sent(replace(relation, key=key) if key else relation, settings)


def sent(relation: Relation, settings: Settings) -> Relation:
    """The relation with the columns that are sent: each goes by the name that it has in this shape."""
    schema, table = relation.schema, relation.name
    columns = tuple(
        column if column.sent is wanted else replace(column, sent=wanted)
        for column in relation.columns
        for wanted in (settings.wants_column(schema, table, column.name),)
    )
    return relation if columns == relation.columns else replace(relation, columns=columns)


def unmatched(relations: Iterable[Relation], settings: Settings) -> Iterator[str]:
    """The expressions that match no column or table: perhaps a column was to be left out, or was to be a key."""
    relations = list(relations)
    for table in values.key_columns(settings.message_key_columns):
        if not any(re.fullmatch(table, relation.qualified_name, re.IGNORECASE) for relation in relations):
            yield f"message.key.columns: {table} names no selected table"
    names = [f"{relation.qualified_name}.{column.name}" for relation in relations for column in relation.columns]
    for key, expressions in (
        ("column.include.list", settings.column_include_list),
        ("column.exclude.list", settings.column_exclude_list),
    ):
        for expression in expressions:
            if not any(values.matches((expression,), name) for name in names):
                yield f"{key}: {expression.pattern} names no column of a selected table"
