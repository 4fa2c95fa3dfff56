"""`status`, `schemas`, `tail`, `slot drop`.

Room: commands (IO through the stages).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

import click
from psycopg import sql

from producer.clock import Clock
from producer.errors import AccessDenied, NotSupportedYet, OperatorError, SettingsError
from producer.pipeline import stages
from producer.pipeline.health.retention import seconds_left
from producer.schema import avro, topics
from producer.schema.types import Modes
from producer.settings import Settings
from producer.sink.kafka import KafkaSink
from producer.sink.offsets import Loaded
from producer.sink.reader import TopicReader, as_json, table_topics
from producer.source import catalog, slot
from producer.source.catalog import Table
from producer.source.chunks import Chunk, chunks
from producer.source.publication import found
from producer.source.publication.found import Names
from producer.source.slot import Slot
from producer.source.wire import Connection, connect

_LOAD_SECONDS = 15.0
# The growth of the log is measured over so long at least.
_GROWTH_SECONDS = 1.0


def not_yet(what: str, meanwhile: str) -> NotSupportedYet:
    """A command of the contract that a later release brings."""
    return NotSupportedYet(f"{what} is not supported yet", remedy=meanwhile)


def status(settings: Settings, *, as_json: bool) -> None:
    """Slot, lag, snapshot progress, topics."""
    document = _status(settings)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    for name, value in document.items():
        if isinstance(value, dict):
            click.echo(f"{name}:")
            for inner, one in value.items():
                click.echo(f"  {inner}: {_words(one)}")
        elif isinstance(value, list):
            click.echo(f"{name}:")
            for one in value:
                click.echo("  " + ", ".join(f"{k} {v}" for k, v in one.items()))
        else:
            click.echo(f"{name}: {value}")


def _words(value: object) -> object:
    """A list of documents, one behind the other."""
    if not isinstance(value, list):
        return value
    return "; ".join(", ".join(f"{name} {one}" for name, one in document.items()) for document in value) or "none"


def _status(settings: Settings) -> dict[str, object]:
    with connect(stages.server(settings)) as connection:
        found = slot.find(connection, settings.slot_name)
        began = time.monotonic()
        now = connection.execute(b"SELECT extract(epoch FROM now())::float8").fetchone()
        every = catalog.tables(connection)
        chosen = catalog.selected(every, settings.wants_table)
        sink = stages.sink(settings)
        try:
            sink.ping(_LOAD_SECONDS)
            loaded = _load(settings, sink)
        finally:
            sink.close(0)
        budget = _wal_budget(connection, found, began)
        unfinished = _unfinished(connection, settings, loaded, chosen, every)
    offset = loaded.offset
    behind = None
    if now is not None and offset is not None and offset.commit_us is not None:
        behind = max(0.0, round(float(str(now[0])) - offset.commit_us / 1e6, 3))
    caught_up = found is not None and not found.lag_bytes
    return {
        "name": settings.name,
        "slot": None
        if found is None
        else {
            "name": found.name,
            "plugin": found.plugin,
            "active": found.active_pid is not None,
            "active_pid": found.active_pid,
            "reader": found.reader,
            "confirmed_lsn": None if found.confirmed_lsn is None else str(found.confirmed_lsn),
            "restart_lsn": None if found.restart_lsn is None else str(found.restart_lsn),
            "wal_status": found.wal_status,
            "invalidation": found.invalidation,
            "retained_bytes": found.retained_bytes,
            "lag_bytes": found.lag_bytes,
        },
        "lag": {
            "bytes": None if found is None else found.lag_bytes,
            # With nothing left to read the last commit's age is no lag.
            "seconds": 0.0 if caught_up else behind,
        },
        "wal_budget": budget,
        "position": None if offset is None else str(offset.lsn),
        "last_commit_lsn": None if offset is None or offset.commit_lsn is None else str(offset.commit_lsn),
        "snapshot": {
            "state": None if offset is None else offset.snapshot,
            "tables_done": len(loaded.tables),
            "tables": len(chosen),
            "rows": sum(mark.rows for mark in loaded.tables.values())
            + sum(mark.rows for marks in loaded.chunks.values() for mark in marks.values()),
            "unfinished": unfinished,
        },
        "topics": [
            {
                "table": table.qualified_name,
                "topic": topics.topic_name(settings.topic_prefix, table.schema, table.name),
            }
            for table in chosen
        ],
    }


def _wal_budget(connection: Connection, before: Slot | None, began: float) -> dict[str, object] | None:
    """When max_slot_wal_keep_size is used up, by the log's growth since we looked first; None: there is no limit."""
    if before is None or before.safe_bytes is None:
        return None
    time.sleep(max(0.0, began + _GROWTH_SECONDS - time.monotonic()))
    after = slot.find(connection, before.name)
    if after is None or after.log_end is None or before.log_end is None:
        return None
    rate = (after.log_end - before.log_end) / (time.monotonic() - began)
    left = seconds_left(after.safe_bytes, rate)
    return {
        "safe_bytes": after.safe_bytes,
        "bytes_per_second": round(rate),
        "seconds_left": None if left is None else round(left),
    }


def _unfinished(
    connection: Connection, settings: Settings, loaded: Loaded, chosen: Sequence[Table], every: Sequence[Table]
) -> list[dict[str, object]]:
    """The tables that a snapshot has not read whole: chunks done, and chunks in all."""
    if loaded.offset is None or loaded.offset.snapshot is None:
        return []
    begun = {table.oid: table for table in every if table.qualified_name in loaded.chunks}
    waiting = {table.oid: table for table in chosen if table.qualified_name not in loaded.tables}
    found: list[dict[str, object]] = []
    for table in (begun | waiting).values():
        marks = loaded.chunks.get(table.qualified_name, {})
        done = {Chunk(*pages): mark for pages, mark in marks.items() if mark.filenode == table.filenode}
        left = chunks(connection, table, settings.snapshot_chunk_rows, done)
        rows = sum(mark.rows for mark in done.values())
        found.append(
            {"table": table.qualified_name, "chunks_done": len(done), "chunks": len(done) + len(left), "rows": rows}
        )
    return found


def _load(settings: Settings, sink: KafkaSink) -> Loaded:
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
    schema, dot, name = table.partition(".")
    if not dot:
        schema, name = "public", table
    if not name or not schema:
        raise SettingsError(f"{table!r} is no table", remedy="name it as schema.table")
    return topics.topic_name(settings.topic_prefix, schema, name)


def drop_slot(settings: Settings, clock: Clock) -> None:
    """Drop the slot, and forget our position: the next run begins with a snapshot.

    Raises:
        SlotInUse: a reader is active; nothing was changed.
    """
    server = stages.server(settings)
    with connect(server) as connection:
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
        loaded = _load(settings, sink)
        if loaded.offset is not None or loaded.tables or loaded.chunks:
            stages.forget(stages.offsets(settings, sink), sink, loaded, clock)
            click.echo(f"forgot the position of {settings.name} in {settings.offset_storage_topic}")
    finally:
        sink.close(2)
