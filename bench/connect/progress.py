"""How far a system is, seen from outside: the records of its topics, asked of the broker in one request."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # re-exported without saying so

from dev.stack import Stack

_SECONDS = 30.0
# A client that ends with an event unserved would tell it.
_QUIET = "3"
_LIST_EVERY = 0.5


class Progress:
    """Of topics that are not yet there, too; none of them is ever shortened. One client, so that asking is cheap."""

    def __init__(self, stack: Stack, topics: Sequence[str]) -> None:
        self._admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers, "log_level": _QUIET})
        self._topics = set(topics)
        self._listed = 0.0
        self._ends: dict[TopicPartition, OffsetSpec] = {}

    def records(self) -> int:
        """How many they hold; one that was just made is seen half a second later at the latest."""
        # Where none is there yet the first may come at any time, and its first record is waited for.
        if not self._ends or (len(self._ends) < len(self._topics) and time.monotonic() > self._listed + _LIST_EVERY):
            self._list()
        if not self._ends:
            return 0
        found = self._admin.list_offsets(self._ends, request_timeout=_SECONDS)
        return sum(int(end.result(_SECONDS).offset) for end in found.values())

    def _list(self) -> None:
        known = self._admin.list_topics(timeout=_SECONDS).topics
        self._ends = {
            TopicPartition(topic, number): OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for topic in self._topics & known.keys()
            for number in known[topic].partitions
        }
        self._listed = time.monotonic()
