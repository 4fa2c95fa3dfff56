"""Exactly once: our position is committed in one Kafka transaction with the records that it speaks of.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Exactly once".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from hashlib import blake2b
from typing import Literal

from producer import crash_points
from producer.acks import Acks
from producer.clock import Clock
from producer.errors import KafkaUnavailable, ProducerError, ProducerFenced
from producer.events import Position
from producer.lsn import Lsn
from producer.pipeline.progress import Committed, Progress
from producer.pipeline.stop import Stop
from producer.settings import Settings
from producer.sink.kafka import map_kafka_error
from producer.sink.offsets import Loaded, Offset, OffsetsTopic, Part
from producer.sink.protocol import Sink, Transactions

# So long Kafka is waited for before something else is looked at.
_TURN_SECONDS = 0.05
_OWN_SECONDS = 30.0
# What ordinals depend on, beside the tables.
_SETTINGS = ("plugin.name", "skipped.operations", "message.prefix.include.list", "message.key.columns")

Due = Literal["no", "at its end", "now"]


def fingerprint(settings: Settings, names: Collection[tuple[str, str]]) -> str:
    """Of what an event's ordinal depends on: which of a transaction's events are sent."""
    described = settings.describe()
    facts = [*(described[key] for key in _SETTINGS), sorted(names)]
    return blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()


def own(
    sink: Sink,
    offsets: OffsetsTopic,
    known: Loaded,
    clock: Clock,
    stop: Stop,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """The slot is ours, so the transactional id is: fence whoever had it, and begin. Nothing without transactions.

    Raises:
        ProducerFenced: a predecessor stored its position after we had read it.
        KafkaUnavailable: not in time.
    """
    transactions = sink.transactions
    if transactions is None or transactions.begun:
        return
    deadline = clock.monotonic() + _OWN_SECONDS
    while not transactions.own(_TURN_SECONDS):
        meanwhile()
        if stop.expired() or clock.monotonic() > deadline:
            raise KafkaUnavailable(
                "Kafka did not give us our transactional id in time",
                remedy="are the brokers up? A predecessor's transaction that is being committed is waited for",
            )
    if offsets.load(_OWN_SECONDS) != known:
        raise ProducerFenced(
            "a predecessor stored its position while we took over",
            remedy="nothing: what it has committed is read again at once",
        )
    transactions.begin()
    crash_points.reach("transaction_begun")


def commit(sink: Sink, clock: Clock, stop: Stop) -> None:
    """Commit all that was sent, outside of the stream. Nothing without transactions, or before they are ours.

    Raises:
        KafkaUnavailable: not in time, or in the time of an orderly stop.
    """
    transactions = sink.transactions
    if transactions is None or not transactions.begun:
        return
    deadline = clock.monotonic() + _OWN_SECONDS
    while not transactions.commit(_TURN_SECONDS):
        if stop.expired() or clock.monotonic() > deadline:
            raise KafkaUnavailable(
                "Kafka did not commit our transaction in time",
                remedy="are the brokers up? Nothing is lost: the next start sees whether it did",
            )


def give_up(sink: Sink) -> None:
    """What was sent since the last commit is never read; another transaction begins.

    Raises:
        KafkaUnavailable: not in time.
    """
    transactions = sink.transactions
    if transactions is not None and transactions.begun:
        if not transactions.abort(_OWN_SECONDS):
            raise KafkaUnavailable("Kafka did not end our transaction in time", remedy="are the brokers up?")
        transactions.begin()


class CommittedProgress(Progress):
    """What is acked here is what a Kafka transaction has committed.

    Told where the stream stands (`stand`), it says when the Kafka transaction is to end (`due`).
    From `close` on nothing may be sent until `step` has committed it.
    """

    def __init__(
        self,
        offsets: OffsetsTopic,
        start: Offset,
        clock: Clock,
        transactions: Transactions,
        interval_s: float,
        mark: str,
        acks: Acks | None = None,
    ) -> None:
        """`mark` is the fingerprint of the stream to come."""
        super().__init__(offsets, start, clock, acks)
        self._transactions = transactions
        self._interval = interval_s
        self._fingerprint = mark
        self._read = start.lsn
        """Everything up to here was handed to the sink."""
        self._part = start.part if start.part is not None and start.part.fingerprint == mark else None
        self.resumed = None if self._part is None else Position(self._part.commit_lsn, self._part.ordinal)
        """The last event of those that were sent before: what comes again of them is not sent."""
        self._void = False
        self._began_at: float | None = None
        self._committed_at = clock.monotonic() - interval_s
        self._opened: tuple[Lsn, float] | None = None

    def committed(self, transaction: Committed) -> None:
        """A transaction was handed to the sink whole."""
        super().committed(transaction)
        self._read = transaction.next_lsn

    def kept_alive(self, wal_end: Lsn, *, urgent: bool) -> bool:
        """The server has sent everything up to `wal_end`, and no transaction is open."""
        taken = super().kept_alive(wal_end, urgent=urgent)
        if taken:
            self._read = max(self._read, wal_end)
        return taken

    def stand(self, last: Position | None) -> None:
        """The stream is between two messages. `last`: the last event, where it is behind all that is complete."""
        self._part = None
        if last is not None:
            self._part = Part(commit_lsn=last.commit_lsn, ordinal=last.ordinal, fingerprint=self._fingerprint)

    def give_up(self) -> None:
        """A part of a table was sent that no mark will speak of: nothing more is committed."""
        self._void = True

    def due(self, within: Lsn | None, *, quiet: bool) -> Due:
        """Whether the Kafka transaction is to end, and where.

        At the end of the transaction that is being read (`within`), or now; also within one that takes longer to
        read than an interval. What comes after a while of silence is not kept waiting (`quiet`: nothing comes).
        """
        if not self._dirty:
            self._began_at = None
            return "no"
        now = self._clock.monotonic()
        if self._began_at is None:
            self._began_at = now
        if within is None:
            self._opened = None
        elif self._opened is None or self._opened[0] != within:
            self._opened = (within, now)
        if now - self._began_at < self._interval and not (quiet and now - self._committed_at >= self._interval):
            return "no"
        if self._opened is None or now - self._opened[1] >= self._interval:
            return "now"
        return "at its end"

    def close(self) -> None:
        """End the Kafka transaction: with our position, as of what was sent."""
        if not self.closing and not self._void:
            self._write(self._at(self._read))
            crash_points.reach("offset_in_transaction")

    def end(self) -> None:
        """Nothing more is read."""
        if self._dirty:
            self.close()
        self.step()

    def step(self) -> Lsn:
        """Serve what `close` has begun; what may be confirmed now.

        Raises:
            ProducerError: the transaction cannot be committed, or what became of it is not known: begin again.
        """
        self.tracker.advance()
        if self._writing is not None and self._commit():
            crash_points.reach("committed")
            self._stored = self._writing[1]
            self._writing = None
            self.confirmable = max(self.confirmable, self._stored.lsn)
            self._began_at = None
            self._committed_at = self._clock.monotonic()
            self.tracker.advance()
        return self.confirmable

    @property
    def delivered(self) -> Lsn:
        """Readers of what is committed have everything up to here."""
        return self.confirmable

    @property
    def closing(self) -> bool:
        """True from `close` until it is committed."""
        return self._writing is not None

    @property
    def stored(self) -> bool:
        """True when nothing is left to commit."""
        return self._void or not (self.closing or self._dirty)

    @property
    def settled(self) -> bool:
        """True when all that was sent is committed."""
        return self.tracker.idle and not (self.closing or self._dirty)

    @property
    def _dirty(self) -> bool:
        if self._completed or self._transactions.touched or (self._compares and not self._stored.reconcile):
            return True
        return self._read > self._stored.lsn or self._part != self._stored.part

    def _at(self, safe: Lsn) -> Offset:
        part = self._part
        if part is not None and not part.ordinal and part.commit_lsn <= safe:
            part = self._part = None
        return replace(super()._at(safe), part=part)

    def _commit(self) -> bool:
        try:
            return self._transactions.commit(_TURN_SECONDS)
        except ProducerError as error:
            if self.failure is not None:
                # The record that was refused says more than the transaction that failed by it.
                raise map_kafka_error(self.failure, "delivering records") from error
            raise
