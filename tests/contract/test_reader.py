"""Reading back from real Kafka: ends, transactions, topics made later, a login that is refused."""

import re
import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from dev.stack import Stack
from producer.acks import Group
from producer.errors import AccessDenied, KafkaUnavailable
from producer.sink import reader as reader_module
from producer.sink.kafka import KafkaSink
from producer.sink.reader import Record, TopicReader, table_topics

SECONDS = 30.0


def servers() -> str:
    """The broker, once it was started."""
    return Stack.load().bootstrap_servers


@pytest.fixture
def sink() -> Iterator[KafkaSink]:
    made = KafkaSink(servers(), client_id="contract")
    yield made
    made.close(5)


@pytest.fixture
def prefix() -> str:
    return f"contract{uuid.uuid4().hex}"


def create(sink: KafkaSink, name: str, partitions: int = 1) -> str:
    sink.ensure_topics([name], partitions=partitions, replication_factor=1, config={}, create=True)
    return name


def send(sink: KafkaSink, topic: str, *numbers: int) -> None:
    group = Group()
    for number in numbers:
        body = b"\0\0\0\0\1" + bytes([number * 2])
        sink.send(topic, body, None if number == 0 else body, group, headers=[("h", b"v")])
    assert sink.flush(SECONDS) == 0
    assert group.failure is None


def topic_reader() -> TopicReader:
    return TopicReader(servers(), {}, {1: '"long"'}.__getitem__)


def test_once_reads_to_the_ends_seen_at_the_start(sink: KafkaSink, prefix: str) -> None:
    topics = [create(sink, f"{prefix}.public.a", 3), create(sink, f"{prefix}.public.b")]
    create(sink, f"{prefix}.public.empty")
    send(sink, topics[0], 1, 2, 3, 0)
    send(sink, topics[1], 4)
    found: list[Record] = []
    for record in topic_reader().records(table_topics(prefix), once=True):
        found.append(record)
        send(sink, topics[1], 9)  # what comes meanwhile does not prolong it
    assert sorted((record.topic, record.key, record.value) for record in found if record.value is not None) == [
        (topics[0], 1, 1),
        (topics[0], 2, 2),
        (topics[0], 3, 3),
        (topics[1], 4, 4),
    ]
    assert [(record.key, record.value) for record in found if record.value is None] == [(0, None)]
    assert {record.headers for record in found} == {(("h", b"v"),)}


def test_a_scan_does_not_wait_for_the_leaders_to_be_found(sink: KafkaSink, prefix: str) -> None:
    """Every start reads a topic back, FULL_TABLE one for each table: half a second each before."""
    topic = create(sink, prefix)
    send(sink, topic, 1, 2)

    def turns() -> int:
        return sum(1 for _ in sink.scan(topic, SECONDS))

    # A busy machine may cost one of them a turn more.
    assert min(turns() for _ in range(3)) == 1


def test_once_from_the_end_is_nothing(sink: KafkaSink, prefix: str) -> None:
    topic = create(sink, f"{prefix}.public.a")
    send(sink, topic, 1)
    assert list(topic_reader().records([topic], from_beginning=False, once=True)) == []


def test_without_end_it_goes_on_and_finds_topics_made_later(
    sink: KafkaSink, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "_DISCOVER_SECONDS", 0.2)
    first = create(sink, f"{prefix}.public.a")
    send(sink, first, 1)
    records = topic_reader().records(re.compile(re.escape(prefix) + ".*"))
    assert next(records).value == 1
    second = create(sink, f"{prefix}.public.b")
    send(sink, second, 2)
    assert (later := next(records)).topic == second
    assert later.value == 2
    send(sink, first, 3)
    assert next(records).value == 3


def test_an_open_transaction_holds_reading_back_until_it_ends(sink: KafkaSink, prefix: str) -> None:
    topic = create(sink, f"{prefix}.offsets")
    send(sink, topic, 1)
    other = Producer({"bootstrap.servers": servers(), "transactional.id": prefix, "linger.ms": 0})
    other.init_transactions(SECONDS)
    other.begin_transaction()
    other.produce(topic, b"aborted")
    other.flush(SECONDS)
    send(sink, topic, 2)
    with pytest.raises(KafkaUnavailable, match=topic):
        sink.read(topic, 1)
    other.abort_transaction(SECONDS)
    assert [record.value for record in sink.read(topic, SECONDS)] == [b"\0\0\0\0\1\2", b"\0\0\0\0\1\4"]
    other.begin_transaction()
    other.produce(topic, b"committed")
    other.commit_transaction(SECONDS)
    assert [record.value for record in sink.read(topic, SECONDS)][2:] == [b"committed"]
    other.close()


def test_a_refused_login_is_told_soon(prefix: str) -> None:
    overrides = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "u",
        "sasl.password": "s3cret-hunter2",
    }
    sink = KafkaSink(servers(), client_id="contract", overrides=overrides)
    began = time.monotonic()
    with pytest.raises(AccessDenied) as caught:
        sink.ping(SECONDS)
    with pytest.raises(AccessDenied):
        sink.read(prefix, SECONDS)
    assert time.monotonic() - began < 10
    assert isinstance(sink.fatal(), AccessDenied)
    assert "hunter2" not in str(caught.value)
    sink.close(0.1)
