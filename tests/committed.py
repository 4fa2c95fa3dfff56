"""What Kafka transactions have committed: how far it can be read, and that each event is there once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from producer.sink.consume import LogReader, Place, consumer_config
from producer.sink.reader import Record
from tests.harness import Command, wait_for


def ends(command: Command, topic: str) -> int:
    """How far a read_committed consumer can read; marks of transactions count."""
    return sum(end for (name, _), end in _ends(command, "read_committed").items() if name == topic)


def settled(command: Command) -> None:
    """Wait until no transaction is open: Kafka answers a commit before all that read see it."""
    wait_for(
        lambda: _ends(command, "read_committed") == _ends(command, "read_uncommitted"), 30, "what is committed is seen"
    )


def each_once(records: list[Record], events: int) -> list[Any]:
    """The events' values: so many, none of them twice."""
    values: list[Any] = [record.value for record in records if record.value is not None]
    seen = Counter(
        (record.topic, str(record.key), value["source"]["commit_lsn"], value["source"]["ordinal"], value["op"])
        for record, value in zip((r for r in records if r.value is not None), values, strict=True)
    )
    assert [event for event, times in seen.items() if times > 1] == []
    assert len(values) == events
    return values


def _ends(command: Command, level: str) -> dict[Place, int]:
    """Of all the connector's topics."""
    config = consumer_config(command.bootstrap_servers, {"log_level": "0", "isolation.level": level})
    reader = LogReader(config, 10)
    try:
        places = [
            (topic, number)
            for topic, numbers in reader.topics().items()
            if command.prefix in topic
            for number in numbers
        ]  # fmt: skip
        return {place: high for place, (_, high) in reader.watermarks(places).items()}
    finally:
        reader.close()
