"""The real sink: an idempotent producer whose acks are served by the thread that produces.

Room: sink (IO: Kafka). librdkafka, "CONFIGURATION.md" and "INTRODUCTION.md" (idempotent producer);
Kafka documentation, "Producer Configs".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from confluent_kafka import KafkaException, Producer

from producer.acks import Group
from producer.errors import ProducerError
from producer.sink.client_log import client_logger
from producer.sink.consume import consumer_config, read_to_end, scan, watermarks
from producer.sink.protocol import PARTITIONER, RECORD_BYTES, Headers, OnDelivery, RawRecord, record_size
from producer.sink.topic_facts import Wanted
from producer.sink.topics import Examined, Topics, TopicSize
from producer.sink.transactional import KafkaTransactions, transactional_config
from producer.sink.verdicts import Complaints, map_kafka_error, refused_settings

__all__ = ["KafkaSink", "connection_settings", "map_kafka_error", "producer_config"]

_MOST = 2_147_483_647
# In a transaction a record's time is the transaction's.
_RECORD_TIMEOUTS = ("message.timeout.ms", "delivery.timeout.ms")
_PURGE_SECONDS = 1.0
_REQUEST_SECONDS = 30.0
# message.max.bytes where nothing is said, and what the client counts beside key, value and headers.
_MESSAGE_BYTES = 1_000_000
_MESSAGE_OVERHEAD = 36
_CONNECTION = ("security.", "sasl.", "ssl.", "enable.ssl.", "enable.sasl.", "socket.", "broker.address.")
_CONNECTION_KEYS = ("client.dns.lookup", "client.rack")


def producer_config(
    bootstrap_servers: str, overrides: Mapping[str, str], client_id: str, transactional_id: str | None = None
) -> dict[str, object]:
    """The client's settings: order and durability first; the user's are put on top.

    A message never times out (a later one would still go out: a gap), and the queue has no limit
    of its own: the pipeline counts bytes in flight.
    """
    config: dict[str, object] = {
        "bootstrap.servers": bootstrap_servers,
        "client.id": client_id,
        "acks": "all",
        "enable.idempotence": True,
        "message.timeout.ms": 0,
        "partitioner": "murmur2_random",
        # How long a stream that is behind gathers a batch: many tables are many partitions. One that is caught
        # up is not kept waiting: the pipeline flushes.
        "linger.ms": 1000,
        "compression.type": "lz4",
        "queue.buffering.max.messages": _MOST,
        "queue.buffering.max.kbytes": _MOST,
        "allow.auto.create.topics": False,
        "statistics.interval.ms": 0,
        "logger": client_logger(),
    }
    if transactional_id is not None:
        config |= transactional_config(transactional_id)
    config.update(overrides)
    if transactional_id is not None:
        for never in _RECORD_TIMEOUTS:
            config.pop(never, None)
    return config


def connection_settings(overrides: Mapping[str, str]) -> dict[str, str]:
    """Those of a client's settings that say how to reach and greet the brokers."""
    return {key: value for key, value in overrides.items() if key.startswith(_CONNECTION) or key in _CONNECTION_KEYS}


