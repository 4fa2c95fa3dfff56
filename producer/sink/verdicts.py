"""What follows from an error of the Kafka client: one table, for synchronous and delivery errors.

Room: sink (IO: Kafka). Kafka protocol guide, "Error Codes"; librdkafka, "rdkafka.h" (local codes).
What is neither known to pass nor known to be about the data asks for an operator.
"""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException, Message

from producer.acks import Failure
from producer.errors import AccessDenied, ConversionError, KafkaUnavailable, OperatorError, ProducerError

_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
_RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
LOGIN = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
        KafkaError.SECURITY_DISABLED,
    }
)
"""A login that is refused: waiting does not mend it."""
_UNKNOWN_TOPIC = {
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_TOPIC_ID,
}
_PASSES = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._WAIT_COORD,
    KafkaError._IN_PROGRESS,
    KafkaError._RETRY,
    KafkaError._QUEUE_FULL,
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._DESTROY,
    KafkaError._DESTROY_BROKER,
    KafkaError.UNKNOWN,
    KafkaError.INVALID_MSG,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_CONTROLLER,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.THROTTLING_QUOTA_EXCEEDED,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    # The idempotent producer lost its footing: a new one starts from the last confirmed position.
    KafkaError._FATAL,
    KafkaError._GAPLESS_GUARANTEE,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    KafkaError.DUPLICATE_SEQUENCE_NUMBER,
    KafkaError.UNKNOWN_PRODUCER_ID,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
}
_REMEDIES = {
    KafkaError.INVALID_RECORD: "a compacted topic refuses records without a key: give the table a primary key "
    "or message.key.columns, or set the topic's cleanup.policy to delete",
    KafkaError.POLICY_VIOLATION: "the cluster's policy refuses it: change topic.creation.default.* or create the "
    "topic yourself",
    KafkaError.INVALID_REPLICATION_FACTOR: "set topic.creation.default.replication.factor (and "
    "offset.storage.replication.factor) to at most the number of brokers",
    KafkaError.INVALID_CONFIG: "correct topic.creation.default.*: Kafka does not know a setting or its value",
    KafkaError.TOPIC_EXCEPTION: "the topic's name is not legal: change topic.prefix",
}


def map_kafka_error(error: object, what: str) -> ProducerError:
    """The product's error for a KafkaError, a KafkaException, a BufferError or a delivery's `Failure`.

    `what` says what was being done: topic, table, size, position; never a row's value.
    """
    if isinstance(error, Failure):
        return map_kafka_error(error.error, what + _described(error.report))
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
    return _of_code(error, f"{what}: {error.str()} ({error.name()})")


def _of_code(error: KafkaError, message: str) -> ProducerError:
    code = error.code()
    if code in _TOO_LARGE:
        return ConversionError(
            message,
            remedy="raise max.message.bytes of the topic and producer.override.message.max.bytes above the size",
        )
    if code in _RIGHTS:
        return AccessDenied(
            message, remedy="give the Kafka user the rights: DESCRIBE, WRITE, READ and CREATE on the topics"
        )
    if code in LOGIN or code == KafkaError._SSL:
        return AccessDenied(
            message,
            remedy="check producer.override.security.protocol, .sasl.* and .ssl.*: mechanism, user, password, "
            "certificates",
        )
    if code in _UNKNOWN_TOPIC:
        return OperatorError(
            message, remedy="create the topic (kafka-topics --create …), or set topic.creation.enable=true"
        )
    if error.fatal() or error.retriable() or code in _PASSES:
        return KafkaUnavailable(
            message, remedy="are the brokers up, is bootstrap.servers right, are enough replicas in sync?"
        )
    return OperatorError(message, remedy=_REMEDIES.get(code, "look the error up in Kafka's protocol guide"))


def _described(report: object) -> str:
    """Where a refused record was going, and its size."""
    if not isinstance(report, Message):
        return ""
    size = len(report.key() or b"") + len(report.value() or b"")
    partition = report.partition()
    where = "" if partition is None or partition < 0 else f" [{partition}]"
    return f", topic {report.topic()}{where}, a record of {size} bytes"
