"""What every sink does; `KafkaSink` and `MemorySink` satisfy it, and one contract suite tests both.

Room: sink (IO: Kafka). Kafka documentation, "Producer Configs" and "Message Delivery Semantics".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from producer.acks import Group
from producer.errors import ProducerError

OnDelivery = Callable[[object | None, object], None]
"""Takes (error, report); `Group.ack` is one. It must never raise."""

Headers = list[tuple[str, bytes]]

PARTITIONER = -1
"""The partition that leaves the choice to the key's murmur2 hash."""


RECORD_BYTES = 256
"""What a record in flight holds beside its own bytes, about: the client's message, the callback's state. It is counted,
or a queue of small records would be several times as large as it is said to be."""


def record_size(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] | None = None) -> int:
    """The bytes that a record holds in memory until it is acked."""
    named = sum(len(name) + len(text) for name, text in headers) if headers else 0
    return len(key or b"") + len(value or b"") + named


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRecord:
    """A record as a topic holds it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Transactions(Protocol):
    """The Kafka transactions of one transactional.id. From `begin` on, one is always open: what is sent belongs to it.

    What is given to `send` before is kept back, and sent first. After an error of `own` or `commit` the sink is to
    be given up: closing it aborts what is open.
    """

    @property
    def begun(self) -> bool:
        """True from `begin` on."""
        ...

    @property
    def touched(self) -> bool:
        """True when something was given to `send` since the last commit."""
        ...

    def own(self, timeout_s: float) -> bool:
        """Fence every other producer of the id and end what it left open; False: not in time, call it again.

        Raises:
            ProducerError: it may not be ours.
        """
        ...

    def begin(self) -> None:
        """Begin the first transaction. Until then a reader sees all that the predecessors have committed."""
        ...

    def commit(self, timeout_s: float) -> bool:
        """Flush, and commit all that was sent; False: not known in time. Call it again, and send nothing before.

        Raises:
            ProducerFenced: another producer owns the id now.
            ProducerError: a record was refused, or the transaction was aborted.
        """
        ...

    def abort(self, timeout_s: float) -> bool:
        """Give up what was sent since the last commit: it is never read; False: not known. `begin` goes on."""
        ...


class Outlet(Protocol):
    """Where records go."""

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        on_delivery: OnDelivery,
        /,
    ) -> None:
        """Queue one record: the hot path, which counts nothing and never blocks.

        Raises:
            KafkaException: the client refuses the record; see `map_kafka_error`.
            BufferError: the client's own queue is full.
        """
        ...

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
        """Queue one record and count it in its group.

        Raises:
            ProducerError: the client refuses the record; the group is as it was.
        """
        ...

    def partitions_of(self, topic: str) -> int:
        """The partition count of now: somebody may raise it while we run."""
        ...


class Sink(Outlet, Protocol):
    """Takes records, reports acks, knows topics. Used from one thread."""

    @property
    def transactions(self) -> Transactions | None:
        """Kafka's transactions, where records are sent in them."""
        ...

    @property
    def largest_record(self) -> int:
        """The bytes of key, value and headers that the client takes in one record."""
        ...

    def poll(self) -> None:
        """Serve the delivery reports that have come; returns at once."""
        ...

    def wait(self, seconds: float) -> None:
        """Serve delivery reports, waiting for the first one for at most so long."""
        ...

    def flush(self, timeout_s: float) -> int:
        """Send what is queued without lingering and serve its reports; how many are still outstanding."""
        ...

    def close(self, timeout_s: float) -> int:
        """Flush for at most so long, give up the rest, end; how many records were given up.

        An open transaction is aborted: none of its records is ever read.
        """
        ...

    @property
    def outstanding(self) -> int:
        """Records handed over whose report was not served yet; the client's own notices may count too."""
        ...

    @property
    def last_error(self) -> object | None:
        """What the client said last about its connections; None: nothing."""
        ...

    def fatal(self) -> ProducerError | None:
        """What makes waiting pointless: a refused login, a client that gave up. None: go on."""
        ...

    def ensure_topics(
        self,
        names: Sequence[str],
        *,
        partitions: int,
        replication_factor: int,
        config: Mapping[str, str],
        create: bool,
    ) -> dict[str, int]:
        """Create the topics that are missing and wait for their leaders; every topic's partition count.

        Raises:
            OperatorError: a topic is missing and `create` is False, or Kafka refuses to create it.
            KafkaUnavailable: Kafka did not answer in time.
        """
        ...

    def topic_config(self, topic: str) -> dict[str, str] | None:
        """The topic's configuration; None when it may not be read."""
        ...

    def read(self, topic: str, timeout_s: float, prefix: bytes = b"", *, stable: bool = False) -> list[RawRecord]:
        """Everything the topic holds up to its end of this moment, in order within a partition.

        With `prefix`, only records whose key begins with it are kept. `stable`: what lies behind
        an open transaction is not waited for.

        Raises:
            OperatorError: the topic is not there, or not for us: that is not the same as empty.
            KafkaUnavailable: the end was not reached in time.
        """
        ...

    def scan(self, topic: str, stall_s: float) -> Iterator[Sequence[RawRecord]]:
        """The same in turns, so that no topic is too large: a turn without a record lets the caller do something else.

        Raises:
            OperatorError: the topic is not there, or not for us.
            KafkaUnavailable: nothing came for `stall_s`, and the end was not reached.
        """
        ...

    def first_offsets(self, topic: str) -> dict[int, int]:
        """Where the log of each partition begins: 0 while nothing was deleted; raises as `scan`."""
        ...

    def ping(self, timeout_s: float) -> int:
        """How many brokers answer for the cluster.

        Raises:
            AccessDenied: the login is refused.
            KafkaUnavailable: no broker answers.
        """
        ...
