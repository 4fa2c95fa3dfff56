"""The topics of one benchmark: how many records they hold, and their end."""

from __future__ import annotations

import contextlib
import json
import urllib.request

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from dev.stack import Stack

_SECONDS = 10.0


def count(stack: Stack, topic: str) -> int:
    """Records in a topic, by its partitions' ends; 0 when there is none."""
    consumer = Consumer({"bootstrap.servers": stack.bootstrap_servers, "group.id": "bench"})
    try:
        partitions = consumer.list_topics(timeout=_SECONDS).topics
        if topic not in partitions:
            return 0
        ends = [
            consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_SECONDS)
            for number in partitions[topic].partitions
        ]
        return sum(high - low for low, high in ends)
    finally:
        consumer.close()


def forget(stack: Stack, prefix: str) -> None:
    """Delete the topics and subjects of a prefix."""
    admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
    ours = [name for name in admin.list_topics(timeout=_SECONDS).topics if _belongs(name, prefix)]
    for deleted in admin.delete_topics(ours).values() if ours else ():
        with contextlib.suppress(KafkaException):
            deleted.result(_SECONDS)
    with urllib.request.urlopen(f"{stack.registry_url}/subjects", timeout=_SECONDS) as answer:
        subjects: list[str] = json.load(answer)
    for subject in subjects:
        if _belongs(subject, prefix):
            request = urllib.request.Request(f"{stack.registry_url}/subjects/{subject}", method="DELETE")
            urllib.request.urlopen(request, timeout=_SECONDS).close()


def _belongs(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")
