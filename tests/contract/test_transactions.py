"""Kafka transactions: what holds for Kafka holds for the sink in memory."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from dev.stack import Stack
from producer.acks import Group
from producer.errors import OversizedRecord, ProducerFenced
from producer.sink.kafka import KafkaSink
from producer.sink.memory import MemorySink
from producer.sink.protocol import Sink, Transactions

SECONDS = 30.0
Make = Callable[[], Sink]


@pytest.fixture(params=["memory", "kafka"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Sinks of one transactional id, on one broker."""
    made: list[Sink] = []
    name = f"contract-{uuid.uuid4().hex}"
    first = MemorySink()

    def another() -> Sink:
        sink: Sink
        if request.param == "memory":
            sink = MemorySink(transactional_id=name, beside=first)
        else:
            overrides = {"topic.metadata.propagation.max.ms": "500"}
            sink = KafkaSink(
                Stack.load().bootstrap_servers, client_id="contract", transactional_id=name, overrides=overrides
            )
        made.append(sink)
        return sink

    yield another
    for sink in made:
        with contextlib.suppress(RuntimeError):
            # A test may have closed it.
            sink.close(5)


@pytest.fixture
def topic(make: Make) -> str:
    name = f"contract.{uuid.uuid4().hex}"
    make().ensure_topics([name], partitions=1, replication_factor=1, config={}, create=True)
    return name


def until(done: Callable[[float], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done(0.05):
        assert time.monotonic() < deadline


def begun(sink: Sink) -> Transactions:
    transactions = sink.transactions
    assert transactions is not None
    until(transactions.own)
    transactions.begin()
    return transactions


def keys(sink: Sink, topic: str) -> list[bytes | None]:
    return [record.key for record in sink.read(topic, SECONDS)]


def test_what_is_committed_is_read_and_nothing_else(make: Make, topic: str) -> None:
    """By `send` and by the hot loop's `produce`; what an end leaves open is never read."""
    sink = make()
    transactions = begun(sink)
    group = Group()
    for number in range(3):
        sink.produce(topic, b"v", b"%d" % number, -1, group.ack)
        group.pending += 1
    sink.send(topic, b"3", b"v", group)
    assert transactions.touched
    until(transactions.commit)
    assert (group.pending, group.failure, transactions.touched) == (0, None, False)
    sink.send(topic, b"lost", b"v", Group())
    sink.flush(SECONDS)
    sink.close(5)
    after = make()
    transactions = begun(after)
    after.send(topic, b"4", b"v", Group())
    until(transactions.commit)
    assert keys(after, topic) == [b"0", b"1", b"2", b"3", b"4"]


def test_whoever_takes_the_id_over_ends_what_the_other_has_begun(make: Make, topic: str) -> None:
    """A zombie cannot commit, neither what it sent before nor what it sends afterwards."""
    zombie, successor = make(), make()
    old = begun(zombie)
    zombie.send(topic, b"committed", b"v", Group())
    until(old.commit)
    zombie.send(topic, b"open", b"v", Group())
    zombie.flush(SECONDS)
    new = begun(successor)
    assert keys(successor, topic) == [b"committed"]
    with pytest.raises(ProducerFenced):
        until(old.commit)
    successor.send(topic, b"new", b"v", Group())
    until(new.commit)
    zombie.close(1)
    assert keys(successor, topic) == [b"committed", b"new"]


def test_what_is_stable_is_not_waited_for(make: Make, topic: str) -> None:
    """Who died with a transaction open hides what is behind it until it is over; the rest is there at once."""
    sink, reader = make(), make()
    transactions = begun(sink)
    sink.send(topic, b"committed", b"v", Group())
    until(transactions.commit)
    sink.send(topic, b"open", b"v", Group())
    assert not sink.flush(SECONDS)
    assert [record.key for record in reader.read(topic, SECONDS, stable=True)] == [b"committed"]


def test_what_is_sent_before_the_first_transaction_is_its_first(make: Make, topic: str) -> None:
    """It is kept back: the id may be another's still."""
    sink = make()
    sink.send(topic, b"early", b"v", Group())
    assert not sink.flush(SECONDS)
    transactions = begun(sink)
    assert transactions.touched
    sink.send(topic, b"late", b"v", Group())
    until(transactions.commit)
    assert keys(sink, topic) == [b"early", b"late"]


def test_a_refused_record_fails_its_transaction(make: Make, topic: str) -> None:
    """None of the others is read."""
    sink = make()
    transactions = begun(sink)
    group = Group()
    sink.send(topic, b"sound", b"v", group)
    with pytest.raises(OversizedRecord):
        sink.send(topic, b"large", b"v" * 1_000_000, group)
    until(transactions.commit)
    if isinstance(sink, MemorySink):
        return
    sink.ensure_topics(
        [f"{topic}.small"], partitions=1, replication_factor=1, config={"max.message.bytes": "1000"}, create=True
    )
    sink.send(topic, b"beside", b"v", group)
    sink.send(f"{topic}.small", b"large", os.urandom(5000), group)
    with pytest.raises(OversizedRecord):
        until(transactions.commit)
    assert group.failure is not None
    sink.close(5)
    assert keys(make(), topic) == [b"sound"]


def test_transactions_without_records_are_committed(make: Make) -> None:
    """An idle stream's."""
    transactions = begun(make())
    for _ in range(3):
        until(transactions.commit)
