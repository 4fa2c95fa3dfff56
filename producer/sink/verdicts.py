"""What follows from an error of the Kafka client: one table, for synchronous and delivery errors.

Room: sink (IO: Kafka). Kafka protocol guide, "Error Codes"; librdkafka, "rdkafka.h" (names that begin
with an underscore).
What is neither known to pass nor known to be about the data asks for an operator.
"""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException, Message

from producer.acks import Failure
from producer.errors import (
    AccessDenied,
    KafkaUnavailable,
    OperatorError,
    OversizedRecord,
    ProducerError,
    ProducerFenced,
    SettingsError,
)

_TOO_LARGE = {"MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"}
_RIGHTS = {
    "TOPIC_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
}
_LOGIN = {
    "_AUTHENTICATION",
    "SASL_AUTHENTICATION_FAILED",
    "UNSUPPORTED_SASL_MECHANISM",
    "ILLEGAL_SASL_STATE",
    "SECURITY_DISABLED",
}
_UNKNOWN_TOPIC = {
    "_UNKNOWN_TOPIC",
    "_UNKNOWN_PARTITION",
    "UNKNOWN_TOPIC_OR_PART",
    "UNKNOWN_TOPIC_ID",
}
_PASSES = {
    "_TRANSPORT",
    "_ALL_BROKERS_DOWN",
    "_RESOLVE",
    "_TIMED_OUT",
    "_TIMED_OUT_QUEUE",
    "_MSG_TIMED_OUT",
    "_WAIT_COORD",
    "_IN_PROGRESS",
    "_RETRY",
    "_QUEUE_FULL",
    "_PURGE_QUEUE",
    "_PURGE_INFLIGHT",
    "_DESTROY",
    "_DESTROY_BROKER",
    "UNKNOWN",
    "INVALID_MSG",
    "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_FOR_PARTITION",
    "REQUEST_TIMED_OUT",
    "BROKER_NOT_AVAILABLE",
    "REPLICA_NOT_AVAILABLE",
    "NETWORK_EXCEPTION",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "NOT_COORDINATOR",
    "NOT_CONTROLLER",
    "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "KAFKA_STORAGE_ERROR",
    "THROTTLING_QUOTA_EXCEEDED",
    "FENCED_LEADER_EPOCH",
    "UNKNOWN_LEADER_EPOCH",
    "OFFSET_NOT_AVAILABLE",
    # The idempotent producer lost its footing: a new one starts from the last confirmed position.
    "_FATAL",
    "_GAPLESS_GUARANTEE",
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
    "DUPLICATE_SEQUENCE_NUMBER",
    "UNKNOWN_PRODUCER_ID",
    "INVALID_PRODUCER_EPOCH",
    "INVALID_PRODUCER_ID_MAPPING",
    # A Kafka transaction that failed: a new producer aborts it and begins again.
    "_STATE",
    "_CONFLICT",
    "INVALID_TXN_STATE",
    "CONCURRENT_TRANSACTIONS",
    "TRANSACTION_COORDINATOR_FENCED",
    "TRANSACTION_ABORTABLE",
}
_FENCED = {"_FENCED", "PRODUCER_FENCED"}
_REMEDIES = {
    "INVALID_RECORD": "a compacted topic refuses records without a key: give the table a primary key "
    "or message.key.columns, or set the topic's cleanup.policy to delete",
    "POLICY_VIOLATION": "the cluster's policy refuses it: change topic.creation.default.* or create the topic yourself",
    "INVALID_REPLICATION_FACTOR": "set topic.creation.default.replication.factor (and "
    "offset.storage.replication.factor) to at most the number of brokers",
    "INVALID_CONFIG": "correct topic.creation.default.*: Kafka does not know a setting or its value",
    "TOPIC_EXCEPTION": "the topic's name is not legal: change topic.prefix",
    "INVALID_TRANSACTION_TIMEOUT": "set producer.override.transaction.timeout.ms to at most the brokers' "
    "transaction.max.timeout.ms, or raise that",
}


