"""`check`: every precondition of `run`, tried, one line each, with its remedy.

Room: commands (IO through the stages).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import click

from producer.errors import ProducerError, Verdict
from producer.events import Relation
from producer.pipeline import stages
from producer.pipeline.side.topics import SideTopics
from producer.pipeline.tables import columns
from producer.pipeline.tables.published import Published
from producer.schema import avro, topics
from producer.schema.registry import Registry
from producer.schema.types import Modes
from producer.settings import Settings
from producer.sink.kafka import KafkaSink
from producer.sink.transactional import TIMEOUT_MS
from producer.source import catalog, preflight, slot, value_checks
from producer.source.catalog import Table
from producer.source.preflight import Finding
from producer.source.wire import Connection, Server, connect
from producer.transcode import compiled

_KAFKA_SECONDS = 10.0
_MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED"}


def check(settings: Settings, *, as_json: bool) -> int:
    """Print all findings; 0, or 3 when one of them failed."""
    findings = list(_all(settings))
    failed = any(finding.status == "failed" for finding in findings)
    if as_json:
        rows = [{"name": f.name, "status": f.status, "detail": f.detail, "remedy": f.remedy} for f in findings]
        click.echo(json.dumps({"ok": not failed, "findings": rows}, indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(f"{_MARKS[finding.status]:8} {finding.name}: {finding.detail}")
            if finding.remedy and finding.status != "ok":
                click.echo(f"{'':8}   remedy: {finding.remedy}")
    return Verdict.OPERATOR.value if failed else 0


def _all(settings: Settings) -> Iterator[Finding]:
    yield Finding(
        name="transcoder",
        status="ok" if compiled else "warning",
        detail="compiled" if compiled else "not compiled: correct, but about fifty times slower",
        remedy="" if compiled else "install a C compiler, then pip install --force-reinstall pg-producer",
    )
    relations: list[Relation] = []
    yield from _guarded("source", lambda: _source(settings, relations))
    yield from _guarded("kafka", lambda: _kafka(settings, relations))
    yield from _guarded("schema registry", lambda: _registry(settings, relations))


def _guarded(name: str, look: Callable[[], Iterator[Finding | ProducerError]]) -> Iterator[Finding]:
    """Errors as findings: a broken set-up is told as far as it can be told."""
    try:
        for finding in look():
            yield finding if isinstance(finding, Finding) else Finding.of(name, finding)
    except ProducerError as error:
        yield Finding.of(name, error)


def _source(settings: Settings, relations: list[Relation]) -> Iterator[Finding | ProducerError]:
    server = stages.server(settings)
    connection = connect(server)
    with connection:
        yield Finding(name="connection", status="ok", detail=server.where)
        yield from preflight.server(slot.identify(connection), preflight.wal_level(connection))
        old_plugin = False
        for finding in _plugin(connection, server, settings):
            old_plugin |= isinstance(finding, Finding) and finding.detail == preflight.OLD_PLUGIN
            yield finding
        yield from preflight.slot(connection, settings.slot_name, settings.plugin_name, server)
        yield from _tables(connection, server, settings, relations)
        hidden = preflight.hidden_numbers(relations) if old_plugin else None
        if hidden is not None:
            yield hidden


def _plugin(connection: Connection, server: Server, settings: Settings) -> Iterator[Finding | ProducerError]:
    try:
        preflight.plugin_allowed(connection, settings.plugin_name)
    except ProducerError as error:
        yield error
    if preflight.wal_level(connection) == "logical":
        yield from preflight.replication(server, settings.plugin_name)


def _tables(
    connection: Connection, server: Server, settings: Settings, relations: list[Relation]
) -> Iterator[Finding | ProducerError]:
    every = catalog.tables(connection)
    chosen = catalog.selected(every, settings.wants_table)
    topics.check_collisions(settings.topic_prefix, [(table.schema, table.name) for table in chosen])
    yield Finding(
        name="tables",
        status="ok" if chosen else "failed",
        detail=f"{len(chosen)} selected of {len(every)}",
        remedy="" if chosen else "look at schema.include.list and table.include.list; is database.dbname right?",
    )
    yield from _odd(every, settings)
    relations.extend(catalog.captured(connection, chosen, settings))
    yield from preflight.rights(connection, chosen, relations, server.user)
    yield from columns.refused(connection, server, settings, chosen, relations)
    for doubt in columns.doubts(settings, relations):
        yield Finding(name="columns", status="warning", detail=doubt, remedy="see docs/filters.md")
    yield from preflight.identities(connection, relations, published=settings.plugin_name == "pgoutput")
    if settings.plugin_name == "pgoutput":
        published = Published(
            connection, server, settings, chosen, relations, slot.find(connection, settings.slot_name)
        )
        refused = list(published.refused())
        yield from refused
        if not refused:
            yield Finding(name="publication", status="ok", detail=published.described)
        yield from published.breaking()
    yield from _values(connection, server, settings, chosen, relations)


def _values(
    connection: Connection, server: Server, settings: Settings, chosen: list[Table], relations: list[Relation]
) -> Iterator[Finding]:
    modes = Modes.of(settings)
    whole = {table.oid for table in chosen if table.usable and not table.unreadable and not table.filtered}
    yield from value_checks.array_depths(
        connection,
        server,
        [relation for relation in relations if relation.oid in whole],
        lambda column: avro.column_type(column, modes).array_depth if column.sent else 0,
    )
    yield from value_checks.money(server, relations)
    yield from value_checks.virtual_columns(connection, chosen)


def _odd(every: list[Table], settings: Settings) -> Iterator[Finding]:
    for table in every:
        if not settings.wants_table(table.schema, table.name):
            continue
        if table.persistence == "unlogged":
            yield Finding(
                name=f"table {table.qualified_name}",
                status="warning",
                detail="is unlogged: not captured",
                remedy=f'ALTER TABLE "{table.schema}"."{table.name}" SET LOGGED;',
            )


def _kafka(settings: Settings, relations: list[Relation]) -> Iterator[Finding | ProducerError]:
    sink: KafkaSink = stages.sink(settings)
    try:
        brokers = sink.ping(_KAFKA_SECONDS)
        yield Finding(name="kafka", status="ok", detail=f"{settings.bootstrap_servers}, {brokers} broker(s) answer")
        if not settings.topic_creation_enable:
            names = [topics.topic_name(settings.topic_prefix, r.schema, r.name) for r in relations]
            names += [topic.name for topic in SideTopics(settings).asked]
            if settings.errors_tolerance == "all":
                names.append(settings.errors_deadletterqueue_topic_name)
            sink.ensure_topics(names, partitions=1, replication_factor=-1, config={}, create=False)
            yield Finding(name="topics", status="ok", detail=f"{len(names)} exist")
        if settings.exactly_once_support == "required":
            yield _transactions(settings, sink)
    finally:
        sink.close(0)


def _transactions(settings: Settings, sink: KafkaSink) -> Finding:
    """Whether the brokers allow transactions as long as ours. Taking the id over to try it would fence a producer."""
    ours = int(settings.producer_override.get("transaction.timeout.ms", TIMEOUT_MS))
    most = (sink.broker_config() or {}).get("transaction.max.timeout.ms")
    if most is None or ours <= int(most):
        detail = "transaction.max.timeout.ms may not be read" if most is None else f"up to {most} ms allowed"
        return Finding(name="transactions", status="ok", detail=detail)
    return Finding(
        name="transactions",
        status="failed",
        detail=f"the brokers' transaction.max.timeout.ms is {most}, below our {ours}",
        remedy=f"set producer.override.transaction.timeout.ms={most}, or raise the brokers' setting",
    )


def _registry(settings: Settings, relations: list[Relation]) -> Iterator[Finding | ProducerError]:
    registry: Registry = stages.registry(settings)
    subjects = registry.ping()
    yield Finding(
        name="schema registry",
        status="ok",
        detail=f"{registry.url} answers, {subjects} subjects",
    )
    refused = 0
    for relation in relations:
        schema = avro.table_schema(relation, modes=Modes.of(settings))
        pairs = [(f"{schema.topic}-value", schema.value_schema)]
        if schema.key_schema is not None:
            pairs.append((f"{schema.topic}-key", schema.key_schema))
        for subject, text in pairs:
            if registry.compatible(subject, text) is False:
                refused += 1
                yield Finding(
                    name=f"schema of {relation.qualified_name}",
                    status="failed",
                    detail=f"the registry would refuse it for subject {subject}",
                    remedy="a new topic.prefix, or the subject's compatibility set to NONE",
                )
    if relations and not refused:
        yield Finding(
            name="schemas",
            status="ok",
            detail=f"compatible with the registered ones ({len(relations)} tables)",
        )
