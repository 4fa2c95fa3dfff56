"""A SELECT of the settings in place of a table's own rows in the snapshot.

Room: source (IO: PostgreSQL). Debezium's PostgreSQL connector, "snapshot.select.statement.overrides".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from psycopg import sql

from producer.errors import AccessDenied, OperatorError, SettingsError
from producer.events import Relation
from producer.settings import Settings
from producer.source.wire import Connection, Server, explained


def subselect(select: str) -> sql.Composable:
    """A SELECT of the settings as a part of a query, a comment at its end allowed."""
    return sql.SQL("(" + select.strip().rstrip(";") + "\n) AS chosen")


def unfit(
    connection: Connection, server: Server, relations: Iterable[Relation], settings: Settings
) -> Iterator[SettingsError]:
    """The SELECTs that the server refuses, or that do not give their table's columns, of their types."""
    key = "snapshot.select.statement.overrides"
    for relation in relations:
        select = settings.snapshot_select(relation.schema, relation.name)
        if select is None or relation.logged_as is not None:
            continue
        try:
            with explained(server, f"{key}.{relation.qualified_name}"):
                # Prepared, it can be one statement only.
                cursor = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(subselect(select)), prepare=True)
        except AccessDenied:
            raise
        except OperatorError as error:
            yield SettingsError(
                error.message, remedy="correct it; search_path is empty: write every table and function with its schema"
            )
            continue
        found = {column.name: column.type_code for column in cursor.description or ()}
        wanted = {column.name: column.type for column in relation.read_columns}
        known = {column.name for column in relation.columns}
        wrong = [
            *(f"{name!r} is missing" for name in wanted if name not in found),
            *(f"{name!r} is not a column of the table" for name in found if name not in known),
            *(
                f"{name!r} is not of the type {type.display_name}: cast it"
                for name, type in wanted.items()
                if name in found and found[name] != type.oid
            ),
        ]
        if wrong:
            yield SettingsError(
                f"{key}.{relation.qualified_name}: the SELECT's columns are not the table's: {', '.join(wrong)}",
                remedy=f"it must give {', '.join(map(repr, wanted))}, under these names and of the table's types",
            )