class KafkaSink:
    """Records to Kafka; see `protocol.Sink`.

    What `overrides` says of the connection (`security.*`, `sasl.*`, `ssl.*`) also holds for the
    admin client and the consumers, unless their own overrides say otherwise.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        client_id: str,
        transactional_id: str | None = None,
        overrides: Mapping[str, str] | None = None,
        admin_overrides: Mapping[str, str] | None = None,
        consumer_overrides: Mapping[str, str] | None = None,
    ) -> None:
        overrides = overrides or {}
        shared = {"client.id": client_id, **connection_settings(overrides)}
        self.consumer = consumer_config(bootstrap_servers, {**shared, **(consumer_overrides or {})})
        """What a consumer of the same cluster is made with."""
        self._complaints = Complaints(transactional=transactional_id is not None)
        config = producer_config(bootstrap_servers, overrides, client_id, transactional_id)
        try:
            self._producer = Producer({**config, "error_cb": self._complaints})
        except KafkaException as error:
            raise refused_settings(error, "producer") from error
        self.transactions: KafkaTransactions | None = None
        """Kafka's transactions, with `transactional_id`."""
        if transactional_id is not None:
            self.transactions = KafkaTransactions(self._producer, self._complaints, transactional_id)
        self.largest_record = int(str(config.get("message.max.bytes", _MESSAGE_BYTES))) - _MESSAGE_OVERHEAD
        """The bytes of key, value and headers that the client takes in one record."""
        admin = {"bootstrap.servers": bootstrap_servers, **shared, **(admin_overrides or {})}
        self._topics = Topics(self._producer, self._complaints, admin)
        self.produce = self._producer.produce
        """`produce(topic, value, key, partition, on_delivery)`: the client's own method, for the hot loop."""

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
        """Queue one record and count it in its group."""
        transactions = self.transactions
        if transactions is not None:
            if not transactions.begun:
                transactions.keep(lambda: self.send(topic, key, value, group, headers=headers, partition=partition))
                return
            transactions.touched = True
        size = record_size(key, value, headers)
        on_delivery: OnDelivery = group.ack
        try:
            if headers:
                self._producer.produce(topic, value, key, partition, on_delivery, headers=list(headers))
            else:
                self._producer.produce(topic, value, key, partition, on_delivery)
        except (KafkaException, BufferError) as error:
            # In a transaction that failed meanwhile, any record is refused: its first complaint tells why.
            fatal = self._complaints.fatal
            raise fatal or map_kafka_error(error, f"topic {topic}, a record of {size} bytes") from error
        group.add(1, size + RECORD_BYTES)

    def poll(self) -> None:
        """Serve the delivery reports that have come; returns at once."""
        self._serve(0)

    def wait(self, seconds: float) -> None:
        """Serve delivery reports, waiting for the first one for at most so long."""
        self._serve(seconds)

    def flush(self, timeout_s: float) -> int:
        """Send what is queued without lingering and serve its reports; how many are outstanding."""
        try:
            return self._producer.flush(timeout_s)
        except KafkaException as error:
            self._complaints.gave_up(error)
            return len(self._producer)

    def close(self, timeout_s: float) -> int:
        """Flush for at most so long, give up the rest, end; how many records were given up.

        Their groups learn of it as of any failed delivery. Without the purge the client would wait
        for the brokers for ever. So it would for a transaction's end: a client that could not abort is only let go.
        """
        aborted = self.transactions is None or self.transactions.abort(timeout_s)
        left = self.flush(timeout_s)
        if left:
            self._producer.purge()
            self.flush(_PURGE_SECONDS)
        if aborted:
            self._producer.close()
        return left

    @property
    def outstanding(self) -> int:
        """Records handed over whose report was not served yet; log lines that wait count too."""
        return len(self._producer)

    def fatal(self) -> ProducerError | None:
        """A refused login, or the idempotent producer's fatal error."""
        return self._complaints.fatal

    @property
    def last_error(self) -> object | None:
        """What the client said last about its connections; None: nothing."""
        return self._complaints.last

    def ensure_topics(
        self,
        names: Sequence[str],
        *,
        partitions: int,
        replication_factor: int,
        config: Mapping[str, str],
        create: bool,
    ) -> dict[str, int]:
        """Create what is missing, wait for leaders; every topic's partition count."""
        return self._topics.ensure(
            names, partitions=partitions, replication_factor=replication_factor, config=config, create=create
        )

    def partitions_of(self, topic: str) -> int:
        """The partition count of now: somebody may raise it while we run."""
        return self._topics.partitions_of(topic)

    def topic_config(self, topic: str) -> dict[str, str] | None:
        """The topic's configuration; None when it may not be read."""
        return self._topics.config_of(topic)

    def broker_config(self) -> dict[str, str] | None:
        """One of the brokers' configuration; None when it may not be read."""
        return self._topics.broker_config()

    def read(self, topic: str, timeout_s: float, prefix: bytes = b"", *, stable: bool = False) -> list[RawRecord]:
        """Everything the topic holds up to its end of this moment, of keys that begin with `prefix`."""
        return read_to_end(self.consumer, topic, timeout_s, prefix, stable=stable)

    def scan(self, topic: str, stall_s: float) -> Iterator[Sequence[RawRecord]]:
        """The same in turns, so that no topic is too large."""
        return scan(self.consumer, topic, stall_s)

    def first_offsets(self, topic: str) -> dict[int, int]:
        """Where the log of each partition begins."""
        found = watermarks(self.consumer, topic, _REQUEST_SECONDS)
        return {partition: low for (_, partition), (low, _) in found.items()}

    def examine(self, names: Sequence[str], wanted: Sequence[Wanted]) -> Examined:
        """What Kafka says of topics, and of those of `wanted` that are not there: it would refuse some."""
        return self._topics.examine(names, wanted)

    def topic_sizes(self, names: Sequence[str]) -> dict[str, TopicSize]:
        """Partitions and records of those topics that are there."""
        return self._topics.sizes(names)

    def ping(self, timeout_s: float) -> int:
        """How many brokers answer for the cluster."""
        return len(self._topics.ask(timeout_s).brokers)

    def _serve(self, seconds: float) -> None:
        try:
            self._producer.poll(seconds)
        except KafkaException as error:
            self._complaints.gave_up(error)
