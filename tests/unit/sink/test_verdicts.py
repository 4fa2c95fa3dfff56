"""Errors of the Kafka client and what follows from them."""

import itertools

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from producer.acks import Failure
from producer.errors import (
    AccessDenied,
    KafkaUnavailable,
    OperatorError,
    OversizedRecord,
    ProducerError,
    SettingsError,
)
from producer.sink import verdicts
from producer.sink.verdicts import Complaints, map_kafka_error, refused_settings

CASES = {
    "MSG_SIZE_TOO_LARGE": OversizedRecord,
    "TOPIC_AUTHORIZATION_FAILED": AccessDenied,
    "CLUSTER_AUTHORIZATION_FAILED": AccessDenied,
    "_AUTHENTICATION": AccessDenied,
    "SASL_AUTHENTICATION_FAILED": AccessDenied,
    "_SSL": AccessDenied,
    "_UNKNOWN_TOPIC": OperatorError,
    "UNKNOWN_TOPIC_OR_PART": OperatorError,
    "POLICY_VIOLATION": OperatorError,
    "INVALID_RECORD": OperatorError,
    "_TRANSPORT": KafkaUnavailable,
    "_TIMED_OUT": KafkaUnavailable,
    "_MSG_TIMED_OUT": KafkaUnavailable,
    "_ALL_BROKERS_DOWN": KafkaUnavailable,
    "OUT_OF_ORDER_SEQUENCE_NUMBER": KafkaUnavailable,
    "_PURGE_INFLIGHT": KafkaUnavailable,
    "INVALID_REQUEST": OperatorError,
}


def kafka_error(name: str, *, fatal: bool = False, retriable: bool = False) -> KafkaError:
    return KafkaError(getattr(KafkaError, name), fatal=fatal, retriable=retriable)


@pytest.mark.parametrize(("name", "expected"), CASES.items())
def test_an_error_has_its_verdict_however_it_comes(name: str, expected: type[ProducerError]) -> None:
    error = kafka_error(name)
    report = Message(topic="t", partition=3, key=b"4711", value=b"secret", error=error)
    for form in (error, KafkaException(error), Failure(error, report)):
        mapped = map_kafka_error(form, "topic t")
        assert type(mapped) is expected
        assert mapped.message.startswith("topic t")
        assert name in mapped.message
        assert mapped.remedy
        assert "4711" not in str(mapped)
        assert "secret" not in str(mapped)


def test_a_refused_record_is_described_by_topic_partition_and_size() -> None:
    error = kafka_error("MSG_SIZE_TOO_LARGE")
    report = Message(topic="shop.public.a", partition=3, key=b"key", value=b"x" * 10, error=error)
    mapped = map_kafka_error(Failure(error, report), "delivering records")
    assert mapped.message.startswith("delivering records, topic shop.public.a [3], a record of 13 bytes")


def test_a_fatal_or_retriable_error_passes() -> None:
    assert isinstance(map_kafka_error(kafka_error("INVALID_REQUEST", fatal=True), "x"), KafkaUnavailable)
    assert isinstance(map_kafka_error(kafka_error("INVALID_REQUEST", retriable=True), "x"), KafkaUnavailable)


def test_a_full_queue_passes_and_the_unknown_asks_an_operator() -> None:
    assert isinstance(map_kafka_error(BufferError("full"), "x"), KafkaUnavailable)
    assert type(map_kafka_error("what?", "x")) is OperatorError
    assert type(map_kafka_error(KafkaException("what?"), "x")) is OperatorError


def test_an_error_of_ours_stays_what_it_is() -> None:
    error = OversizedRecord("a", remedy="b")
    assert map_kafka_error(error, "x") is error


def test_every_name_in_the_tables_is_one_of_the_client() -> None:
    tables = (
        verdicts._TOO_LARGE,
        verdicts._RIGHTS,
        verdicts._LOGIN,
        verdicts._UNKNOWN_TOPIC,
        verdicts._PASSES,
    )
    for name in itertools.chain(*tables, verdicts._REMEDIES):
        assert kafka_error(name).name() == name


@pytest.mark.parametrize("name", ["_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"])
def test_a_refused_login_is_not_waited_for(name: str) -> None:
    complaints = Complaints()
    complaints(kafka_error(name))
    complaints(kafka_error("_ALL_BROKERS_DOWN"))
    assert isinstance(complaints.fatal, AccessDenied)
    assert complaints.last == kafka_error("_ALL_BROKERS_DOWN")


def test_a_refused_certificate_is_not_waited_for_but_a_cut_handshake_is() -> None:
    complaints = Complaints()
    complaints(KafkaError(KafkaError._SSL, "SSL handshake failed: Disconnected"))
    assert complaints.fatal is None
    complaints(KafkaError(KafkaError._SSL, "SSL handshake failed: certificate verify failed"))
    assert isinstance(complaints.fatal, AccessDenied)


@pytest.mark.parametrize(("number", "refused"), [(116, True), (40, True), (80, False), (0, False)])
def test_a_tls_alert_that_says_no_is_not_waited_for(number: int, refused: bool) -> None:
    """Under TLS 1.3 a broker that wants our certificate says so behind the handshake."""
    complaints = Complaints()
    complaints(KafkaError(KafkaError._TRANSPORT, f"Receive failed: SSL routines::alert: SSL alert number {number}"))
    assert isinstance(complaints.fatal, AccessDenied) is refused


@pytest.mark.parametrize("name", ["_ALL_BROKERS_DOWN", "_TRANSPORT", "_RESOLVE"])
def test_brokers_that_are_away_are_waited_for(name: str) -> None:
    complaints = Complaints()
    complaints(kafka_error(name))
    assert complaints.fatal is None
    assert complaints.last is not None


def test_a_client_that_gave_up_is_told() -> None:
    complaints = Complaints()
    complaints.gave_up(KafkaException(kafka_error("OUT_OF_ORDER_SEQUENCE_NUMBER", fatal=True)))
    assert isinstance(complaints.fatal, KafkaUnavailable)


def test_settings_that_the_client_refuses_are_wrong_settings() -> None:
    error = refused_settings(KafkaException(KafkaError(KafkaError._INVALID_ARG, 'No such: "foo"')), "producer")
    assert isinstance(error, SettingsError)
    assert 'No such: "foo"' in error.message
    assert "producer.override" in error.remedy
