"""Debezium's JDBC sink connector in Kafka Connect: a reader of our topics that we did not write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin

from confluent_kafka import Consumer, TopicPartition

from dev.rest import call
from dev.stack import Stack
from tests.harness import Command, Source, wait_for

DOCS = Path(__file__).resolve().parents[2] / "docs" / "downstream.md"
_NOT_FOUND = 404
# What is new is seen at once. By default the pool grows by 32 sessions at a time; it took all 200 that the server has
# for every test.
_IN_TESTS = {
    "consumer.override.metadata.max.age.ms": "300",
    "consumer.override.fetch.max.wait.ms": "50",
    "connection.pool.min_size": "1",
    "connection.pool.max_size": "4",
    "connection.pool.acquire_increment": "1",
}


def documented() -> dict[str, str]:
    """The connector of docs/downstream.md."""
    found = re.search(r"```json\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    document: dict[str, str] = json.loads(found[1])
    return document


class Sink:
    """One connector, from topics into a database."""

    def __init__(self, stack: Stack, name: str, topics: str, copy: Source) -> None:
        self._stack = stack
        self._name = name
        self._topics = re.compile(topics)
        self._copy = copy
        self._url = f"{stack.connect_url}/connectors/{name}"

    def start(self, **settings: str) -> None:
        """Run it with the documented settings at this stack's addresses, and these changed (`_` for `.`)."""
        document = documented()
        registry = urljoin(self._stack.registry_url, "/apis/registry/v2")
        database = f"{self._stack.postgres_host}:{self._stack.postgres_port}/{self._copy.name}"
        document |= {
            "topics.regex": self._topics.pattern,
            "connection.url": document["connection.url"].replace("db2:5432/shop_copy", database),
            "connection.username": self._stack.postgres_user,
            "connection.password": self._stack.postgres_password,
            "key.converter.apicurio.registry.url": registry,
            "value.converter.apicurio.registry.url": registry,
            **_IN_TESTS,
            **{key.replace("_", "."): value for key, value in settings.items()},
        }
        call(f"{self._url}/config", "PUT", document)

    def wait_copied(self) -> None:
        """Wait until it has written and committed everything that its topics hold now.

        Raises:
            AssertionError: it failed, or it took too long.
        """
        consumer = Consumer({"bootstrap.servers": self._stack.bootstrap_servers, "group.id": f"connect-{self._name}"})
        try:
            ends = self._ends(consumer)
            assert ends, f"no topic is called {self._topics.pattern}"

            def copied() -> bool:
                traces = self._traces()
                assert not traces, traces[0]
                committed = consumer.committed([TopicPartition(*place) for place in ends], timeout=10)
                return all(found.offset >= ends[str(found.topic), found.partition] for found in committed)

            wait_for(copied, 60, f"{self._name} to reach {ends}")
        finally:
            consumer.close()

    def failure(self) -> str:
        """Wait until it has failed; why."""
        found: list[str] = []

        def failed() -> bool:
            found.extend(self._traces())
            return bool(found)

        wait_for(failed, 60, f"{self._name} to fail")
        return found[0]

    def remove(self) -> None:
        """End it."""
        try:
            call(self._url, "DELETE")
        except HTTPError as error:
            if error.code != _NOT_FOUND:
                raise

    def _ends(self, consumer: Consumer) -> dict[tuple[str, int], int]:
        """Where its topics end; a partition without records is never committed, and is left out."""
        topics = [topic for topic in consumer.list_topics(timeout=10).topics.values() if self._reads(str(topic.topic))]
        places = [(str(topic.topic), partition) for topic in topics for partition in topic.partitions]
        ends = {place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=10)[1] for place in places}
        return {place: end for place, end in ends.items() if end > 0}

    def _reads(self, topic: str) -> bool:
        return self._topics.fullmatch(topic) is not None

    def _traces(self) -> list[str]:
        """Why its tasks failed, where they did."""
        try:
            status: Any = call(f"{self._url}/status")
        except HTTPError as error:
            if error.code != _NOT_FOUND:
                raise
            # Right after it was made it has no status yet.
            return []
        states = [status["connector"], *status["tasks"]]
        return [_causes(state["trace"]) for state in states if state["state"] == "FAILED"]


def _causes(trace: str) -> str:
    """What each exception of a Java trace says, without the calls; a statement with all its values is cut."""
    return "\n".join(line[:300] for line in trace.splitlines() if not line.startswith("\t"))


def run_once(command: Command, settings: Mapping[str, object] | None = None) -> None:
    """Send everything that is committed."""
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr


def printed(database: Source, query: str) -> list[str]:
    """A query's rows as the server prints them: each value by its type's own output function, NULL as `\\N`."""
    with database.connect() as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        with connection.cursor().copy(f"COPY ({query}) TO STDOUT".encode()) as copy:
            return [bytes(row).decode() for row in copy]
