"""One suite for every sink: what holds for Kafka holds for the sink in memory."""

import socket
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]  # re-exported unsaid

from dev.stack import Stack
from producer.acks import Group, Tracker
from producer.errors import (
    KafkaUnavailable,
    OperatorError,
    OversizedRecord,
)
from producer.lsn import Lsn
from producer.sink.kafka import KafkaSink, map_kafka_error
from producer.sink.memory import MemorySink
from producer.sink.offsets import Offset, OffsetsTopic, TableMark
from producer.sink.protocol import RECORD_BYTES, RawRecord, Sink

SECONDS = 30.0
# Computed by Kafka's own org.apache.kafka.common.utils.Utils.murmur2 (its UtilsTest), as signed 32-bit.
JAVA_MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


def kafka_sink(servers: str | None = None, **overrides: str) -> KafkaSink:
    overrides = {"topic.metadata.propagation.max.ms": "500", **overrides}
    return KafkaSink(servers or Stack.load().bootstrap_servers, client_id="contract", overrides=overrides)


@pytest.fixture(params=["memory", "kafka"])
def sink(request: pytest.FixtureRequest) -> Iterator[Sink]:
    made: Sink = MemorySink() if request.param == "memory" else kafka_sink()
    made.ping(SECONDS)
    yield made
    made.close(5)


@pytest.fixture
def name() -> str:
    return f"contract.{uuid.uuid4().hex}"


def create(sink: Sink, name: str, partitions: int = 1, policy: str = "delete") -> str:
    found = sink.ensure_topics(
        [name], partitions=partitions, replication_factor=1, config={"cleanup.policy": policy}, create=True
    )
    assert found == {name: partitions}
    return name


def until(condition: Callable[[], bool], sink: Sink) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        sink.wait(0.05)


def delivered(sink: Sink, group: Group) -> None:
    until(lambda: group.pending == 0, sink)


def test_records_of_a_partition_keep_their_order(sink: Sink, name: str) -> None:
    create(sink, name, 3)
    tracker = Tracker()
    group = tracker.open()
    for number in range(3000):
        sink.produce(name, b"%d" % number, b"key %d" % (number % 7), -1, group.ack)
        group.pending += 1
        group.size += 1
    delivered(sink, group)
    assert group.failure is None
    records = sink.read(name, SECONDS)
    assert len(records) == 3000
    for key in {record.key for record in records}:
        mine = [record for record in records if record.key == key]
        assert len({record.partition for record in mine}) == 1
        values = [int(record.value or b"") for record in mine]
        assert values == sorted(values)
        assert [record.offset for record in mine] == sorted(record.offset for record in mine)


def test_acks_come_in_groups_and_only_while_polling(sink: Sink, name: str) -> None:
    create(sink, name)
    tracker = Tracker()
    groups = [tracker.open() for _ in range(3)]
    for number, group in enumerate(groups):
        for _ in range(10):
            sink.send(name, b"k", b"v", group)
        tracker.close(group, Lsn(number + 1))
    assert [group.pending for group in groups] == [10, 10, 10]
    assert [group.size for group in groups] == [20 + 10 * RECORD_BYTES] * 3
    assert sink.outstanding >= 30  # the client's own notices may wait beside them
    assert tracker.advance() == 0
    until(lambda: tracker.advance() == 3, sink)
    assert tracker.idle
    assert tracker.in_flight_bytes == 0
    until(lambda: sink.outstanding == 0, sink)


