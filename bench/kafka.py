"""The topics of one workload: how many records they hold, the records, and their end."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
from collections.abc import Iterator, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AdminClient,
    NewTopic,
    OffsetSpec,
)

from dev.stack import Stack

_SECONDS = 30.0
_NOT_LED_YET = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    # A broker that stood still leads anew.
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    # librdkafka's own: nobody leads any of them, as after a broker that stood still.
    KafkaError._NOENT,  # noqa: SLF001 (its name)
)
# A client that ends with an event unserved would tell it, at each count.
_QUIET = "3"


def count(stack: Stack, topics: Sequence[str]) -> int:
    """Records in topics so far, by their partitions' ends; none in one that is not there."""
    return sum(ends(stack, topics).values())


def ends(stack: Stack, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """The end of each partition of topics that are there."""
    admin = _admin(stack)
    known = admin.list_topics(timeout=_SECONDS).topics
    asked = {
        TopicPartition(topic, number): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for topic in topics
        if topic in known
        for number in known[topic].partitions
    }
    if not asked:
        return {}
    deadline = time.monotonic() + _SECONDS
    while True:
        answers = admin.list_offsets(asked, request_timeout=_SECONDS)
        try:
            return {(place.topic, place.partition): answer.result(_SECONDS).offset for place, answer in answers.items()}
        except KafkaException as error:
            # Many topics that were made just now: the broker leads a partition a moment later than it says.
            if error.args[0].code() not in _NOT_LED_YET or time.monotonic() > deadline:
                raise
            # Or the client goes on with the leaders that it heard of.
            admin.list_topics(timeout=_SECONDS)


@contextlib.contextmanager
def reading(stack: Stack, topics: Sequence[str], *, from_end: bool) -> Iterator[Consumer]:
    """A consumer of topics that are there, which has the next record as soon as the broker has it."""
    consumer = Consumer(
        {
            "bootstrap.servers": stack.bootstrap_servers,
            "group.id": "bench",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
            "fetch.error.backoff.ms": 0,
        }
    )
    try:
        consumer.assign(
            [
                TopicPartition(topic, number, end if from_end else OFFSET_BEGINNING)
                for (topic, number), end in ends(stack, topics).items()
            ]
        )
        yield consumer
    finally:
        consumer.close()


def first_records(stack: Stack, topics: Sequence[str]) -> list[Message]:
    """The first record of each partition that has one."""
    wanted = {place for place, end in ends(stack, topics).items() if end}
    found: dict[tuple[str, int], Message] = {}
    with reading(stack, topics, from_end=False) as consumer:
        while len(found) < len(wanted):
            for message in consumer.consume(1000, timeout=_SECONDS):
                if message.error() is None:
                    found.setdefault((message.topic() or "", message.partition() or 0), message)
    return list(found.values())


def topics(stack: Stack) -> list[str]:
    """All that there are."""
    return list(_admin(stack).list_topics(timeout=_SECONDS).topics)


def create(stack: Stack, topics: Sequence[str]) -> None:
    """Topics of one partition, where they are missing."""
    admin = _admin(stack)
    known = admin.list_topics(timeout=_SECONDS).topics
    new = [NewTopic(topic, 1, 1) for topic in topics if topic not in known]
    for made in admin.create_topics(new).values() if new else ():
        made.result(_SECONDS)


def forget(stack: Stack, prefix: str) -> None:
    """Delete the topics and subjects of a prefix."""
    admin = _admin(stack)
    ours = [name for name in topics(stack) if _belongs(name, prefix)]
    for deleted in admin.delete_topics(ours).values() if ours else ():
        with contextlib.suppress(KafkaException):
            deleted.result(_SECONDS)
    with urllib.request.urlopen(f"{stack.registry_url}/subjects", timeout=_SECONDS) as answer:
        subjects: list[str] = json.load(answer)
    for subject in subjects:
        if _belongs(subject, prefix):
            request = urllib.request.Request(f"{stack.registry_url}/subjects/{subject}", method="DELETE")
            urllib.request.urlopen(request, timeout=_SECONDS).close()


def _admin(stack: Stack) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.bootstrap_servers, "log_level": _QUIET})


def _belongs(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")
