"""A sink in memory with the behaviour of the real one, and handles for what goes wrong.

Room: sink (IO: Kafka). Ships with the package so that a pipeline can be tested without a broker;
`tests/contract` holds it to what `KafkaSink` does. Kafka documentation, "Producer Configs".
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, murmur2

from producer.acks import Group
from producer.errors import KafkaUnavailable, OperatorError, ProducerError
from producer.sink.memory_transactions import MemoryTransactions, TransactionLog
from producer.sink.protocol import PARTITIONER, RECORD_BYTES, Headers, OnDelivery, RawRecord, record_size
from producer.sink.verdicts import map_kafka_error

_MAX_BYTES = 999_964
_Report = tuple[OnDelivery, KafkaError | None, RawRecord]


class MemorySink:
    """See `protocol.Sink`. A record is in its topic as soon as it is produced; its ack waits for poll.

    Test controls: `hold_acks`, `release`, `fail_next`, `away`, `refuse`. Sinks have a broker in common when
    one is made `beside` another.
    """

    def __init__(
        self,
        *,
        partitions: Mapping[str, int] | None = None,
        transactional_id: str | None = None,
        beside: MemorySink | None = None,
    ) -> None:
        self.topics: dict[str, list[list[RawRecord]]] = beside.topics if beside is not None else {}
        """Topic -> partitions -> records, those of unfinished and aborted transactions among them."""
        self.configs: dict[str, dict[str, str]] = beside.configs if beside is not None else {}
        self.log: TransactionLog = beside.log if beside is not None else TransactionLog()
        self.transactions: MemoryTransactions | None = None
        if transactional_id is not None:
            self.transactions = MemoryTransactions(self.log, transactional_id, self.flush)
        self.away = False
        """No broker answers: records are kept, nothing is acked, asking fails."""
        self.last_error: object | None = None
        self.largest_record = _MAX_BYTES
        self._holding = False
        self._reports: deque[_Report] = deque()
        self._fail_next: deque[KafkaError] = deque()
        self._fatal: ProducerError | None = None
        self._closed = False
        for name, count in (partitions or {}).items():
            self._create(name, count, {})

    # What a test can make happen.

    def hold_acks(self) -> None:
        """Serve no ack until `release`."""
        self._holding = True

    def release(self, order: Iterable[int] | None = None) -> None:
        """Serve the held acks at the next poll: all, or those at these places, in this order.

        With an order, the acks that it leaves out stay held behind.
        """
        if order is None:
            self._holding = False
            return
        held = list(self._reports)
        chosen = list(order)
        self._reports = deque(report for place, report in enumerate(held) if place not in set(chosen))
        for place in chosen:
            _serve(held[place])

    def fail_next(self, error: KafkaError) -> None:
        """The next record is not stored; its report is this error. Called twice: the next two."""
        self._fail_next.append(error)

    def refuse(self, error: ProducerError | None) -> None:
        """Let `fatal` say this."""
        self._fatal = error

    def records(self, topic: str) -> list[RawRecord]:
        """What the topic holds, partition by partition."""
        return [record for partition in self.topics.get(topic, []) for record in partition]

    # The sink.

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        on_delivery: OnDelivery,
        /,
    ) -> None:
        """Store one record and queue its ack."""
        self._produce(topic, value, key, partition, on_delivery, ())

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
        """Store one record and count it in its group."""
        transactions = self.transactions
        if transactions is not None:
            if not transactions.begun:
                transactions.keep(lambda: self.send(topic, key, value, group, headers=headers, partition=partition))
                return
            transactions.touched = True
        size = record_size(key, value, headers)
        try:
            self._produce(topic, value, key, partition, group.ack, tuple(headers or ()))
        except KafkaException as error:
            raise map_kafka_error(error, f"topic {topic}, a record of {size} bytes") from error
        group.add(1, size + RECORD_BYTES)

    def poll(self) -> None:
        """Serve the acks that are not held."""
        while self._reports and not self._holding and not self.away:
            _serve(self._reports.popleft())

    def wait(self, seconds: float) -> None:
        """Serve the acks that are not held."""
        self.poll()

    def flush(self, timeout_s: float) -> int:
        """Serve the acks that are not held; how many are outstanding."""
        self.poll()
        return len(self._reports)

    def close(self, timeout_s: float) -> int:
        """Serve what is not held, fail the rest; how many records were given up."""
        if self.transactions is not None:
            self.transactions.abort(timeout_s)
        left = self.flush(timeout_s)
        purged = KafkaError(KafkaError._PURGE_INFLIGHT)  # noqa: SLF001 (its name)
        while self._reports:
            on_delivery, _, record = self._reports.popleft()
            _serve((on_delivery, purged, record))
        self._closed = True
        return left

    @property
    def outstanding(self) -> int:
        """Records whose ack was not served yet."""
        return len(self._reports)

    def fatal(self) -> ProducerError | None:
        """What `refuse` was given."""
        return self._fatal

    def ensure_topics(
        self,
        names: Sequence[str],
        *,
        partitions: int,
        replication_factor: int,
        config: Mapping[str, str],
        create: bool,
    ) -> dict[str, int]:
        """Create what is missing; every topic's partition count."""
        self._answer()
        missing = [name for name in names if name not in self.topics]
        if missing and not create:
            raise OperatorError(
                f"missing in Kafka: topic {', '.join(missing)}", remedy="kafka-topics --create --topic …"
            )
        for name in missing:
            self._create(name, partitions, dict(config))
        return {name: len(self.topics[name]) for name in names}

    def partitions_of(self, topic: str) -> int:
        """The partition count."""
        return self.ensure_topics([topic], partitions=1, replication_factor=1, config={}, create=False)[topic]

    def topic_config(self, topic: str) -> dict[str, str] | None:
        """What the topic was created with."""
        self._answer()
        return {"cleanup.policy": "delete", **self.configs.get(topic, {})}

    def read(self, topic: str, timeout_s: float, prefix: bytes = b"", *, stable: bool = False) -> list[RawRecord]:
        """What the topic holds that is committed, partition by partition."""
        self.partitions_of(topic)
        return [
            record
            for partition in self.topics[topic]
            for record in self.log.committed(partition)
            if (record.key or b"").startswith(prefix)
        ]

    def scan(self, topic: str, stall_s: float) -> Iterator[Sequence[RawRecord]]:
        """What the topic holds, in one turn."""
        yield self.read(topic, stall_s)

    def first_offsets(self, topic: str) -> dict[int, int]:
        """Nothing is ever deleted."""
        return dict.fromkeys(range(self.partitions_of(topic)), 0)

    def ping(self, timeout_s: float) -> int:
        """One broker, unless it is away."""
        self._answer()
        return 1

    def _create(self, name: str, partitions: int, config: dict[str, str]) -> None:
        self.topics[name] = [[] for _ in range(max(partitions, 1))]
        self.configs[name] = config

    def _answer(self) -> None:
        if self._fatal is not None:
            raise self._fatal
        if self.away:
            raise KafkaUnavailable("the broker in memory is away", remedy="let it come back")

    def _produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        on_delivery: OnDelivery,
        headers: tuple[tuple[str, bytes], ...],
    ) -> None:
        if self._closed:
            raise RuntimeError("Producer has been closed")
        if self.transactions is not None and not self.transactions.begun:
            raise KafkaException(KafkaError(KafkaError._STATE))  # noqa: SLF001 (its name)
        if record_size(key, value, headers) > self.largest_record:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        partitions = self.topics.get(topic, [])
        if partition == PARTITIONER:
            partition = murmur2(key, len(partitions)) if key is not None and partitions else 0
        error = self._refusal(topic, key, partition)
        if self.transactions is not None:
            error = self.transactions.refusal(error)
        offset = len(partitions[partition]) if error is None else -1
        record = RawRecord(
            topic=topic,
            partition=partition,
            offset=offset,
            timestamp_ms=time.time_ns() // 1_000_000,
            key=key,
            value=value,
            headers=headers,
        )
        if error is None:
            partitions[partition].append(record)
            if self.transactions is not None:
                self.transactions.sent(record)
        self._reports.append((on_delivery, error, record))

    def _refusal(self, topic: str, key: bytes | None, partition: int) -> KafkaError | None:
        if self._fail_next:
            return self._fail_next.popleft()
        if topic not in self.topics:
            return KafkaError(KafkaError._UNKNOWN_TOPIC)  # noqa: SLF001 (its name)
        if partition >= len(self.topics[topic]):
            return KafkaError(KafkaError._UNKNOWN_PARTITION)  # noqa: SLF001 (its name)
        if key is None and "compact" in self.configs[topic].get("cleanup.policy", ""):
            return KafkaError(KafkaError.INVALID_RECORD)
        return None


def _serve(report: _Report) -> None:
    on_delivery, error, record = report
    on_delivery(
        error,
        Message(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            error=error,
        ),
    )
