"""Transactions of the sink in memory: as Kafka's, for sinks that have a broker in common.

Room: sink (IO: Kafka). Kafka documentation, "Message Delivery Semantics"; KIP-98.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from confluent_kafka import KafkaError

from producer.sink.protocol import RawRecord
from producer.sink.verdicts import map_kafka_error

_Place = tuple[str, int, int]


class TransactionLog:
    """What the broker knows: who owns an id, and which records are of no committed transaction."""

    def __init__(self) -> None:
        self.owners: dict[str, MemoryTransactions] = {}
        self.open: set[_Place] = set()
        self.aborted: set[_Place] = set()

    def committed(self, partition: Sequence[RawRecord]) -> Iterator[RawRecord]:
        """What a reader sees: nothing behind the first record of an open transaction."""
        for record in partition:
            place = (record.topic, record.partition, record.offset)
            if place in self.open:
                return
            if place not in self.aborted:
                yield record


class MemoryTransactions:
    """See `protocol.Transactions`."""

    def __init__(self, log: TransactionLog, transactional_id: str, flush: Callable[[float], int]) -> None:
        self._log = log
        self._id = transactional_id
        self._flush = flush
        self._sent: set[_Place] = set()
        self._failed: KafkaError | None = None
        self._kept: list[Callable[[], None]] = []
        self.begun = False
        self.touched = False

    def own(self, timeout_s: float) -> bool:
        """Fence the one before, abort what it left open."""
        before = self._log.owners.get(self._id)
        if before is not None:
            before.abort()
        self._log.owners[self._id] = self
        return True

    def begin(self) -> None:
        """Send what was kept back."""
        self.begun = True
        for send in self._kept:
            send()
        self._kept.clear()

    def keep(self, send: Callable[[], None]) -> None:
        """Nothing can be sent yet."""
        self._kept.append(send)

    def commit(self, timeout_s: float) -> bool:
        """Serve the acks, and commit unless some are held."""
        if self._flush(timeout_s):
            return False
        error = self.refusal(self._failed)
        if error is not None:
            raise map_kafka_error(error, "committing a Kafka transaction")
        self._log.open -= self._sent
        self._sent.clear()
        self.touched = False
        return True

    def abort(self) -> None:
        """End what is open: nobody ever reads it."""
        self._log.open -= self._sent
        self._log.aborted |= self._sent
        self._sent.clear()

    def refusal(self, error: KafkaError | None) -> KafkaError | None:
        """What becomes of a record, `error` being what the broker says of it."""
        if self._log.owners.get(self._id) is not self:
            return KafkaError(KafkaError._FENCED)  # noqa: SLF001 (its name)
        self._failed = self._failed or error
        return error

    def sent(self, record: RawRecord) -> None:
        """A record is in its topic, and not committed."""
        place = (record.topic, record.partition, record.offset)
        self._sent.add(place)
        self._log.open.add(place)
