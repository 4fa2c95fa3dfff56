"""Properties of Kafka Connect and Debezium that a moved configuration may hold without a meaning here.

Room: settings (pure). Debezium's PostgreSQL connector, "Connector properties"; Kafka Connect, "Connector Configs".
"""

from __future__ import annotations

_PREFIXES = (
    "config.providers", "converters", "database.tcp", "errors.log.", "guardrail.", "header.converter", "internal.",
    "key.converter", "listeners", "notification.", "openlineage.", "plugin.path", "post.processors", "predicates",
    "queue.provider.", "reselect", "rest.", "schema.history.internal", "signal.", "snapshot.mode.configuration.based.",
    "topic.creation.", "transforms", "value.converter",
)  # fmt: skip
_NAMES = """
advanced.metrics.enable auto.create.topics.enable client.id column.propagate.source.type config.action.reload
config.storage.replication.factor connection.validation.timeout.ms connector.client.config.override.policy
connector.plugin.version custom.metric.tags custom.sanitize.pattern database.connection.factory.class
database.query.timeout.ms database.sslfactory database.sslpassword datatype.propagate.source.type
errors.deadletterqueue.context.headers.enable errors.deadletterqueue.topic.replication.factor errors.max.retries
event.converting.failure.handling.mode event.processing.failure.handling.mode exactly.once.source.support
executor.shutdown.timeout.ms extended.headers.enabled field.name.adjustment.mode flush.lsn.source
heartbeat.action.query heartbeat.topics.prefix include.schema.changes include.schema.comments
include.unknown.datatypes incremental.snapshot.allow.schema.changes incremental.snapshot.chunk.size
incremental.snapshot.watermarking.strategy legacy.snapshot.max.threads lsn.flush.mode lsn.flush.timeout.action
lsn.flush.timeout.ms max.batch.size max.queue.size message.prefix.exclude.list offset.flush.interval.ms
offset.flush.timeout.ms offset.mismatch.strategy offset.storage.partitions offsets.storage.topic
poll.dispatch.interval.ms poll.interval.ms publish.via.partition.root read.only replica.identity.autoset.values
retriable.restart.connector.wait.ms sanitize.field.names schema.name.adjustment.mode schema.refresh.mode
skip.messages.without.change slot.max.retries slot.retry.delay.ms slot.stream.params snapshot.delay.ms
snapshot.fetch.size snapshot.include.collection.list snapshot.isolation.mode snapshot.lock.timeout.ms
snapshot.locking.mode snapshot.locking.mode.custom.name snapshot.max.threads.multiplier snapshot.mode.custom.name
snapshot.query.mode snapshot.query.mode.custom.name snapshot.tables.order.by.row.count source.struct.version
sourceinfo.struct.maker statistics.metrics.enabled status.storage.partitions status.storage.replication.factor
streaming.delay.ms table.ignore.builtin tasks.max.enforce topic.cache.size topic.delimiter topic.heartbeat.name
topic.heartbeat.prefix topic.naming.strategy topic.transaction transaction.boundary transaction.metadata.factory
xmin.fetch.interval.ms
"""
_CHANGES_OUTPUT = ("converters", "key.converter", "post.processors", "predicates", "transforms", "value.converter")
_NOW = {
    "column.blacklist": "column.exclude.list",
    "column.whitelist": "column.include.list",
    "database.server.name": "topic.prefix",
    "key.converter.schema.registry.url": "schema.registry.url",
    "schema.blacklist": "schema.exclude.list",
    "schema.whitelist": "schema.include.list",
    "table.blacklist": "table.exclude.list",
    "table.whitelist": "table.include.list",
    "value.converter.schema.registry.url": "schema.registry.url",
}


def known(key: str) -> bool:
    """Whether Connect or Debezium has such a property."""
    return key in _NAMES.split() or key.startswith(_PREFIXES)


def meaning(key: str) -> str:
    """What becomes of a known property here."""
    if key in _NOW:
        return f"has no meaning here, not used; set {_NOW[key]}"
    if key.startswith(_CHANGES_OUTPUT):
        return "has no meaning here, not used: what it does to records is not done"
    return "has no meaning here, not used"


def now_called(key: str) -> str | None:
    """Our key for a property's former name."""
    return _NOW.get(key)
