"""Kafka transactions: what is sent between two commits is read whole, or never.

Room: sink (IO: Kafka). Kafka documentation, "Message Delivery Semantics"; KIP-98; librdkafka, "INTRODUCTION.md"
(transactional producer).
"""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import KafkaException, Producer

from producer.sink.verdicts import Complaints, map_kafka_error

# The brokers' own default for the most that they allow. A chunk of a snapshot is one transaction.
TIMEOUT_MS = 900_000


def transactional_config(transactional_id: str) -> dict[str, object]:
    """What makes a client a transactional one; the user's settings may change the timeout.

    A record times out with its transaction: that aborts it, so there is no gap.
    """
    return {"transactional.id": transactional_id, "transaction.timeout.ms": TIMEOUT_MS}


class KafkaTransactions:
    """See `protocol.Transactions`."""

    def __init__(self, producer: Producer, complaints: Complaints, transactional_id: str) -> None:
        self._producer = producer
        self._complaints = complaints
        self._id = transactional_id
        self._kept: list[Callable[[], None]] = []
        self.begun = False
        self.touched = False

    def own(self, timeout_s: float) -> bool:
        """Fence every other producer of the id and end what it left open."""
        try:
            self._producer.init_transactions(timeout_s)
        except KafkaException as error:
            return self._later(error, f"taking over the transactional.id {self._id}")
        return True

    def begin(self) -> None:
        """Begin the first transaction, with what was kept back."""
        try:
            self._producer.begin_transaction()
        except KafkaException as error:
            raise map_kafka_error(error, "beginning a Kafka transaction") from error
        self.begun = True
        for send in self._kept:
            send()
        self._kept.clear()

    def keep(self, send: Callable[[], None]) -> None:
        """Nothing can be sent yet: do it when the first transaction has begun."""
        self._kept.append(send)

    def commit(self, timeout_s: float) -> bool:
        """Flush, commit, begin the next one."""
        try:
            self._producer.commit_transaction(timeout_s)
            self._producer.begin_transaction()
        except KafkaException as error:
            return self._later(error, "committing a Kafka transaction")
        self.touched = False
        return True

    def abort(self, timeout_s: float) -> bool:
        """Abort what is open. False: the broker will, when the id is taken over, or when its time is out."""
        if self.begun:
            try:
                self._producer.abort_transaction(timeout_s)
            except KafkaException:
                return False
            self.begun = False
        return True

    def _later(self, error: KafkaException, what: str) -> bool:
        """False where the same call may be repeated; else raise what the error means."""
        if error.args[0].retriable():
            return False
        fatal = self._complaints.fatal
        raise (fatal if fatal is not None else map_kafka_error(error, what)) from error
