"""Every setting: its name, type, default and meaning.

Room: settings (pure). docs/settings.md is made from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import SecretStr, model_serializer, model_validator

from producer.settings import patterns, transformations
from producer.settings.database import DatabaseSettings
from producer.settings.values import (
    LOWER,
    Count,
    Digits,
    Flag,
    Listen,
    Milliseconds,
    MillisecondsOrForever,
    Operations,
    Partitions,
    Passed,
    ReplicationFactor,
    Secret,
    Servers,
    Strategy,
    Stripped,
    Text,
    Topic,
    Urls,
    UserInfo,
    setting,
)

MASK = "********"
_SLOT_REFUSES = re.compile(r"[^a-z0-9_]")


class Settings(DatabaseSettings):
    """The settings of one connector, checked; nothing in them changes afterwards."""

    topic_prefix: Topic = setting("", "topic.prefix", "What every topic's name begins with. Required.")
    topic_creation_enable: Flag = setting(
        True,
        "topic.creation.enable",
        "Create topics that are missing, with what `topic.creation.default.*` says; else they must be there.",
    )
    topic_creation_default_partitions: Partitions = setting(
        1, "topic.creation.default.partitions", "Partitions of a new topic; -1: the broker's default."
    )
    topic_creation_default_replication_factor: ReplicationFactor = setting(
        -1, "topic.creation.default.replication.factor", "Replicas of a new topic; -1: the broker's default."
    )
    topic_creation_default_cleanup_policy: Text = setting(
        "delete", "topic.creation.default.cleanup.policy", "A new topic's cleanup.policy."
    )
    topic_creation_config: Passed
    bootstrap_servers: Servers = setting("localhost:9092", "bootstrap.servers", "Kafka's brokers, host:port,….")
    producer_override: Passed
    admin_override: Passed
    consumer_override: Passed
    schema_registry_url: Urls = setting(
        "http://localhost:8081", "schema.registry.url", "The registry's address; several by comma."
    )
    schema_registry_basic_auth_user_info: Secret = setting(
        None, "schema.registry.basic.auth.user.info", "`user:password` for the registry. Secret."
    )
    schema_registry_ssl: Passed
    auto_register_schemas: Flag = setting(True, "auto.register.schemas", "Register schemas; else only look them up.")
    value_subject_name_strategy: Strategy = setting(
        "TopicNameStrategy", "value.subject.name.strategy", "How subjects are named."
    )
    tombstones_on_delete: Flag = setting(
        True, "tombstones.on.delete", "Send a null value after each delete; a table without key has none."
    )
    skipped_operations: Operations = setting(
        frozenset(), "skipped.operations", "Operations not sent: a list of c, u, d, t, or none."
    )
    decimal_handling_mode: Annotated[Literal["precise", "double", "string"], LOWER] = setting(
        "precise",
        "decimal.handling.mode",
        "numeric and money: exact bytes, a `double` (rounded), or a `string` (exact, NaN too).",
    )
    time_precision_mode: Annotated[
        Literal["adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"],
        LOWER,
    ] = setting(
        "adaptive",
        "time.precision.mode",
        "date, time, timestamp: Debezium's modes. `connect` cuts off what is finer than milliseconds.",
    )
    interval_handling_mode: Annotated[Literal["string", "numeric"], LOWER] = setting(
        "string",
        "interval.handling.mode",
        "interval: text with every field, or `numeric`: microseconds, a month being 30.4375 days.",
    )
    array_handling_mode: Annotated[Literal["array", "string"], LOWER] = setting(
        "array", "array.handling.mode", "Arrays: as deep as the column is declared, or the server's text."
    )
    hstore_handling_mode: Annotated[Literal["json", "map"], LOWER] = setting(
        "json", "hstore.handling.mode", "hstore: a JSON object as text, or an Avro map."
    )
    binary_handling_mode: Annotated[Literal["bytes", "base64", "base64-url-safe", "hex"], LOWER] = setting(
        "bytes", "binary.handling.mode", "bytea: bytes, or their text."
    )
    money_fraction_digits: Digits = setting(
        2, "money.fraction.digits", "Decimals of money; the server must print as many under lc_monetary C, which is 2."
    )
    avro_logical_types: Flag = setting(
        False, "avro.logical.types", "Add Avro's own logical types beside the semantic names; see docs/types.md."
    )
    unchanged_toast_handling: Annotated[Literal["reselect", "placeholder", "null", "fail"], LOWER] = setting(
        "reselect", "unchanged.toast.handling", "What stands for a large value that an update left alone."
    )
    value_nullability: Annotated[Literal["relaxed", "table"], LOWER] = setting(
        "relaxed",
        "value.nullability",
        '`table`: NOT NULL columns are not nullable in Value, and 0, "", false or the epoch fill a before-image.',
    )
    unavailable_value_placeholder: str = setting(
        "__debezium_unavailable_value",
        "unavailable.value.placeholder",
        "The text for a value that is not to be had.",
    )
    column_transformations: Passed
    provide_transaction_metadata: Flag = setting(
        False,
        "provide.transaction.metadata",
        "Send a BEGIN and an END of each transaction to `<prefix>.transaction`, and each event's place in its "
        "transaction with the event.",
    )
    heartbeat_interval_ms: Milliseconds = setting(
        0,
        "heartbeat.interval.ms",
        "Send a heartbeat to `__debezium-heartbeat.<prefix>` so often while streaming; 0: none. [ms]",
    )
    exactly_once_support: Annotated[Literal["requested", "required"], LOWER] = setting(
        "requested",
        "exactly.once.support",
        "`required`: a `read_committed` consumer sees each event once: Kafka transactions with the offsets inside. "
        "Their `transactional.id` is `pg-producer:<topic.prefix>:<name>`.",
    )
    transaction_boundary_interval_ms: Count = setting(
        200,
        "transaction.boundary.interval.ms",
        "With `exactly.once.support=required`: a Kafka transaction ends at the first commit after so long; also within "
        "a transaction that takes longer to read. [ms]",
    )
    offset_storage_topic: Topic = setting("pg-producer-offsets", "offset.storage.topic", "Where positions are kept.")
    offset_storage_replication_factor: ReplicationFactor = setting(
        -1,
        "offset.storage.replication.factor",
        "Replicas of `offset.storage.topic` when it is created; -1: the broker's default.",
    )
    errors_tolerance: Annotated[Literal["none", "all"], LOWER] = setting(
        "none", "errors.tolerance", "`all`: what cannot be converted goes to the dead-letter topic."
    )
    errors_deadletterqueue_topic_name: Topic = setting(
        "", "errors.deadletterqueue.topic.name", "The dead-letter topic; with `errors.tolerance=all`."
    )
    errors_retry_timeout: MillisecondsOrForever = setting(
        -1,
        "errors.retry.timeout",
        "How long temporary faults of PostgreSQL, Kafka and registry are retried, then exit 5; -1: for ever. [ms]",
    )
    errors_retry_delay_max_ms: Count = setting(
        60000, "errors.retry.delay.max.ms", "The longest wait between two tries; within `errors.retry.timeout`. [ms]"
    )
    max_queue_size_in_bytes: Count = setting(
        67108864,
        "max.queue.size.in.bytes",
        "All that is in flight; at the limit reading pauses; one larger record passes alone. [bytes]",
    )
    slot_max_retained_bytes: Count | None = setting(
        None, "slot.max.retained.bytes", "WAL that the slot may hold back on the source; none: any. [bytes]"
    )
    slot_retention_action: Annotated[Literal["warn", "pause_snapshot", "drop_slot"], LOWER] = setting(
        "warn",
        "slot.retention.action",
        "What happens above `slot.max.retained.bytes`: `warn`; `pause_snapshot`: the stream goes before tables that "
        "are still to be copied; `drop_slot`: the slot is dropped, then exit 3.",
    )
    status_update_interval_ms: Count = setting(
        10000,
        "status.update.interval.ms",
        "Longest time between two status updates to the server; below its wal_sender_timeout. [ms]",
    )
    http_listen: Listen = setting(
        "",
        "http.listen",
        "host:port of metrics, health and status page (docs/metrics.md); `:port`: this machine only; port 0: any that "
        "is free, the log says which.",
    )
    http_basic_auth_user_info: UserInfo = setting(
        None, "http.basic.auth.user.info", "`user:password` that is asked for there; none: nobody is asked. Secret."
    )
    group_id: Stripped = setting("", "group.id", "A worker's group.")
    config_storage_topic: Topic = setting("", "config.storage.topic", "A worker's configurations.")
    status_storage_topic: Topic = setting("", "status.storage.topic", "A worker's states.")
    connector_class: Literal[
        "", "io.debezium.connector.postgresql.PostgresConnector", "PostgresConnector", "Postgres"
    ] = setting("", "connector.class", "Connect's; accepted for configurations moved here.")
    tasks_max: Count = setting(1, "tasks.max", "Connect's; one slot is one task.")
    log_level: Annotated[Literal["trace", "debug", "info", "warn", "warning", "error"], LOWER] = setting(
        "info", "log.level", "The least severe lines to print."
    )
    log_format: Annotated[Literal["text", "json"], LOWER] = setting(
        "text", "log.format", "`json`: every line on stderr is one JSON document."
    )

    @model_validator(mode="after")
    def _derive(self) -> Self:
        """Defaults that follow from other settings."""
        dbname = self.database_dbname
        derived = {
            "name": self.topic_prefix,
            "slot_name": ("producer_" + _SLOT_REFUSES.sub("_", dbname.lower()))[:63],
            "publication_name": f"producer_{dbname}".encode()[:63].decode(errors="ignore"),
            "errors_deadletterqueue_topic_name": f"{self.topic_prefix}.deadletter",
        }
        for field, value in derived.items():
            if not getattr(self, field):
                object.__setattr__(self, field, value)
        return self

    @property
    def reads_log(self) -> bool:
        """Whether there is a stream, and a slot for it: else tables are only copied."""
        return self.replication_method == "LOG_BASED" and self.snapshot_mode != "initial_only"

    @property
    def table_cleanup_policy(self) -> str:
        """A new table topic's; the topics of full-table runs must keep the last record of each key."""
        policy = self.topic_creation_default_cleanup_policy
        return "compact" if self.replication_method == "FULL_TABLE" and "compact" not in policy else policy

    def describe(self, *, mask_secrets: bool = True) -> dict[str, str]:
        """Every setting in force by its dotted key, as it would be written."""
        shown = {key: _plain(getattr(self, field), mask_secrets) for key, field in FIELDS.items()}
        for prefix, field in patterns.PASSED_ON.items():
            for name, value in getattr(self, field).items():
                shown[prefix + name] = MASK if mask_secrets and patterns.is_secret(name) else value
        for key, value in self.column_transformations.items():
            shown[transformations.without_salt(key) if mask_secrets else key] = value
        return shown

    def column_rules(self) -> tuple[transformations.Transformation, ...]:
        """What becomes of columns' values, in the order in which they are asked."""
        return transformations.transformations(self.column_transformations)

    @model_serializer
    def _masked(self) -> dict[str, str]:
        return self.describe()

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return self.describe().items()


FIELDS: dict[str, str] = {field.alias: name for name, field in Settings.model_fields.items() if field.alias is not None}


def _plain(value: object, mask: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, SecretStr):
        return MASK if mask else value.get_secret_value()
    if isinstance(value, frozenset):
        return ",".join(sorted(value)) or "none"
    if isinstance(value, tuple):
        patterns_of = [item.pattern.replace(",", "\\,") for item in value if isinstance(item, re.Pattern)]
        return ",".join(patterns_of) if patterns_of else ";".join(item.replace(";", ";;") for item in value)
    return str(value)
