"""What goes on whatever the loop waits for: acks served, the position stored, the slot confirmed and kept ours.

Room: pipeline (IO through the stages it is given).
"""

from __future__ import annotations

from collections.abc import Callable

from producer import crash_points
from producer.errors import KafkaUnavailable, PostgresUnavailable
from producer.events import Position
from producer.pipeline.connector import Connector
from producer.pipeline.exactly_once import CommittedProgress
from producer.pipeline.progress import Progress
from producer.pipeline.side.heartbeat import Heartbeat
from producer.sink.kafka import map_kafka_error
from producer.sink.protocol import Sink
from producer.source import slot
from producer.source.replication import ReplicationStream
from producer.source.wire import Connection, explained

# Kafka's client is flushed for so long, for what is not to linger.
_FLUSH_SECONDS = 0.001
# Replies to a server that asks in a tight loop while it shuts down.
_REPLY_SECONDS = 0.1
# How often a silent stream is looked after.
_WATCH_SECONDS = 4.0


class Upkeep:
    """Of one stream. `cut` closes what is open in the tracker; `last` is as `Transactions.last`.

    While it `asks`, the server is asked for a keep-alive.
    """

    def __init__(
        self,
        *,
        connector: Connector,
        stream: ReplicationStream,
        catalog: Connection,
        sink: Sink,
        progress: Progress,
        status_seconds: float,
        cut: Callable[[], None],
        last: Callable[[], Position | None],
        asks: Callable[[], bool],
    ) -> None:
        self._server = connector.server
        self._clock = connector.clock
        self._stop = connector.stop
        self._retention = connector.retention
        self._slot = connector.settings.slot_name
        self._retry_timeout = connector.settings.errors_retry_timeout
        self._heartbeat = Heartbeat(connector, sink)
        self._stream = stream
        self._catalog = catalog
        self._sink = sink
        self._progress = progress
        self._exactly = progress if isinstance(progress, CommittedProgress) else None
        self._status_seconds = status_seconds
        self._cut = cut
        self._last = last
        self._asks = asks
        self.heard = False
        """The server has said something since it was looked after."""
        self._counters = connector.counters
        self._resolved = 0
        self._resolved_at = self._watched_at = self._clock.monotonic()

    def serve(self) -> None:
        """Serve acks, store and confirm what they make safe.

        Raises:
            ProducerError: what ends the stream.
        """
        progress, stream = self._progress, self._stream
        stream.refuse_lapse()
        if not progress.closing and self._heartbeat.beat():
            self._sink.flush(_FLUSH_SECONDS)
        if not progress.tracker.idle:
            crash_points.reach("produced")
        self._sink.poll()
        safe = progress.step()
        self._counters.lag.acked(progress.delivered, self._clock.time_us)
        if progress.failure is not None:
            raise map_kafka_error(progress.failure, "delivering records")
        fatal = self._sink.fatal()
        if fatal is not None:
            raise fatal
        self._refuse_stall()
        self._retention.watch(self._catalog)
        silent = stream.silent_seconds
        if (
            safe > stream.confirmed
            or silent >= self._status_seconds
            or (stream.reply_requested and silent >= _REPLY_SECONDS)
        ):
            stream.confirm(safe)
        elif silent >= _REPLY_SECONDS and self._asks():
            stream.confirm(safe, ask=True)

    def watch(self) -> None:
        """Look after a stream that is silent: a network that swallows all does not tell that it was given up.

        A fast shutdown of the server is seen too: it ends ordinary sessions first, and the stream's only once all
        is confirmed, which with Kafka away may be never.
        """
        now = self._clock.monotonic()
        if now - self._watched_at < _WATCH_SECONDS:
            return
        self._watched_at = now
        heard, self.heard = self.heard, False
        if heard:
            self._counters.condition.heard_at = now
            return
        with explained(self._server, "looking after the stream"):
            reader = slot.reader(self._catalog, self._slot)
        if reader != self._stream.pid:
            raise PostgresUnavailable(
                f"PostgreSQL {self._server.where}: the server has given our stream up without our hearing of it",
                remedy="does something between us and the server swallow what is sent? we come back by ourselves",
            )
        self._counters.condition.heard_at = now

    def await_acks(self) -> None:
        """Wait until Kafka has acked all that was handed over."""
        self._cut()
        while self._progress.tracker.in_flight_bytes:
            self._sink.flush(0.05)
            self.serve()
            if self._stop.expired():
                raise KafkaUnavailable(
                    "Kafka did not ack in time; what is unconfirmed comes again at the next start",
                    remedy="are the brokers up? nothing is lost",
                )

    def settle(self) -> None:
        """Wait until all that was handed over can be read: what is read from a topic now is complete.

        Between two events only: with Kafka transactions this commits.

        Raises:
            KafkaUnavailable: not within errors.retry.timeout, or the time of an orderly stop.
        """
        self.await_acks()
        if self._exactly is not None:
            self._exactly.stand(self._last())
            self.commit(self._exactly)
            if self._exactly.closing:
                raise KafkaUnavailable(
                    "Kafka did not commit in time; what is unconfirmed comes again at the next start",
                    remedy="are the brokers up? nothing is lost",
                )

    def commit(self, progress: CommittedProgress) -> None:
        """Commit what was sent; nothing is read meanwhile."""
        progress.close()
        while progress.closing and not self._stop.expired():
            self.serve()

    def stay_alive(self) -> None:
        """Keep the connection while nothing is read from it, and look at the slot."""
        self._progress.step()
        # What the stream says meanwhile waits.
        self._counters.condition.heard_at = self._clock.monotonic()
        self._retention.watch(self._catalog)
        if self._stream.silent_seconds >= self._status_seconds:
            self._stream.confirm(self._progress.confirmable)

    def _refuse_stall(self) -> None:
        """A broker that acks nothing is a temporary fault, and errors.retry.timeout its limit."""
        tracker, timeout = self._progress.tracker, self._retry_timeout
        now = self._clock.monotonic()
        self._counters.in_flight_bytes = in_flight = tracker.in_flight_bytes
        waited_for = in_flight or self._progress.closing
        condition = self._counters.condition
        condition.tended_at = now
        condition.awaits_acks(now, acked=tracker.resolved != self._resolved, waiting=bool(waited_for))
        if tracker.resolved != self._resolved or not waited_for:
            self._resolved = tracker.resolved
            self._resolved_at = now
        elif 0 <= timeout < (now - self._resolved_at) * 1000:
            raise KafkaUnavailable(
                f"Kafka has acked nothing for {now - self._resolved_at:.0f} s",
                remedy="are the brokers up, and bootstrap.servers right?",
            )
