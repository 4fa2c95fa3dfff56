"""What Kafka says of topics, and of us: partitions, replicas, settings, what we may; what it would say to new ones.

Room: sink (IO: Kafka). Kafka's protocol guide, DescribeTopicPartitions, DescribeConfigs, CreateTopics (validate_only);
Kafka documentation, "Authorization and ACLs".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from producer.errors import ProducerError
from producer.sink.verdicts import map_kafka_error

_REQUEST_SECONDS = 10.0
_EXISTS = "TOPIC_ALREADY_EXISTS"
_UNKNOWN = "UNKNOWN_TOPIC_OR_PART"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFacts:
    """A topic that is there."""

    partitions: int
    replicas: int
    """Of the partition that has the fewest."""
    in_sync: int
    """Likewise."""
    may: frozenset[str] | None
    """The operations that we may (`READ`, `WRITE`, `DESCRIBE`, …); None: the broker does not tell."""
    config: Mapping[str, str] | None
    """None: it may not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Topics to be made, as the pipeline would make them."""

    names: Sequence[str]
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


def described(admin: AdminClient, names: Sequence[str]) -> dict[str, TopicFacts | ProducerError | None]:
    """Each topic: what is known of it; None: it is not there, or not shown to us; or why it cannot be told."""
    if not names:
        return {}
    asked = admin.describe_topics(
        TopicCollection(list(names)), include_authorized_operations=True, request_timeout=_REQUEST_SECONDS
    )
    there: dict[str, Any] = {}
    found: dict[str, TopicFacts | ProducerError | None] = {}
    for name in names:
        answer = _answer(asked[name], f"describing topic {name}")
        if isinstance(answer, ProducerError):
            found[name] = answer
        elif answer is None:
            found[name] = None
        else:
            there[name] = answer
    configs = _configs(admin, list(there))
    for name, told in there.items():
        parts = told.partitions
        may = told.authorized_operations
        found[name] = TopicFacts(
            partitions=len(parts),
            replicas=min((len(part.replicas) for part in parts), default=0),
            in_sync=min((len(part.isr) for part in parts), default=0),
            may=frozenset(operation.name for operation in may) if may is not None else None,
            config=configs[name],
        )
    return found


def refusals(admin: AdminClient, wanted: Iterable[Wanted]) -> dict[str, ProducerError]:
    """Of topics that are to be made, those that Kafka would refuse; nothing is made."""
    refused: dict[str, ProducerError] = {}
    for group in wanted:
        if not group.names:
            continue
        asked = admin.create_topics(
            [
                NewTopic(name, group.partitions, group.replication_factor, config=dict(group.config))
                for name in group.names
            ],
            validate_only=True,
            request_timeout=_REQUEST_SECONDS,
        )
        for name in group.names:
            answer = _answer(asked[name], f"making topic {name}", passes=_EXISTS)
            if isinstance(answer, ProducerError):
                refused[name] = answer
    return refused


def _configs(admin: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str] | None]:
    if not names:
        return {}
    asked = admin.describe_configs(
        [ConfigResource(ResourceType.TOPIC, name) for name in names], request_timeout=_REQUEST_SECONDS
    )
    found: dict[str, dict[str, str] | None] = {}
    for resource, future in asked.items():
        answer = _answer(future, f"reading the configuration of topic {resource.name}")
        known = answer is not None and not isinstance(answer, ProducerError)
        found[resource.name] = (
            {name: entry.value for name, entry in answer.items() if entry.value is not None} if known else None
        )
    return found


def _answer(future: Future[Any], doing: str, passes: str = _UNKNOWN) -> Any:
    """The answer; None where it is the error that `passes`; or the error."""
    try:
        return future.result(_REQUEST_SECONDS + 1)
    except KafkaException as error:
        if error.args[0].name() == passes:
            return None
        return map_kafka_error(error, doing)
