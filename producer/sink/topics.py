"""Topics: which there are, with how many partitions, and how the missing ones are made.

Room: sink (IO: Kafka). Kafka documentation, "Topic Configs"; protocol guide, CreateTopics and Metadata.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from producer.errors import AccessDenied, KafkaUnavailable, OperatorError, ProducerError
from producer.sink import topic_facts
from producer.sink.client_log import client_logger
from producer.sink.topic_facts import TopicFacts, Wanted
from producer.sink.verdicts import Complaints, map_kafka_error, refused_settings

Examined = tuple[dict[str, TopicFacts | ProducerError | None], dict[str, ProducerError]]
"""What is known of each topic, and why some cannot be made."""

_REQUEST_SECONDS = 30.0
_LEADER_SECONDS = 30.0
_TURN_SECONDS = 0.05
_NAMED = 10
_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]


def ask_cluster(
    client: Producer | Consumer,
    complaints: Complaints,
    serve: Callable[[], object],
    timeout_s: float,
    topic: str | None = None,
) -> ClusterMetadata:
    """Brokers and topics, or one topic, as the cluster tells them now.

    Asked in turns that grow: while it waits for an answer, a client keeps a refused login to
    itself; `serve` lets it complain.

    Raises:
        AccessDenied: the login is refused.
        KafkaUnavailable: no broker answered in time.
    """
    deadline = time.monotonic() + timeout_s
    turn = 1.0
    while True:
        left = deadline - time.monotonic()
        try:
            metadata: ClusterMetadata = client.list_topics(topic, timeout=max(_TURN_SECONDS, min(turn, left)))
        except KafkaException as error:
            serve()
            if complaints.fatal is not None:
                raise complaints.fatal from error
            said = f" ({complaints.last})" if complaints.last is not None else ""
            mapped = map_kafka_error(error, f"asking Kafka for its brokers and topics{said}")
            if left <= turn or not isinstance(mapped, KafkaUnavailable):
                raise mapped from error
            turn *= 2
        else:
            return metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSize:
    """How large a topic is."""

    partitions: int
    records: int | None
    """From the first offset to the end: on a compacted topic fewer are there, and a Kafka transaction's end counts;
    None: it cannot be told now."""


class Topics:
    """Asks through the producer, so that its own knowledge is fresh; makes through an admin client."""

    def __init__(self, producer: Producer, complaints: Complaints, admin: Mapping[str, str]) -> None:
        self._producer = producer
        self._complaints = complaints
        self._config = dict(admin)

    def ensure(
        self,
        names: Sequence[str],
        *,
        partitions: int,
        replication_factor: int,
        config: Mapping[str, str],
        create: bool,
    ) -> dict[str, int]:
        """Create what is missing, wait for leaders; every topic's partition count."""
        known = self._counts(led=False)
        missing = sorted({name for name in names if name not in known})
        if missing and not create:
            raise _not_there(missing, partitions)
        if missing:
            self._create([NewTopic(name, partitions, replication_factor, config=dict(config)) for name in missing])
            known |= self._wait_for_leaders(missing)
        return {name: known[name] for name in names}

    def partitions_of(self, topic: str) -> int:
        """The partition count of now: somebody may raise it while we run."""
        found = self.ask(_REQUEST_SECONDS, topic).topics.get(topic)
        if found is None or not found.partitions:
            raise _not_there([topic], 1)
        return len(found.partitions)

    def config_of(self, topic: str) -> dict[str, str] | None:
        """The topic's configuration; None when it may not be read."""
        return self._described(ConfigResource(ResourceType.TOPIC, topic), f"topic {topic}")

    def broker_config(self) -> dict[str, str] | None:
        """One of the brokers' configuration; None when it may not be read."""
        number = min(self.ask(_REQUEST_SECONDS).brokers)
        return self._described(ConfigResource(ResourceType.BROKER, str(number)), f"broker {number}")

    def sizes(self, names: Sequence[str]) -> dict[str, TopicSize]:
        """Partitions and records of those topics that are there: two questions, however many topics."""
        known = self._counts(led=False)
        found = [name for name in names if name in known]
        places = [TopicPartition(name, number) for name in found for number in range(known[name])]
        records: dict[str, int | None] = dict.fromkeys(found, 0)
        with self._administrator() as admin:
            firsts = self._offsets(admin, places, _EARLIEST) if places else {}
            ends = self._offsets(admin, places, _LATEST) if places else {}
        for place in places:
            where, others = (place.topic, place.partition), records[place.topic]
            told = where in firsts and where in ends
            records[place.topic] = others + ends[where] - firsts[where] if told and others is not None else None
        return {name: TopicSize(partitions=known[name], records=records[name]) for name in found}

    @staticmethod
    def _offsets(admin: AdminClient, places: Sequence[TopicPartition], which: OffsetSpec) -> dict[tuple[str, int], int]:
        """The offsets that may be known now; a partition without a leader, or without the right, is missing."""
        answers = admin.list_offsets(dict.fromkeys(places, which), request_timeout=_REQUEST_SECONDS)
        found = {}
        for place, answer in answers.items():
            with suppress(KafkaException):
                found[place.topic, place.partition] = int(answer.result(_REQUEST_SECONDS + 1).offset)
        return found

    def _described(self, resource: ConfigResource, what: str) -> dict[str, str] | None:
        deadline = time.monotonic() + _LEADER_SECONDS
        with self._administrator() as admin:
            while True:
                try:
                    answers = admin.describe_configs([resource], request_timeout=_REQUEST_SECONDS)
                    entries = answers[resource].result(_REQUEST_SECONDS + 1)
                    return {name: entry.value for name, entry in entries.items() if entry.value is not None}
                except KafkaException as error:
                    # Of several brokers, one may not have heard yet of a topic that was just made.
                    unheard = error.args[0].name() == "UNKNOWN_TOPIC_OR_PART" and time.monotonic() < deadline
                    mapped = map_kafka_error(error, f"reading the configuration of {what}")
                    if isinstance(mapped, AccessDenied):
                        return None
                    if not unheard:
                        raise mapped from error
                self._producer.poll(_TURN_SECONDS)

    def examine(self, names: Sequence[str], wanted: Sequence[Wanted]) -> Examined:
        """What Kafka says of topics, and of those of `wanted` that are not there: it would refuse some."""
        with self._administrator() as admin:
            try:
                found = topic_facts.described(admin, names)
                missing = [replace(group, names=[n for n in group.names if found.get(n) is None]) for group in wanted]
                return found, topic_facts.refusals(admin, missing)
            except KafkaException as error:
                raise map_kafka_error(error, "describing topics") from error

    def ask(self, timeout_s: float, topic: str | None = None) -> ClusterMetadata:
        """Brokers and topics, or one topic, as the cluster tells them now."""
        return ask_cluster(self._producer, self._complaints, lambda: self._producer.poll(0), timeout_s, topic)

    def _create(self, wanted: list[NewTopic]) -> None:
        with self._administrator() as admin:
            try:
                answers = admin.create_topics(wanted, request_timeout=_REQUEST_SECONDS)
            except KafkaException as error:
                raise map_kafka_error(error, "creating topics") from error
            for name, answer in answers.items():
                try:
                    answer.result(_REQUEST_SECONDS + 1)
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise map_kafka_error(error, f"creating topic {name}") from error

    def _wait_for_leaders(self, names: Sequence[str]) -> dict[str, int]:
        """A topic just made has no leaders at once, nor does every broker know it."""
        deadline = time.monotonic() + _LEADER_SECONDS
        while True:
            led = self._counts(led=True)
            missing = [name for name in names if name not in led]
            if not missing:
                return {name: led[name] for name in names}
            if time.monotonic() > deadline:
                raise KafkaUnavailable(
                    f"topic {missing[0]} has no leader {_LEADER_SECONDS:.0f} s after it was created",
                    remedy="are enough brokers up? kafka-topics --describe shows the topic's state",
                )
            self._producer.poll(_TURN_SECONDS)

    def _counts(self, *, led: bool) -> dict[str, int]:
        """Partition counts; `led`: of topics all of whose partitions have a leader now."""
        topics = self.ask(_REQUEST_SECONDS).topics
        return {
            name: len(topic.partitions)
            for name, topic in topics.items()
            if topic.partitions and not (led and any(part.leader < 0 for part in topic.partitions.values()))
        }

    @contextmanager
    def _administrator(self) -> Iterator[AdminClient]:
        """A client for one errand: between two, nobody would serve what it says of its connections.

        Raises:
            AccessDenied: its login is refused, where the errand failed.
        """
        config: dict[str, Any] = {**self._config, "logger": client_logger(), "error_cb": self._complaints}
        try:
            admin = AdminClient(config)
        except KafkaException as error:
            raise refused_settings(error, "admin") from error
        try:
            yield admin
        except ProducerError as error:
            admin.poll(0)
            if self._complaints.fatal is None:
                raise
            raise self._complaints.fatal from error


def _not_there(missing: Sequence[str], partitions: int) -> OperatorError:
    named = list(missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    commands = "; ".join(
        f"kafka-topics --bootstrap-server … --create --topic {name} --partitions {max(partitions, 1)}" for name in named
    )
    return OperatorError(
        f"missing in Kafka: topic {', '.join(named)}{more}",
        remedy=f"{commands}; or set topic.creation.enable=true. A topic that exists is seen only with the "
        "right to DESCRIBE it",
    )