def test_headers_null_value_and_null_key_arrive_as_sent(sink: Sink, name: str) -> None:
    create(sink, name)
    group = Group()
    sink.send(name, b"k", b"v", group, headers=[("__debezium.newkey", b"\0\xff"), ("empty", b"")])
    sink.send(name, b"k", None, group)
    sink.send(name, None, b"keyless", group)
    sink.send(name, b"", b"", group)
    headers = 2 + len("__debezium.newkey") + 2 + len("empty")
    assert group.size == 4 * RECORD_BYTES + headers + 1 + 7, "headers take memory too"
    delivered(sink, group)
    first, tombstone, keyless, empty = sink.read(name, SECONDS)
    assert first.headers == (("__debezium.newkey", b"\0\xff"), ("empty", b""))
    assert (tombstone.key, tombstone.value, tombstone.headers) == (b"k", None, ())
    assert (keyless.key, keyless.value) == (None, b"keyless")
    assert (empty.key, empty.value) == (b"", b"")
    assert [record.offset for record in (first, tombstone, keyless, empty)] == [0, 1, 2, 3]
    assert abs(first.timestamp_ms / 1000 - time.time()) < 60


@pytest.mark.parametrize("partitions", [3, 7])
def test_a_key_goes_where_a_java_client_sends_it(sink: Sink, name: str, partitions: int) -> None:
    create(sink, name, partitions)
    group = Group()
    for key in JAVA_MURMUR2:
        sink.send(name, key, b"v", group)
    delivered(sink, group)
    found = {record.key: record.partition for record in sink.read(name, SECONDS)}
    assert found == {key: (number & 0x7FFF_FFFF) % partitions for key, number in JAVA_MURMUR2.items()}


def test_a_partition_can_be_named(sink: Sink, name: str) -> None:
    create(sink, name, 4)
    group = Group()
    assert sink.partitions_of(name) == 4
    for partition in range(4):
        sink.send(name, None, b"truncate", group, partition=partition)
    delivered(sink, group)
    assert sorted(record.partition for record in sink.read(name, SECONDS)) == [0, 1, 2, 3]


def raised(sink: Sink, name: str, partitions: int) -> None:
    """Somebody gives the topic more partitions."""
    if isinstance(sink, MemorySink):
        sink.topics[name] += [[] for _ in range(partitions - len(sink.topics[name]))]
        return
    admin = AdminClient({"bootstrap.servers": Stack.load().bootstrap_servers})
    admin.create_partitions([NewPartitions(name, partitions)])[name].result(SECONDS)


def test_partitions_that_somebody_adds_are_known(sink: Sink, name: str) -> None:
    """Contract 4: keys live there from then on, and a TRUNCATE must reach them."""
    create(sink, name, 1)
    assert sink.partitions_of(name) == 1
    raised(sink, name, 3)
    deadline = time.monotonic() + SECONDS
    while sink.partitions_of(name) < 3:
        assert time.monotonic() < deadline
        sink.flush(0.1)
    group = Group()
    for partition in range(3):
        sink.send(name, None, b"truncate", group, partition=partition)
    delivered(sink, group)
    assert sorted(record.partition for record in sink.read(name, SECONDS)) == [0, 1, 2]


def test_topics_are_created_once_and_keep_their_partitions(sink: Sink, name: str) -> None:
    names = [f"{name}.{number}" for number in range(5)]
    create(sink, names[0], 2)
    for _ in range(2):
        found = sink.ensure_topics(names, partitions=3, replication_factor=1, config={}, create=True)
        assert found == {names[0]: 2, **dict.fromkeys(names[1:], 3)}
    again = sink.ensure_topics(names[:1], partitions=9, replication_factor=1, config={}, create=False)
    assert again == {names[0]: 2}


def test_a_missing_topic_that_may_not_be_created_is_named(sink: Sink, name: str) -> None:
    with pytest.raises(OperatorError, match=name) as caught:
        sink.ensure_topics([name], partitions=1, replication_factor=1, config={}, create=False)
    assert "kafka-topics" in caught.value.remedy
    with pytest.raises(OperatorError, match=name):
        sink.partitions_of(name)


def test_a_topic_tells_its_configuration(sink: Sink, name: str) -> None:
    create(sink, name, policy="compact")
    config = sink.topic_config(name)
    assert config is not None
    assert config["cleanup.policy"] == "compact"


