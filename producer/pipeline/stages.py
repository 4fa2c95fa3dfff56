"""Making the stages from the settings.

Room: pipeline (IO through the stages it makes).
"""

from __future__ import annotations

from collections.abc import Callable

from producer.acks import Group
from producer.clock import Clock
from producer.errors import KafkaUnavailable
from producer.figures import Calls
from producer.pipeline import exactly_once
from producer.pipeline.stop import Stop
from producer.schema.registry import Registry
from producer.settings import Settings
from producer.sink.kafka import KafkaSink, map_kafka_error
from producer.sink.offsets import Loaded, Offset, OffsetsTopic
from producer.sink.protocol import Sink
from producer.source.wire import Server

_ACK_SECONDS = 30.0


def server(settings: Settings) -> Server:
    """Where the source is."""
    ssl = {
        "sslmode": settings.database_sslmode,
        "sslrootcert": settings.database_sslrootcert,
        "sslcert": settings.database_sslcert,
        "sslkey": settings.database_sslkey,
    }
    password = settings.database_password
    return Server(
        host=settings.database_hostname,
        port=settings.database_port,
        user=settings.database_user,
        password=password.get_secret_value() if password is not None else None,
        dbname=settings.database_dbname,
        application_name=f"pg-producer {settings.name}",
        ssl=tuple((name, value) for name, value in ssl.items() if value),
        initial_statements=settings.database_initial_statements,
    )


def sink(settings: Settings, *, transactional: bool = False) -> KafkaSink:
    """Kafka; in transactions where asked for, and where the settings do."""
    required = transactional and settings.exactly_once_support == "required"
    return KafkaSink(
        settings.bootstrap_servers,
        client_id=f"pg-producer-{settings.name}",
        # One for each connector, the same at each start. A prefix holds no colon.
        transactional_id=f"pg-producer:{settings.topic_prefix}:{settings.name}" if required else None,
        overrides=settings.producer_override,
        admin_overrides=settings.admin_override,
        consumer_overrides=settings.consumer_override,
    )


def registry(settings: Settings, calls: Calls | None = None) -> Registry:
    """The schema registry; its answers are counted in `calls`."""
    login = settings.schema_registry_basic_auth_user_info
    return Registry(
        settings.schema_registry_url,
        basic_auth=login.get_secret_value() if login is not None else None,
        ssl=settings.schema_registry_ssl,
        auto_register=settings.auto_register_schemas,
        calls=calls,
    )


def offsets(settings: Settings, into: Sink) -> OffsetsTopic:
    """Our position's topic."""
    return OffsetsTopic(
        into,
        settings.offset_storage_topic,
        name=settings.name,
        server=settings.topic_prefix,
        replication_factor=settings.offset_storage_replication_factor,
    )


def write_and_wait(topic: OffsetsTopic, into: Sink, offset: Offset, clock: Clock, stop: Stop) -> None:
    """Write a position and wait until Kafka has acked it.

    Raises:
        KafkaUnavailable: it did not, in 30 seconds or in the time of an orderly stop.
    """
    group = Group()
    topic.write(offset, group)
    _wait(group, into, clock, stop.expired)
    exactly_once.commit(into, clock, stop)


def forget(topic: OffsetsTopic, into: Sink, loaded: Loaded, clock: Clock) -> None:
    """Forget a connector's position, marks and shapes, and wait for the acks."""
    group = Group()
    topic.write(None, group)
    _forget_marks(topic, loaded, group)
    _forget_shapes(topic, loaded, group)
    _wait(group, into, clock, lambda: False)


def begin_anew(topic: OffsetsTopic, into: Sink, loaded: Loaded, offset: Offset, clock: Clock, stop: Stop) -> None:
    """Forget marks and shapes, then write another position, and wait for the acks.

    In this order, in one partition: no position of now stands beside a mark of before.
    """
    group = Group()
    _forget_marks(topic, loaded, group)
    _forget_shapes(topic, loaded, group)
    topic.write(offset, group)
    _wait(group, into, clock, stop.expired)
    exactly_once.commit(into, clock, stop)


def _forget_shapes(topic: OffsetsTopic, loaded: Loaded, group: Group) -> None:
    for names in loaded.shapes:
        topic.write_shape(names, None, group)
    if loaded.published:
        topic.write_published(None, group)


def forget_marks(topic: OffsetsTopic, into: Sink, loaded: Loaded, clock: Clock, stop: Stop) -> None:
    """Forget which tables and chunks were read, and wait for the acks."""
    group = Group()
    _forget_marks(topic, loaded, group)
    _wait(group, into, clock, stop.expired)


def _forget_marks(topic: OffsetsTopic, loaded: Loaded, group: Group) -> None:
    for table in loaded.tables:
        topic.write_mark(table, None, group)
    for table, marks in loaded.chunks.items():
        for pages in marks:
            topic.write_chunk(table, pages, None, group)


def _wait(group: Group, into: Sink, clock: Clock, hurry: Callable[[], bool]) -> None:
    deadline = clock.monotonic() + _ACK_SECONDS
    while group.pending:
        into.flush(0.05)
        if clock.monotonic() > deadline or hurry():
            raise KafkaUnavailable(
                "Kafka did not ack our position in time", remedy="are the brokers up, and bootstrap.servers right?"
            )
    if group.failure is not None:
        raise map_kafka_error(group.failure, "storing our position")
