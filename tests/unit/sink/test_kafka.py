"""The client's settings, and the sink on librdkafka's own broker in memory."""

import logging
import time

import pytest
from confluent_kafka import Producer

from producer.acks import Tracker
from producer.errors import SettingsError
from producer.lsn import Lsn
from producer.sink.client_log import Repetitions, client_logger
from producer.sink.consume import consumer_config
from producer.sink.kafka import KafkaSink, connection_settings, producer_config

PASSWORD = "s3cret-hunter2"


def test_order_and_durability_come_first() -> None:
    config = producer_config("b:9092", {}, "pg-producer shop")
    expected = {
        "bootstrap.servers": "b:9092",
        "client.id": "pg-producer shop",
        "acks": "all",
        "enable.idempotence": True,
        "message.timeout.ms": 0,
        "partitioner": "murmur2_random",
        "linger.ms": 1000,
        "compression.type": "lz4",
        "queue.buffering.max.messages": 2**31 - 1,
        "queue.buffering.max.kbytes": 2**31 - 1,
        "allow.auto.create.topics": False,
        "statistics.interval.ms": 0,
        "logger": logging.getLogger("producer.kafka"),
    }
    assert config == expected
    Producer(config).close()


def test_what_the_user_sets_is_put_on_top() -> None:
    config = producer_config("b:9092", {"compression.type": "zstd", "linger.ms": "50"}, "c")
    assert (config["compression.type"], config["linger.ms"]) == ("zstd", "50")


def test_a_reader_joins_no_group_and_commits_nothing_whatever_the_user_sets() -> None:
    config = consumer_config("b:9092", {"enable.auto.commit": "true", "group.id": "mine"})
    assert config["enable.auto.commit"] is False
    assert config["enable.partition.eof"] is True
    assert config["group.id"] == "mine"


def test_how_to_reach_the_brokers_is_shared_and_nothing_else() -> None:
    overrides = {"security.protocol": "ssl", "ssl.ca.location": "/ca", "sasl.username": "u", "linger.ms": "9"}
    assert connection_settings(overrides) == {
        "security.protocol": "ssl",
        "ssl.ca.location": "/ca",
        "sasl.username": "u",
    }


@pytest.mark.parametrize("override", [{"no.such.property": "1"}, {"compression.codec": "abc"}, {"acks": "1"}])
def test_settings_that_the_client_refuses_are_named(override: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(override))) as caught:
        KafkaSink(
            "127.0.0.1:1",
            client_id="c",
            overrides={"sasl.username": "u", "sasl.password": PASSWORD, **override},
        )
    assert PASSWORD not in str(caught.value)


def test_a_password_is_in_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    overrides = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "u",
        "sasl.password": PASSWORD,
        "debug": "all",
    }
    sink = KafkaSink("127.0.0.1:1", client_id="c", overrides=overrides)
    sink.wait(0.3)
    sink.close(0.1)
    assert caplog.records
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(vars(sink.produce.__self__.__class__))  # type: ignore[attr-defined]


def test_the_hot_path_is_the_clients_own_method() -> None:
    sink = KafkaSink("", client_id="c", overrides={"test.mock.num.brokers": "1"})
    assert type(sink.produce).__name__ == "builtin_function_or_method"
    sink.close(1)


def test_everything_is_acked_by_brokers_in_memory() -> None:
    sink = KafkaSink("", client_id="c", overrides={"test.mock.num.brokers": "3", "allow.auto.create.topics": "true"})
    tracker = Tracker()
    for number in range(100):
        group = tracker.open()
        for record in range(20):
            sink.produce("t", b"value", b"%d" % record, -1, group.ack)
            group.pending += 1
            group.size += 6
        tracker.close(group, Lsn(number + 1))
        sink.poll()
    assert sink.flush(30) == 0
    assert tracker.advance() == 100
    assert tracker.in_flight_bytes == 0
    assert sink.close(1) == 0


def test_repeated_lines_of_the_client_pass_once() -> None:
    repetitions = Repetitions()

    def passes(text: str) -> bool:
        return repetitions.filter(logging.LogRecord("producer.kafka", 20, "", 1, text, None, None))

    assert passes("FAIL broker 1 (after 3ms)")
    assert not passes("FAIL broker 1 (after 17ms)")
    assert passes("FAIL something else")
    for number in range(1000):
        passes("line " + "x" * number)
    assert len(repetitions._passed) <= 200


def test_the_filter_is_added_once() -> None:
    assert client_logger() is client_logger()
    assert sum(isinstance(item, Repetitions) for item in client_logger().filters) == 1


def test_close_is_bounded_with_a_broker_that_never_was() -> None:
    sink = KafkaSink("127.0.0.1:1", client_id="c")
    tracker = Tracker()
    group = tracker.open()
    sink.send("t", b"k", b"v", group)
    began = time.monotonic()
    assert sink.close(0.2) >= 1
    assert time.monotonic() - began < 5
    assert group.failure is not None
