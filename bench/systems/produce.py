"""The snapshot's limit in Kafka: ready bytes, produced and acked. Also what runs in that process.

`python -m bench.systems.produce BOOTSTRAP RECORDS SOURCE=TARGET…` takes records of the source topics to memory,
says "producing", and produces them to the target topics, again from the beginning when they do not suffice.
"""

from __future__ import annotations

import itertools
import os
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from bench import kafka
from bench.database import Database
from bench.measure import Cost, run
from bench.systems import System
from producer.sink.kafka import producer_config

_READY = 200_000
_SERVE_EVERY = 1000


class Produce:
    """The client with the product's own settings, and the bytes that the product wrote."""

    name = "produce"

    def __init__(self, system: System) -> None:
        self._system = system

    def snapshot(self, database: Database, rows: int) -> Cost:
        """Produce what the system has written before, as many records as rows, to topics of its own.

        Raises:
            SystemExit: the topics have not grown by exactly `rows`.
        """
        stack = database.stack
        pairs = {topic: f"{database.name}.produced.{topic}" for topic in self._system.topics(database)}
        kafka.create(stack, list(pairs.values()))
        before = kafka.count(stack, list(pairs.values()))
        cost = run(
            [
                sys.executable, "-m", "bench.systems.produce", stack.bootstrap_servers, str(rows),
                *(f"{source}={target}" for source, target in pairs.items()),
            ],
            dict(os.environ),
            since="producing",
            find=lambda: (),
            broker=stack.pid("kafka"),
        )  # fmt: skip
        if (found := kafka.count(stack, list(pairs.values())) - before) != rows:
            raise SystemExit(f"{found:,} ready records were produced instead of {rows:,}")
        return cost


def main() -> None:
    """Read, then produce."""
    servers, wanted, *pairs = sys.argv[1:]
    targets = dict(pair.split("=") for pair in pairs)
    # First: it has greeted the broker by the time that there is something to produce.
    producer = Producer(producer_config(servers, {}, "bench"))
    ready = _ready(servers, targets, min(int(wanted), _READY))
    acked = 0

    def ack(error: KafkaError | None, _message: Message) -> None:
        nonlocal acked
        acked += error is None

    print("producing", file=sys.stderr, flush=True)
    produce, poll = producer.produce, producer.poll
    for number, (topic, key, value) in enumerate(itertools.islice(itertools.cycle(ready), int(wanted))):
        produce(topic, value, key, -1, ack)
        if number % _SERVE_EVERY == 0:
            poll(0)
    producer.flush()
    if acked != int(wanted):
        raise SystemExit(f"{acked} of {wanted} were acked")
    # Giving memory back is no part of it.
    os._exit(0)


def _ready(servers: str, targets: dict[str, str], wanted: int) -> list[tuple[str, bytes | None, bytes | None]]:
    """Records from the topics' beginnings, as many of each, as they come."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench", "enable.auto.commit": False})
    found: list[tuple[str, bytes | None, bytes | None]] = []
    left = dict.fromkeys(targets, -(-wanted // len(targets)))
    consumer.assign([TopicPartition(source, 0, OFFSET_BEGINNING) for source in targets])
    while left:
        for message in consumer.consume(10_000, timeout=30):
            source = message.topic() or ""
            if message.error() is not None or source not in left:
                continue
            found.append((targets[source], message.key(), message.value()))
            left[source] -= 1
            if not left[source]:
                del left[source]
                consumer.pause([TopicPartition(source, 0)])
    consumer.close()
    return found


if __name__ == "__main__":
    main()
