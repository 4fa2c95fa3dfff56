"""`schemas`, `tail`, `slot drop`.

Room: commands (IO through the stages).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click
from psycopg import sql

from producer.clock import Clock
from producer.errors import AccessDenied, NotSupportedYet, OperatorError, SettingsError
from producer.pipeline import stages
from producer.schema import avro, topics
from producer.schema.types import Modes
from producer.settings import Settings
from producer.sink.kafka import KafkaSink
from producer.sink.offsets import Loaded
from producer.sink.reader import TopicReader, as_json, table_topics
from producer.source import catalog, preflight, slot
from producer.source.publication import found
from producer.source.publication.found import Names
from producer.source.wire import connect

_LOAD_SECONDS = 15.0


def not_yet(what: str, meanwhile: str) -> NotSupportedYet:
    """A command of the contract that a later release brings."""
    return NotSupportedYet(f"{what} is not supported yet", remedy=meanwhile)


def remembered(settings: Settings, sink: KafkaSink) -> Loaded:
    """What the offsets topic remembers; nothing while there is no such topic."""
    try:
        sink.ensure_topics(
            [settings.offset_storage_topic], partitions=1, replication_factor=-1, config={}, create=False
        )
    except AccessDenied:
        raise
    except OperatorError:
        return Loaded()
    return stages.offsets(settings, sink).load(_LOAD_SECONDS, stable=True)


def schemas(settings: Settings) -> None:
    """The Avro schemas of the selected tables, one JSON document."""
    with connect(stages.server(settings)) as connection:
        chosen = catalog.selected(catalog.tables(connection), settings.wants_table)
        relations = catalog.relations(connection, chosen, settings)
    document = {}
    for relation in relations.values():
        schema = avro.table_schema(relation, modes=Modes.of(settings))
        document[relation.qualified_name] = {
            "topic": schema.topic,
            "key": None if schema.key_schema is None else json.loads(schema.key_schema),
            "value": json.loads(schema.value_schema),
        }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def tail(settings: Settings, tables: Sequence[str], more: Sequence[str], *, once: bool, from_end: bool) -> None:
    """Print decoded events of tables, and of other topics by their names, one JSON document a line."""
    registry = stages.registry(settings)
    overrides = stages.sink(settings)
    servers, consumer = settings.bootstrap_servers, overrides.consumer
    overrides.close(0)
    reader = TopicReader(servers, {k: str(v) for k, v in consumer.items() if isinstance(v, str)}, registry.schema)
    wanted = [*(_topic(settings, table) for table in tables), *more] or table_topics(settings.topic_prefix)
    try:
        for record in reader.records(wanted, from_beginning=not from_end, once=once):
            sys.stdout.write(json.dumps(as_json(record), ensure_ascii=False) + "\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        return


def _topic(settings: Settings, table: str) -> str:
    return topics.topic_name(settings.topic_prefix, *table_names(table))


def table_names(table: str) -> tuple[str, str]:
    """Schema and name of a table as the command line names it; without a schema it is public's.

    Raises:
        SettingsError: it names none.
    """
    schema, dot, name = table.partition(".")
    if not dot:
        schema, name = "public", table
    if not name or not schema:
        raise SettingsError(f"{table!r} is no table", remedy="name it as schema.table")
    return schema, name


def drop_slot(settings: Settings, clock: Clock) -> None:
    """Drop the slot, and forget our position: the next run begins with a snapshot.

    Raises:
        SlotInUse: a reader is active; nothing was changed.
        ServerNotReady: a standby, which has no slot to drop: the primary's would keep its log without our position.
    """
    server = stages.server(settings)
    with connect(server) as connection:
        preflight.demand(iter([preflight.primary(slot.identify(connection))]))
        # A producer that has just been stopped, or killed, is seen as its reader for a moment.
        slot.await_reader_gone(connection, settings.slot_name, clock)
        dropped = slot.drop(connection, server, settings.slot_name)
        left = found.find(connection, Names.of(settings.publication_name)) if settings.plugin_name == "pgoutput" else {}
    click.echo(
        f"dropped the replication slot {settings.slot_name}"
        if dropped
        else f"there is no replication slot {settings.slot_name}"
    )
    for name in left:
        click.echo(f"the publication stays: DROP PUBLICATION {sql.Identifier(name).as_string()};")
    if not settings.topic_prefix:
        return
    sink = stages.sink(settings)
    try:
        sink.ping(_LOAD_SECONDS)
        loaded = remembered(settings, sink)
        if settings.replication_method == "FULL_TABLE" and (loaded.offset is None or not loaded.offset.slot):
            # The next run's rows must stand above those of the last one.
            return
        if loaded.offset is not None or loaded.tables or loaded.chunks:
            stages.forget(stages.offsets(settings, sink), sink, loaded, clock)
            click.echo(f"forgot the position of {settings.name} in {settings.offset_storage_topic}")
    finally:
        sink.close(2)
