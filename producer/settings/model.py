"""Every setting: its name, type, default and meaning.

Room: settings (pure). docs/settings.md is made from here.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from producer.settings import patterns
from producer.settings.patterns import Filter

_SLOT_NAME = re.compile(r"[a-z0-9_]{1,63}")
_SLOT_REFUSES = re.compile(r"[^a-z0-9_]")


def _boolean(value: Any) -> Any:
    """Connect's booleans: true and false, nothing else."""
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _filter(value: Any) -> Any:
    return patterns.compile_list(value) if isinstance(value, str) else value


def _statements(value: Any) -> Any:
    """Semicolon-separated; two of them are one that is part of a statement."""
    if not isinstance(value, str):
        return value
    parts = re.split(r"(?<!;);(?!;)", value)
    return tuple(part.replace(";;", ";").strip() for part in parts if part.strip())


def _operations(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    names = {name.strip().lower() for name in value.split(",") if name.strip()} - {"none"}
    if not names <= set("cudt"):
        raise ValueError("must be none, or a list of c, u, d, t")
    if names == set("cudt"):
        raise ValueError("skips every operation: nothing would be left to stream")
    return frozenset(names)


Flag = Annotated[bool, BeforeValidator(_boolean)]
Expressions = Annotated[Filter, BeforeValidator(_filter)]
Statements = Annotated[tuple[str, ...], BeforeValidator(_statements)]
Operations = Annotated[frozenset[str], BeforeValidator(_operations)]
Secret = SecretStr | None
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
Milliseconds = Annotated[int, Field(ge=0)]
MillisecondsOrForever = Annotated[int, Field(ge=-1)]
ReplicationFactor = Annotated[int, Field(ge=-1, le=32767)]
# They may hold secrets (sasl.password): never shown.
Passed = Annotated[dict[str, str], Field(repr=False)]
Text = Annotated[str, BeforeValidator(_stripped), Field(min_length=1)]


def setting(default: Any, key: str, words: str) -> Any:
    """A field with its dotted key and what it means."""
    return Field(default=default, alias=key, description=words)


class Settings(BaseModel):
    """The settings of one connector, checked; nothing in them changes afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, validate_default=False)

    name: str = setting("", "name", "The connector's name: in the slot's application_name, the offsets' key, logs.")
    database_hostname: Text = setting("localhost", "database.hostname", "The server's host name or address.")
    database_port: Port = setting(5432, "database.port", "The server's port.")
    database_user: Text = setting("postgres", "database.user", "The role to connect as.")
    database_password: Secret = setting(None, "database.password", "Its password; without one libpq's .pgpass counts.")
    database_dbname: Text = setting("postgres", "database.dbname", "The database.")
    database_sslmode: Annotated[
        Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"], BeforeValidator(_lower)
    ] = setting("prefer", "database.sslmode", "libpq's sslmode.")
    database_sslrootcert: str = setting("", "database.sslrootcert", "libpq's sslrootcert: a file's path.")
    database_sslcert: str = setting("", "database.sslcert", "libpq's sslcert: a file's path.")
    database_sslkey: str = setting("", "database.sslkey", "libpq's sslkey: a file's path.")
    database_initial_statements: Statements = setting(
        (),
        "database.initial.statements",
        "SQL run on each new ordinary session; `;` separates, `;;` is a semicolon.",
    )
    replication_method: Annotated[Literal["LOG_BASED", "FULL_TABLE"], BeforeValidator(_stripped)] = setting(
        "LOG_BASED",
        "replication.method",
        "How changes are found: by the log, or by copying every table each run.",
    )
    hosting_platform: Annotated[
        Literal[
            "auto",
            "generic",
            "cloud_sql",
            "rds",
            "aurora",
            "heroku",
            "azure",
            "supabase",
            "neon",
            "crunchy_bridge",
        ],
        BeforeValidator(_lower),
    ] = setting("auto", "hosting.platform", "Who hosts the server: shapes what `check` and `grants` say.")
    plugin_name: Annotated[Literal["wal2json", "pgoutput"], BeforeValidator(_lower)] = setting(
        "wal2json", "plugin.name", "The server's output plugin."
    )
    publication_name: str = setting("", "publication.name", "The publication, for pgoutput; `producer_<dbname>`.")
    publication_autocreate_mode: Annotated[
        Literal["filtered", "all_tables", "no_tables", "disabled"], BeforeValidator(_lower)
    ] = setting("filtered", "publication.autocreate.mode", "How the publication is made, for pgoutput.")
    slot_name: str = setting("", "slot.name", "The replication slot; `producer_<dbname>`. One that exists is used.")
    slot_drop_on_stop: Flag = setting(
        False, "slot.drop.on.stop", "Drop the slot at an orderly stop: the next start takes a new snapshot."
    )
    slot_failover: Flag = setting(False, "slot.failover", "Make a failover slot (PostgreSQL 17).")
    schema_include_list: Expressions = setting((), "schema.include.list", "Schemas to capture (expressions).")
    schema_exclude_list: Expressions = setting((), "schema.exclude.list", "Schemas to leave out (expressions).")
    table_include_list: Expressions = setting((), "table.include.list", "Tables to capture, on `schema.table`.")
    table_exclude_list: Expressions = setting((), "table.exclude.list", "Tables to leave out, on `schema.table`.")
    column_include_list: Expressions = setting((), "column.include.list", "Columns, on `schema.table.column`.")
    column_exclude_list: Expressions = setting((), "column.exclude.list", "Columns to leave out.")
    message_key_columns: str = setting("", "message.key.columns", "Keys by table: `schema.table:col1,col2;…`.")
    message_prefix_include_list: Expressions = setting(
        (), "message.prefix.include.list", "Prefixes of logical messages to carry."
    )
    snapshot_mode: Annotated[
        Literal["initial", "initial_only", "always", "no_data", "never", "when_needed"],
        BeforeValidator(_lower),
    ] = setting("initial", "snapshot.mode", "When tables are copied whole.")
    snapshot_max_threads: Count = setting(2, "snapshot.max.threads", "Tables copied at the same time.")
    snapshot_chunk_rows: Count = setting(100000, "snapshot.chunk.rows", "Aimed-at rows of a chunk.")
    snapshot_select_statement_overrides: str = setting(
        "", "snapshot.select.statement.overrides", "Tables whose snapshot has a SELECT of its own."
    )
    snapshot_select_statements: Passed = {}
    topic_prefix: str = setting("", "topic.prefix", "What every topic's name begins with. Required.")
    topic_creation_enable: Flag = setting(True, "topic.creation.enable", "Create topics that are missing.")
    topic_creation_default_partitions: Count = setting(
        1, "topic.creation.default.partitions", "Partitions of a new topic."
    )
    topic_creation_default_replication_factor: ReplicationFactor = setting(
        -1, "topic.creation.default.replication.factor", "Replicas of a new topic; -1: the broker's default."
    )
    topic_creation_default_cleanup_policy: Text = setting(
        "delete", "topic.creation.default.cleanup.policy", "A new topic's cleanup.policy."
    )
    topic_creation_config: Passed = {}
    bootstrap_servers: Text = setting("localhost:9092", "bootstrap.servers", "Kafka's brokers, host:port,….")
    producer_override: Passed = {}
    admin_override: Passed = {}
    consumer_override: Passed = {}
    schema_registry_url: Text = setting(
        "http://localhost:8081", "schema.registry.url", "The registry's address; several by comma."
    )
    schema_registry_basic_auth_user_info: Secret = setting(
        None, "schema.registry.basic.auth.user.info", "`user:password` for the registry."
    )
    schema_registry_ssl: Passed = {}
    auto_register_schemas: Flag = setting(True, "auto.register.schemas", "Register schemas; else only look them up.")
    value_subject_name_strategy: str = setting(
        "TopicNameStrategy", "value.subject.name.strategy", "How subjects are named."
    )
    tombstones_on_delete: Flag = setting(True, "tombstones.on.delete", "Send a null value after each delete.")
    skipped_operations: Operations = setting(
        frozenset(), "skipped.operations", "Operations not sent: a list of c, u, d, t, or none."
    )
    decimal_handling_mode: Annotated[Literal["precise", "double", "string"], BeforeValidator(_lower)] = setting(
        "precise", "decimal.handling.mode", "How numeric and money are written."
    )
    time_precision_mode: Annotated[
        Literal["adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"],
        BeforeValidator(_lower),
    ] = setting("adaptive", "time.precision.mode", "How dates and times are written.")
    interval_handling_mode: Annotated[Literal["string", "numeric"], BeforeValidator(_lower)] = setting(
        "string", "interval.handling.mode", "How intervals are written."
    )
    array_handling_mode: Annotated[Literal["array", "string"], BeforeValidator(_lower)] = setting(
        "array", "array.handling.mode", "How arrays are written."
    )
    hstore_handling_mode: Annotated[Literal["json", "map"], BeforeValidator(_lower)] = setting(
        "json", "hstore.handling.mode", "How hstore is written."
    )
    binary_handling_mode: Annotated[Literal["bytes", "base64", "base64-url-safe", "hex"], BeforeValidator(_lower)] = (
        setting("bytes", "binary.handling.mode", "How bytea is written.")
    )
    money_fraction_digits: Annotated[int, Field(ge=0, le=18)] = setting(
        2, "money.fraction.digits", "Decimals of money."
    )
    avro_logical_types: Flag = setting(False, "avro.logical.types", "Add Avro's own logical types.")
    unchanged_toast_handling: Annotated[Literal["reselect", "placeholder", "null", "fail"], BeforeValidator(_lower)] = (
        setting("reselect", "unchanged.toast.handling", "What stands for a large value that an update left alone.")
    )
    value_nullability: Annotated[Literal["relaxed", "table"], BeforeValidator(_lower)] = setting(
        "relaxed", "value.nullability", "Whether NOT NULL columns are nullable in Value."
    )
    unavailable_value_placeholder: str = setting(
        "__debezium_unavailable_value",
        "unavailable.value.placeholder",
        "The text for a value that is not to be had.",
    )
    column_transformations: Passed = {}
    provide_transaction_metadata: Flag = setting(
        False, "provide.transaction.metadata", "Send BEGIN and END events to <prefix>.transaction."
    )
    heartbeat_interval_ms: Milliseconds = setting(0, "heartbeat.interval.ms", "Send heartbeats; 0: none. [ms]")
    exactly_once_support: Annotated[Literal["requested", "required"], BeforeValidator(_lower)] = setting(
        "requested", "exactly.once.support", "`required`: Kafka transactions with the offsets inside."
    )
    transaction_boundary_interval_ms: Count = setting(
        200, "transaction.boundary.interval.ms", "Length of a Kafka transaction. [ms]"
    )
    offset_storage_topic: Text = setting("pg-producer-offsets", "offset.storage.topic", "Where positions are kept.")
    offset_storage_replication_factor: ReplicationFactor = setting(
        -1, "offset.storage.replication.factor", "Its replicas when it is created; -1: the broker's default."
    )
    errors_tolerance: Annotated[Literal["none", "all"], BeforeValidator(_lower)] = setting(
        "none", "errors.tolerance", "`all`: what cannot be converted goes to the dead-letter topic."
    )
    errors_deadletterqueue_topic_name: str = setting(
        "", "errors.deadletterqueue.topic.name", "The dead-letter topic; `<prefix>.deadletter`."
    )
    errors_retry_timeout: MillisecondsOrForever = setting(
        -1, "errors.retry.timeout", "How long temporary faults are retried; -1: for ever. [ms]"
    )
    errors_retry_delay_max_ms: Count = setting(
        60000, "errors.retry.delay.max.ms", "The longest wait between two tries. [ms]"
    )
    max_queue_size_in_bytes: Count = setting(
        67108864, "max.queue.size.in.bytes", "Bytes in flight; at the limit reading pauses."
    )
    slot_max_retained_bytes: Count | None = setting(
        None, "slot.max.retained.bytes", "WAL that the slot may hold back on the source. [bytes]"
    )
    slot_retention_action: Annotated[Literal["warn", "pause_snapshot", "drop_slot"], BeforeValidator(_lower)] = setting(
        "warn", "slot.retention.action", "What happens at that limit."
    )
    status_update_interval_ms: Count = setting(
        10000, "status.update.interval.ms", "Longest time between two status updates to the server. [ms]"
    )
    http_listen: str = setting("", "http.listen", "host:port of metrics, health, status page, REST; none.")
    group_id: str = setting("", "group.id", "A worker's group.")
    config_storage_topic: str = setting("", "config.storage.topic", "A worker's configurations.")
    status_storage_topic: str = setting("", "status.storage.topic", "A worker's states.")
    connector_class: str = setting("", "connector.class", "Connect's; accepted for configurations moved here.")
    tasks_max: Count = setting(1, "tasks.max", "Connect's; one slot is one task.")
    log_level: Annotated[Literal["trace", "debug", "info", "warn", "warning", "error"], BeforeValidator(_lower)] = (
        setting("info", "log.level", "The least severe lines to print.")
    )
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = setting(
        "text", "log.format", "`json`: every line on stderr is one JSON document."
    )

    @field_validator("message_key_columns")
    @classmethod
    def _key_columns(cls, value: str) -> str:
        patterns.key_columns(value)
        return value

    @field_validator("slot_name")
    @classmethod
    def _slot(cls, value: str) -> str:
        if value and not _SLOT_NAME.fullmatch(value):
            raise ValueError("must be 1 to 63 lower-case letters, digits and underscores")
        return value

    @field_validator("value_subject_name_strategy")
    @classmethod
    def _strategy(cls, value: str) -> str:
        short = value.strip().rpartition(".")[2]
        if short not in ("TopicNameStrategy", "RecordNameStrategy", "TopicRecordNameStrategy"):
            raise ValueError("must be TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy")
        return short

    @field_validator("topic_prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9._-]+", value):
            raise ValueError("may hold ASCII letters, digits, dots, underscores and hyphens")
        return value

    @model_validator(mode="after")
    def _derive(self) -> Self:
        """Defaults that follow from other settings."""
        dbname = self.database_dbname
        derived = {
            "name": self.topic_prefix,
            "slot_name": ("producer_" + _SLOT_REFUSES.sub("_", dbname.lower()))[:63],
            "publication_name": f"producer_{dbname}",
            "errors_deadletterqueue_topic_name": f"{self.topic_prefix}.deadletter",
        }
        for field, value in derived.items():
            if not getattr(self, field):
                object.__setattr__(self, field, value)
        return self

    def wants_table(self, schema: str, table: str) -> bool:
        """Whether the filters select a table."""
        for include, exclude, name in (
            (self.schema_include_list, self.schema_exclude_list, schema),
            (self.table_include_list, self.table_exclude_list, f"{schema}.{table}"),
        ):
            if include and not patterns.matches(include, name):
                return False
            if patterns.matches(exclude, name):
                return False
        return True
