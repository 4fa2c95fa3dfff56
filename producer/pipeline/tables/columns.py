"""What is to be said of columns, keys and masks before anything is read.

Room: pipeline (IO through the stages it is given). `run` refuses and warns; `check` shows both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from producer.errors import ProducerError
from producer.events import Relation
from producer.schema import avro, masks
from producer.schema.types import Modes
from producer.settings import Settings
from producer.source import overrides, preflight, selection
from producer.source.catalog import Table
from producer.source.wire import Connection, Server


def refused(
    connection: Connection, server: Server, settings: Settings, chosen: Sequence[Table], relations: Sequence[Relation]
) -> Iterator[ProducerError]:
    """Columns that the plugin does not tell of, keys that the log does not hold, SELECTs that lack columns."""
    roots = {table.oid for table in chosen if table.partitioned}
    yield from preflight.generated(connection, chosen, settings)
    yield from preflight.unlogged_keys(relations, roots, settings)
    yield from overrides.unfit(connection, server, relations, settings)


def doubts(settings: Settings, relations: Sequence[Relation]) -> Iterator[str]:
    """Where filters and masks do less than they seem to say."""
    own = [relation for relation in relations if relation.logged_as is None]
    modes = Modes.of(settings)
    yield from selection.unmatched(own, settings)
    yield from masks.doubts(own, settings.column_rules(), lambda column: avro.column_type(column, modes))
    names = {relation.qualified_name for relation in own}
    for name in settings.overridden_tables():
        if name not in names:
            yield f"snapshot.select.statement.overrides: {name} is no selected table"