class Complaints:
    """What a client says of its connections, unasked: its `error_cb`. It must not raise.

    The client goes on by itself after most of it (brokers down, a name that does not resolve).
    """

    def __init__(self, *, transactional: bool = False) -> None:
        self._transactional = transactional
        self.last: object | None = None
        """The last complaint of all."""
        self.fatal: ProducerError | None = None
        """The first one that waiting does not mend: a refused login, a client that gave up."""

    def __call__(self, error: KafkaError) -> None:
        """Take a complaint; called from within the client's poll."""
        self.last = error
        refused = error.name() in _LOGIN or (error.name() == "_SSL" and "certificate" in error.str())
        # A transaction fails by it, and of its records is said no more than that it has failed.
        refused |= self._transactional and error.name() in _RIGHTS
        if self.fatal is None and (refused or error.fatal()):
            self.fatal = map_kafka_error(error, "connecting to Kafka")

    def gave_up(self, error: KafkaException) -> None:
        """Take what the client's poll or flush raised: a fatal error comes out there only."""
        self.last = error.args[0] if error.args else error
        self.fatal = self.fatal or map_kafka_error(error, "the Kafka client gave up")


def map_kafka_error(error: object, what: str) -> ProducerError:
    """The product's error for a KafkaError, a KafkaException, a BufferError or a delivery's `Failure`.

    `what` says what was being done: topic, table, size, position; never a row's value.
    """
    if isinstance(error, Failure):
        position = "" if error.commit_lsn is None else f", of a transaction that commits by {error.commit_lsn}"
        return map_kafka_error(error.error, what + _described(error.report) + position)
    if isinstance(error, ProducerError):
        return error
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        error = error.args[0]
    if isinstance(error, BufferError):
        return KafkaUnavailable(
            f"{what}: the Kafka client's queue is full",
            remedy="leave queue.buffering.* at its default: max.queue.size.in.bytes is the limit",
        )
    if not isinstance(error, KafkaError):
        return OperatorError(
            f"{what}: the Kafka client refuses: {error}", remedy="look at producer.override.* and the topic"
        )
    return _of_name(error, f"{what}: {error.str()} ({error.name()})")


def refused_settings(error: KafkaException, client: str) -> SettingsError:
    """The product's error for a client that could not be made: its settings are wrong."""
    return SettingsError(
        f"the Kafka {client} cannot be made: {error.args[0].str() if error.args else error}",
        remedy=f"correct bootstrap.servers or {client}.override.*",
    )


def _of_name(error: KafkaError, message: str) -> ProducerError:
    name = error.name()
    if name in _TOO_LARGE:
        return OversizedRecord(
            message,
            remedy="raise the topic's max.message.bytes and producer.override.message.max.bytes above it",
        )
    if name in _FENCED:
        return ProducerFenced(
            message,
            remedy="another producer of the same name and topic.prefix has taken over, and goes on; or a transaction "
            "took longer than transaction.timeout.ms, which producer.override.transaction.timeout.ms raises",
        )
    if name == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED":
        return AccessDenied(
            message,
            remedy="give the Kafka user the rights DESCRIBE and WRITE on the transactional id (kafka-acls --add "
            "--transactional-id …)",
        )
    if name in _RIGHTS:
        return AccessDenied(
            message, remedy="give the Kafka user the rights: DESCRIBE, WRITE, READ and CREATE on the topics"
        )
    if name in _LOGIN or name == "_SSL":
        return AccessDenied(
            message,
            remedy="check producer.override.security.protocol, .sasl.* and .ssl.*: mechanism, user, "
            "password, certificates",
        )
    if name in _UNKNOWN_TOPIC:
        return OperatorError(
            message, remedy="create the topic (kafka-topics --create …), or set topic.creation.enable=true"
        )
    if name not in _REMEDIES and (error.fatal() or error.retriable() or name in _PASSES):
        return KafkaUnavailable(
            message, remedy="are the brokers up, is bootstrap.servers right, are enough replicas in sync?"
        )
    return OperatorError(message, remedy=_REMEDIES.get(name, "look the error up in Kafka's protocol guide"))


def _described(report: object) -> str:
    """Where a refused record was going, and its size."""
    if not isinstance(report, Message):
        return ""
    size = len(report.key() or b"") + len(report.value() or b"")
    partition = report.partition()
    where = "" if partition is None or partition < 0 else f" [{partition}]"
    return f", topic {report.topic()}{where}, a record of {size} bytes"
