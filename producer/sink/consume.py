"""Reading topics back without a consumer group: raw records, up to an end or for ever.

Room: sink (IO: Kafka). Kafka documentation, "Consumer Configs"; KIP-98 (last stable offset).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from producer.errors import KafkaUnavailable, OperatorError
from producer.sink.client_log import client_logger
from producer.sink.protocol import RawRecord
from producer.sink.topics import ask_cluster
from producer.sink.verdicts import Complaints, map_kafka_error, refused_settings

Place = tuple[str, int]
"""A topic and a partition of it."""

_BATCH = 1000
_TURN_SECONDS = 0.2
_REQUEST_SECONDS = 30.0
_PAUSE_SECONDS = 0.1
# Of a topic that one broker has just shown: it has no leader for the moment, or another has not heard of it yet.
_NOT_YET = ("_UNKNOWN_PARTITION", "UNKNOWN_TOPIC_OR_PART")
# What a reader holds that is not looked at yet: by default 64 MB, a large topic whole.
_SMALL = {"queued.max.messages.kbytes": 4096, "fetch.queue.backoff.ms": 5}


def consumer_config(bootstrap_servers: str, overrides: Mapping[str, str]) -> dict[str, object]:
    """A consumer's settings. It joins no group: the id is there because the client asks for one."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "group.id": "pg-producer-reader",
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "logger": client_logger(),
        **overrides,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
    }


class LogReader:
    """A consumer of chosen partitions that knows when each has reached the end seen at first."""

    def __init__(self, config: Mapping[str, object], request_s: float = _REQUEST_SECONDS) -> None:
        self._complaints = Complaints()
        self._request_s = request_s
        try:
            self._consumer = Consumer({**config, "error_cb": self._complaints})
        except KafkaException as error:
            raise refused_settings(error, "consumer") from error
        self._ends: dict[Place, int] = {}
        self._next: dict[Place, int] = {}
        self.assigned: set[Place] = set()
        """The topics and partitions that are read."""

    def topics(self) -> dict[str, list[int]]:
        """Every topic's partitions."""
        return self._asked(None)

    def partitions(self, topic: str) -> list[int]:
        """The topic's partitions; none where Kafka does not show it.

        The client knows their leaders from then on: one that is set to read before finds out after half a second.
        """
        return self._asked(topic).get(topic, [])

    def _asked(self, topic: str | None) -> dict[str, list[int]]:
        serve = (lambda: None) if self.assigned else (lambda: self._consumer.poll(0))
        metadata = ask_cluster(self._consumer, self._complaints, serve, self._request_s, topic)
        return {name: sorted(found.partitions) for name, found in metadata.topics.items()}

    def watermarks(self, partitions: Sequence[Place]) -> dict[Place, tuple[int, int]]:
        """The first offset and the end of each; under read_committed the last stable offset is the end."""
        deadline = time.monotonic() + self._request_s
        return {place: self._ends_of(place, deadline) for place in partitions}

    def _ends_of(self, place: Place, deadline: float) -> tuple[int, int]:
        topic, partition = place
        while True:
            try:
                return self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=self._request_s)
            except KafkaException as error:
                mapped = map_kafka_error(error, f"asking for the end of topic {topic} [{partition}]")
                if error.args[0].name() in _NOT_YET:
                    mapped = KafkaUnavailable(mapped.message, remedy="are enough brokers up?")
                if not isinstance(mapped, KafkaUnavailable) or time.monotonic() > deadline:
                    raise mapped from error
            time.sleep(_PAUSE_SECONDS)

    def add(self, watermarks: Mapping[Place, tuple[int, int]], *, from_beginning: bool) -> None:
        """Read these partitions too: from their beginning, or from their end."""
        places: list[TopicPartition] = []
        for (topic, partition), (low, high) in watermarks.items():
            if from_beginning and low < high:
                self._ends[topic, partition] = high
            places.append(TopicPartition(topic, partition, OFFSET_BEGINNING if from_beginning else high))
        if places:
            self._consumer.incremental_assign(places)
            self.assigned.update(watermarks)

    def aim(self, watermarks: Mapping[Place, tuple[int, int]]) -> None:
        """Go on to these ends; partitions that are new are read from their beginning."""
        self.add({place: ends for place, ends in watermarks.items() if place not in self.assigned}, from_beginning=True)
        for place, (low, high) in watermarks.items():
            if self._next.get(place, low) < high:
                self._ends[place] = high

    @property
    def behind(self) -> bool:
        """True while a partition has not reached the end that it had when it was added, or aimed at."""
        return bool(self._ends)

    def poll(self, *, to_end: bool = False) -> Iterator[RawRecord]:
        """What comes within a moment; `to_end`: but nothing behind the ends of when we began."""
        # Asked for many at once, the client waits for as many: a topic of a few records would take the whole turn.
        messages = self._consumer.consume(1, _TURN_SECONDS)
        if messages:
            messages += self._consumer.consume(_BATCH - 1, 0)
        for message in messages:
            error = message.error()
            if error is None:
                place, offset = _place(message)
                if not to_end or place in self._ends:
                    yield _raw(message)
                self._reached(place, offset + 1)
            elif error.name() == "_PARTITION_EOF":
                # Behind compaction or a transaction's mark, the end is reached without a record there.
                self._reached(*_place(message))
            else:
                mapped = map_kafka_error(error, f"reading topic {message.topic()}")
                if not isinstance(mapped, KafkaUnavailable):
                    raise mapped
        if self._complaints.fatal is not None:
            raise self._complaints.fatal

    def close(self) -> None:
        """End the consumer."""
        self._consumer.close()

    def _reached(self, place: Place, offset: int) -> None:
        self._next[place] = offset
        if place in self._ends and offset >= self._ends[place]:
            del self._ends[place]


