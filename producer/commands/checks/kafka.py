"""Kafka: whether it answers, and what it says of our topics.

Room: commands (IO through the stages).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from producer.commands.checks.group import group
from producer.errors import ProducerError
from producer.events import Relation
from producer.findings import Finding
from producer.pipeline import stages
from producer.pipeline.side.topics import SideTopics
from producer.schema import topics
from producer.settings import Settings
from producer.sink import topic_checks
from producer.sink.kafka import KafkaSink
from producer.sink.topic_checks import Use
from producer.sink.topic_facts import Wanted
from producer.sink.transactional import TIMEOUT_MS

_KAFKA_SECONDS = 10.0


def findings(settings: Settings, relations: Sequence[Relation]) -> Iterator[Finding]:
    """Line by line; `relations` are the selected tables'."""
    try:
        sink: KafkaSink = stages.sink(settings)
    except ProducerError as error:
        yield Finding.of("kafka", error)
        return
    try:
        brokers = sink.ping(_KAFKA_SECONDS)
        yield Finding(name="kafka", status="ok", detail=f"{settings.bootstrap_servers}, {brokers} broker(s) answer")
        yield from group("topics", lambda: _topics(settings, sink, relations, brokers))
        if settings.exactly_once_support == "required":
            yield from group("transactions", lambda: [_transactions(settings, sink)])
    except ProducerError as error:
        yield Finding.of("kafka", error)
    finally:
        sink.close(0)


def _topics(
    settings: Settings, sink: KafkaSink, relations: Sequence[Relation], brokers: int
) -> Iterator[Finding | ProducerError]:
    uses = list(_uses(settings, relations))
    names = [use.name for use in uses]
    found, refused = sink.examine(names, list(_wanted(settings, uses)))
    missing = [name for name in names if found[name] is None]
    made = [name for name in missing if settings.topic_creation_enable or name == settings.offset_storage_topic]
    if len(made) < len(missing):
        try:
            asked = [name for name in missing if name not in made]
            sink.ensure_topics(asked, partitions=1, replication_factor=-1, config={}, create=False)
        except ProducerError as error:
            yield error
    else:
        will = f", {len(made)} will be made" if made else ""
        yield Finding(name="topics", status="ok", detail=f"{len(names) - len(missing)} exist{will}")
    for use in uses:
        if use.name in made and use.name in refused:
            yield Finding.of("topic", refused[use.name], use.name)
        elif (
            use.name in made
            and not use.keyed
            and use.policy == "any"
            and "compact" in settings.topic_creation_default_cleanup_policy
        ):
            yield Finding(
                name="topic",
                about=use.name,
                status="failed",
                detail="would be made compacted, and its table has no key: Kafka would refuse its rows",
                remedy="give the table a primary key, name one in message.key.columns, or set "
                "topic.creation.default.cleanup.policy=delete",
            )
    yield from topic_checks.judged(found, uses, largest=sink.largest_record, brokers=brokers)


def _uses(settings: Settings, relations: Sequence[Relation]) -> Iterator[Use]:
    compared = settings.snapshot_mode == "when_needed" or settings.replication_method == "FULL_TABLE"
    for relation in relations:
        if relation.logged_as is None:
            yield Use(
                name=topics.topic_name(settings.topic_prefix, relation.schema, relation.name),
                needs=frozenset({"READ", "WRITE"} if compared else {"WRITE"}),
                keyed=bool(relation.key),
                compared=compared and bool(relation.key),
            )
    for side in SideTopics(settings).asked:
        yield Use(name=side.name, policy="delete")
    if settings.errors_tolerance == "all":
        yield Use(name=settings.errors_deadletterqueue_topic_name, policy="delete", keyed=False)
    if settings.snapshot_mode != "initial_only":
        yield Use(name=settings.offset_storage_topic, needs=frozenset({"READ", "WRITE"}), policy="compact")


def _wanted(settings: Settings, uses: Sequence[Use]) -> Iterator[Wanted]:
    """How they would be made, those that are alike together."""
    asked = settings.topic_creation_config
    default = {**asked, "cleanup.policy": settings.table_cleanup_policy}
    factor = settings.topic_creation_default_replication_factor
    kinds = (
        ("any", settings.topic_creation_default_partitions, factor, default),
        ("delete", 1, factor, {**asked, "cleanup.policy": "delete"}),
        ("compact", 1, settings.offset_storage_replication_factor, {"cleanup.policy": "compact"}),
    )
    for policy, partitions, replicas, config in kinds:
        names = [use.name for use in uses if use.policy == policy]
        yield Wanted(names=names, partitions=partitions, replication_factor=replicas, config=config)


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