def test_a_record_to_a_topic_that_is_not_there_fails_its_group(sink: Sink, name: str) -> None:
    group = Group()
    sink.send(name, b"k", b"v", group)
    delivered(sink, group)
    error = map_kafka_error(group.failure, "delivering records")
    assert isinstance(error, OperatorError)
    assert name in error.message
    assert "a record of 2 bytes" in error.message


def test_a_compacted_topic_refuses_a_record_without_key(sink: Sink, name: str) -> None:
    create(sink, name, policy="compact")
    group = Group()
    sink.send(name, None, b"row value 4711", group)
    delivered(sink, group)
    error = map_kafka_error(group.failure, "delivering records")
    assert isinstance(error, OperatorError)
    assert "compacted" in error.remedy
    assert "4711" not in str(error)


def test_an_oversized_record_is_refused_at_once_and_not_counted(sink: Sink, name: str) -> None:
    create(sink, name)
    group = Group()
    with pytest.raises(OversizedRecord, match="1000002 bytes"):
        sink.send(name, b"k", b"x" * 1_000_001, group)
    assert (group.pending, group.size) == (0, 0)
    with pytest.raises(KafkaException) as caught:
        sink.produce(name, b"x" * 1_000_001, b"k", -1, group.ack)
    assert isinstance(map_kafka_error(caught.value, "a record"), OversizedRecord)
    with pytest.raises(OversizedRecord):
        sink.send(name, b"k", b"x" * sink.largest_record, group)
    sink.send(name, b"k", b"x" * (sink.largest_record - 1), group)
    delivered(sink, group)
    assert [len(record.value or b"") for record in sink.read(name, SECONDS)] == [sink.largest_record - 1]


def test_flush_serves_every_report(sink: Sink, name: str) -> None:
    create(sink, name)
    group = Group()
    for _ in range(100):
        sink.send(name, b"k", b"v", group)
    assert sink.flush(SECONDS) == 0
    assert group.pending == 0
    until(lambda: sink.outstanding == 0, sink)
    assert sink.flush(0) == 0


def test_an_empty_topic_is_not_a_missing_one(sink: Sink, name: str) -> None:
    with pytest.raises(OperatorError, match=name):
        sink.read(name, SECONDS)
    create(sink, name)
    assert sink.read(name, SECONDS) == []


def test_all_is_well_to_begin_with(sink: Sink) -> None:
    assert sink.ping(SECONDS) >= 1
    assert sink.fatal() is None
    assert sink.last_error is None


@pytest.fixture(params=["memory", "kafka"])
def away(request: pytest.FixtureRequest) -> Iterator[Sink]:
    """A sink whose brokers do not answer."""
    if request.param == "memory":
        memory = MemorySink(partitions={"topic": 1})
        memory.away = True
        yield memory
        return
    # Nobody else is given the port meanwhile, and nobody listens there.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield kafka_sink(f"127.0.0.1:{taken.getsockname()[1]}")


def test_close_with_the_brokers_away_gives_up_in_bounded_time(away: Sink) -> None:
    group = Group()
    for _ in range(10):
        away.send("topic", b"k", b"v", group)
    away.poll()
    assert group.pending == 10
    began = time.monotonic()
    assert away.flush(0.2) >= 10
    assert away.close(0.5) >= 10
    assert time.monotonic() - began < 5
    assert group.pending == 0
    assert isinstance(map_kafka_error(group.failure, "delivering records"), KafkaUnavailable)


def test_asking_brokers_that_are_away_is_a_temporary_fault(away: Sink) -> None:
    began = time.monotonic()
    with pytest.raises(KafkaUnavailable):
        away.ping(1.5)
    with pytest.raises(KafkaUnavailable):
        away.read("topic", 1.5)
    assert time.monotonic() - began < 10
    assert away.fatal() is None
    away.close(0.1)


OFFSET = Offset(lsn=Lsn(0x1_6B37_4D848), slot="producer_shop", system_id="7301234567890123456", timeline=1)


def offsets_topic(sink: Sink, topic: str, name: str = "shop") -> OffsetsTopic:
    offsets = OffsetsTopic(sink, topic, name=name, server="prefix", replication_factor=1)
    offsets.ensure()
    return offsets