def read_to_end(
    config: Mapping[str, object], topic: str, timeout_s: float, prefix: bytes = b"", *, stable: bool = False
) -> list[RawRecord]:
    """Everything the topic holds up to its end of this moment, in order within a partition.

    With `prefix`, only records whose key begins with it are kept: a topic that is shared may be large.

    The end is the high watermark: behind another's open transaction this waits for its end, or
    what was stored before it would seem not to be there. Unless it is to be the last `stable` offset.

    Raises:
        OperatorError: the topic is not there, or not for us.
        KafkaUnavailable: the end was not reached in time.
    """
    deadline = time.monotonic() + timeout_s
    found = watermarks(config, topic, timeout_s, stable=stable)
    reader = LogReader({**_SMALL, **config, "isolation.level": "read_committed"}, timeout_s)
    try:
        reader.partitions(topic)
        reader.add(found, from_beginning=True)
        records: list[RawRecord] = []
        while reader.behind:
            if time.monotonic() > deadline:
                raise KafkaUnavailable(
                    f"topic {topic} could not be read to its end within {timeout_s:.0f} s",
                    remedy="are the brokers up? Another producer's open transaction holds readers back too",
                )
            records += (record for record in reader.poll(to_end=True) if (record.key or b"").startswith(prefix))
        return records
    finally:
        reader.close()


def scan(config: Mapping[str, object], topic: str, stall_s: float) -> Iterator[Sequence[RawRecord]]:
    """What `read_to_end` reads, in turns: a topic of any size. Raises as it does, once nothing came for `stall_s`."""
    follower = Follower(config, topic, stall_s)
    try:
        yield from follower.to_end(beyond=False)
    finally:
        follower.close()


class Follower:
    """Reads a topic in turns, to its end of now, and later on from there."""

    def __init__(self, config: Mapping[str, object], topic: str, stall_s: float) -> None:
        """Nothing is read yet."""
        self._config = config
        self._topic = topic
        self._stall_s = stall_s
        self._reader = LogReader({**_SMALL, **config, "isolation.level": "read_committed"}, stall_s)

    def to_end(self, *, beyond: bool = True) -> Iterator[Sequence[RawRecord]]:
        """What is new, up to the end of this moment at least; `beyond` it too, where more has come meanwhile.

        Behind another's open transaction this waits for its end.

        Raises:
            OperatorError: the topic is not there, or not for us.
            KafkaUnavailable: nothing came for `stall_s`, and the end was not reached.
        """
        found = watermarks(self._config, self._topic, self._stall_s)
        if not self._reader.assigned:
            self._reader.partitions(self._topic)
        self._reader.aim(found)
        came_at = time.monotonic()
        while self._reader.behind:
            records = list(self._reader.poll(to_end=not beyond))
            now = time.monotonic()
            if records:
                came_at = now
            elif now - came_at > self._stall_s:
                raise KafkaUnavailable(
                    f"topic {self._topic} could not be read to its end: nothing came for {self._stall_s:.0f} s",
                    remedy="are the brokers up? Another producer's open transaction holds readers back too",
                )
            yield records

    def close(self) -> None:
        """End the consumer."""
        self._reader.close()


def watermarks(
    config: Mapping[str, object], topic: str, timeout_s: float, *, stable: bool = False
) -> dict[Place, tuple[int, int]]:
    """The first offset and the end of each partition of a topic, open transactions included unless `stable`.

    Asked by a client of its own: under read_committed, what lies behind an open transaction hides.

    Raises:
        OperatorError: the topic is not there, or not for us.
    """
    level = "read_committed" if stable else "read_uncommitted"
    probe = LogReader({**config, "isolation.level": level}, timeout_s)
    try:
        partitions = probe.partitions(topic)
        if not partitions:
            # Not to be taken for an empty one: a stored position would seem not to be there.
            raise OperatorError(
                f"topic {topic} cannot be read: Kafka does not show it",
                remedy="create it, or give the Kafka user the rights to DESCRIBE and READ it",
            )
        return probe.watermarks([(topic, number) for number in partitions])
    finally:
        probe.close()


def _place(message: Message) -> tuple[Place, int]:
    """Topic and partition, and the offset: a message and an end of partition always have them."""
    place = (cast("str", message.topic()), cast("int", message.partition()))
    return place, cast("int", message.offset())


def _raw(message: Message) -> RawRecord:
    (topic, partition), offset = _place(message)
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return RawRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=tuple((name, value.encode() if isinstance(value, str) else value) for name, value in pairs),
    )
