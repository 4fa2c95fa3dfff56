"""What comes again and was committed: walked for its ordinals and shapes, and not sent.

Room: pipeline (pure). docs/DESIGN.md, "Exactly once".
"""

from __future__ import annotations

from producer.acks import Group
from producer.events import Position
from producer.sink.protocol import PARTITIONER, Headers, Outlet


class Discard:
    """Stands before the sink until the stream is where it was: `until` is the last event that was committed."""

    def __init__(self, sink: Outlet, until: Position) -> None:
        self.until = until
        self._sink = sink
        self._discards = False
        self.produce = sink.produce
        self.partitions_of = sink.partitions_of

    def behind(self, at: Position) -> bool:
        """Whether what follows the event at this position is discarded; said before each message."""
        self._discards = at < self.until
        return self._discards

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        group: Group,
        *,
        headers: Headers | None = None,
        partition: int = PARTITIONER,
    ) -> None:
        """Send the record, or not."""
        if not self._discards:
            self._sink.send(topic, key, value, group, headers=headers, partition=partition)