def keys(records: list[RawRecord]) -> list[bytes | None]:
    return [record.key for record in records]


def test_the_last_position_written_is_the_one_loaded(sink: Sink, name: str) -> None:
    offsets = offsets_topic(sink, name)
    assert offsets.load(SECONDS).offset is None
    full = Offset(
        lsn=Lsn(2**63 - 1),
        slot="s",
        system_id="1",
        timeline=2,
        commit_lsn=Lsn(77),
        tx_id=4_294_967_295,
        commit_us=1_700_000_000_000_001,
        snapshot="completed",
        consistent_point=Lsn(5),
    )
    group = Group()
    offsets.write(OFFSET, group)
    offsets.write(full, group)
    delivered(sink, group)
    assert offsets.load(SECONDS).offset == full
    assert keys(sink.read(name, SECONDS))[0] == b'["shop",{"server":"prefix"}]'
    offsets.ensure()


def test_a_tombstone_forgets_the_position(sink: Sink, name: str) -> None:
    offsets = offsets_topic(sink, name)
    group = Group()
    offsets.write(OFFSET, group)
    offsets.write(None, group)
    delivered(sink, group)
    assert offsets.load(SECONDS).offset is None


def test_marks_of_tables_stand_beside_the_position(sink: Sink, name: str) -> None:
    offsets = offsets_topic(sink, name)
    mark = TableMark(rows=3, position=Lsn(9), filenode=16384)
    group = Group()
    for table in ("public.a", 'public.ü "b"', "public.gone"):
        offsets.write_mark(table, mark, group)
    offsets.write(OFFSET, group)
    offsets.write_mark("public.gone", None, group)
    offsets.write_mark("public.a", TableMark(rows=4, position=Lsn(10), filenode=None), group)
    delivered(sink, group)
    loaded = offsets.load(SECONDS)
    assert loaded.offset == OFFSET
    assert loaded.tables == {
        "public.a": TableMark(rows=4, position=Lsn(10), filenode=None),
        'public.ü "b"': mark,
    }
    assert keys(sink.read(name, SECONDS))[0] == b'["shop",{"server":"prefix","table":"public.a"}]'


def test_connectors_share_the_topic(sink: Sink, name: str) -> None:
    group = Group()
    offsets_topic(sink, name, "other").write(OFFSET, group)
    offsets_topic(sink, name, "other").write_mark("public.a", TableMark(rows=1, position=Lsn(1), filenode=1), group)
    sink.send(name, b"not even json", b"nor this", group)
    sink.send(name, b'["shop",{"server":"elsewhere"}]', b"nor this", group)
    sink.send(name, b"[1]", b"nor this", group)
    delivered(sink, group)
    loaded = offsets_topic(sink, name).load(SECONDS)
    assert loaded.offset is None
    assert loaded.tables == {}


@pytest.mark.parametrize("value", [b"", b"nonsense", b"{}", b"[]", b'{"lsn":"secret"}', b'{"lsn":-1}', b"\xff"])
def test_a_malformed_position_names_its_place_and_the_remedy(sink: Sink, name: str, value: bytes) -> None:
    offsets = offsets_topic(sink, name)
    group = Group()
    sink.send(name, b'["shop",{"server":"prefix"}]', value, group)
    delivered(sink, group)
    with pytest.raises(OperatorError, match="offset 0") as caught:
        offsets.load(SECONDS)
    assert name in caught.value.message
    assert '["shop",{"server":"prefix"}]' in caught.value.message
    assert "null" in caught.value.remedy
    assert "secret" not in str(caught.value)


def test_an_offsets_topic_that_is_not_compacted_is_refused(sink: Sink, name: str) -> None:
    create(sink, name, policy="delete")
    with pytest.raises(OperatorError, match=r"cleanup\.policy=delete"):
        OffsetsTopic(sink, name, name="shop", server="prefix").ensure()
