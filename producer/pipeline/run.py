"""The order of work: preflight, snapshot where due, stream; and again after a temporary fault.

Room: pipeline (IO through the stages it makes). docs/DESIGN.md, "Life of a record".
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterable
from contextlib import ExitStack

from producer import __version__, observe
from producer.clock import Clock
from producer.errors import (
    AnotherRun,
    KafkaUnavailable,
    PublicationLost,
    RegistryUnavailable,
    RetentionExceeded,
    SlotInUse,
    SlotLost,
    TemporaryError,
)
from producer.events import Position, Relation
from producer.lsn import Lsn
from producer.observe import Counters
from producer.pipeline import exactly_once, stages
from producer.pipeline.connector import Connector
from producer.pipeline.full_table.table_run import FullTableRun
from producer.pipeline.health import standing
from producer.pipeline.health.retention import Retention
from producer.pipeline.repairs import Repairs
from producer.pipeline.side import dead_letters
from producer.pipeline.side.dead_letters import DeadLetters
from producer.pipeline.side.topics import SideTopics
from producer.pipeline.skips import Skips
from producer.pipeline.snapshot.handover import Handover, Source
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.stop import Stop
from producer.pipeline.stream import lost_changes
from producer.pipeline.stream.session import StreamSession
from producer.pipeline.tables import columns
from producer.pipeline.tables.published import Published
from producer.pipeline.tables.tables import Tables
from producer.schema.registry import Registry
from producer.settings import Settings
from producer.sink.offsets import Loaded, OffsetsTopic
from producer.sink.protocol import Sink
from producer.source import plugins, preflight, slot, start_lock, visibility
from producer.source.wire import Connection, Server, connect, explained
from producer.transcode.counts import Counts
from producer.transcode.source_block import SourceBlock
from producer.transcode.walker import Walker

_log = observe.logger("producer.run")

_LOAD_SECONDS = 30.0
_BACKOFF_SECONDS = 0.5
# A warm standby looks often: it takes over within seconds.
_STANDBY_SECONDS = 1.0
# But says so seldom.
_STANDBY_SAYS_SECONDS = 30.0


class Runner:
    """One connector: one database, one slot, one sink."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        stop: Stop,
        *,
        once: bool = False,
        skips: Iterable[Position] = (),
        repairs: Repairs | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._stop = stop
        self._once = once
        self._server: Server = stages.server(settings)
        self._block = SourceBlock(version=__version__, name=settings.topic_prefix, database=settings.database_dbname)
        self._side = SideTopics(settings)
        self.counters = Counters()
        self._events: dict[str, Counts] = {}
        self.counters.events = self._events
        self._skips = Skips(skips, self.counters)
        self._retention = Retention(settings, self._server, clock, self.counters)
        self._type_names = False
        """Whether the plugin was found to print no type OIDs (wal2json 2.3)."""
        self._failing_since: float | None = None
        self._attempt = 0
        self._recovers = False
        """Whether the server has talked to us since the last fault."""
        self._unanswered: int | None = None
        """How many answers of the registry there had been when it was the last fault; None: it was not."""
        self._said_at = 0.0
        self._doubts: set[str] = set()
        self._looked = False
        self._again = settings.snapshot_mode == "always"
        """Everything is to be read, whatever was read before: at the start, not behind a fault."""
        self._unseen: set[int] = set()
        self._repairs = repairs or Repairs()
        self._unpublished: PublicationLost | None = None
        """Part of the slot's log cannot be read: it is to be given up."""
        self._made_at: Lsn | None = None
        """Where the slot was made that the stored position belongs to."""

    def run(self) -> None:
        """Work until told to stop, or until `once` is done.

        Raises:
            ProducerError: an operator must act, or a fault outlived errors.retry.timeout.
        """
        try:
            self._run()
        except RetentionExceeded:
            self._retention.give_up()
            raise
        finally:
            self._skips.sum_up()
            lost_changes.sum_up(self.counters)
            dead_letters.sum_up(self.counters, self._settings.errors_deadletterqueue_topic_name)

    def _run(self) -> None:
        stop = self._stop
        while not stop.requested:
            sink = stages.sink(self._settings, transactional=True)
            try:
                # Any question to the catalogue may find the connection gone.
                with explained(self._server, "asking the catalogue"):
                    if self._with(sink):
                        return
            except SlotLost as error:
                # Found while it ran; the next look finds the same, and recovers.
                if isinstance(error, PublicationLost):
                    self._unpublished = error
                if self._settings.snapshot_mode != "when_needed" or isinstance(error, RetentionExceeded):
                    raise
                self._back_off(sink, error)
            except TemporaryError as error:
                if self._stop.requested and isinstance(error, KafkaUnavailable):
                    # Told to stop, and Kafka does not take what is in flight: not an orderly end.
                    raise
                self._back_off(sink, error)
            finally:
                sink.close(0 if self._stop.expired() else 2)
            # What an error has ended is a ring of references: its Kafka clients' threads and sockets would stay until
            # the collector comes by, and it comes rarely. A transactional one that could not abort would hang in this.
            if sink.transactions is None:
                del sink
                gc.collect()

    def _with(self, sink: Sink) -> bool:
        """One session of the sink; True when the work is done."""
        offsets = stages.offsets(self._settings, sink)
        registry = stages.registry(self._settings, self.counters.registry)
        # A plan belongs to the tables that made it: what a walker of before knows is not known here.
        connector = Connector(
            settings=self._settings, clock=self._clock, stop=self._stop, counters=self.counters, server=self._server,
            walker=Walker(self._events), block=self._block, side=self._side,
            dead_letters=DeadLetters(self._settings, sink, self.counters), retention=self._retention, skips=self._skips,
            unseen=self._unseen, repairs=self._repairs,
        )  # fmt: skip
        tables = Tables(self._settings, sink, registry, connector.walker)
        with ExitStack() as stack:
            stack.callback(registry.close)
            source = self._look(stack, sink, registry, offsets, tables)
            connector.dead_letters.ensure([tables.topic(table.schema, table.name) for table in tables.chosen])
            marks = Marks(offsets, source.identity, source.loaded.tables)
            if self._settings.replication_method == "FULL_TABLE":
                FullTableRun(
                    connector=connector, source=source, tables=tables, sink=sink, offsets=offsets, marks=marks,
                    again=self._again, started=self._copying,
                ).run()  # fmt: skip
                return True
            handover = Handover(connector, source, tables, sink, offsets, marks)
            if self._settings.snapshot_mode == "initial_only":
                # Nothing is remembered: there is no stream, and no offsets topic.
                handover.copy_only()
                return True
            tables.recall(offsets, source.loaded)
            start = handover.position(again=self._again)

            def began() -> None:
                # The server tells the slot's reader from others now.
                start_lock.release(source.connection)
                self._begun()

            if start is not None:
                for unread in start.later:
                    self.counters.awaits(unread.table.qualified_name, unread.table.rows)
                if sink.transactions is None or sink.transactions.begun:
                    self._again = False
                session = StreamSession(
                    connector=connector, source=source, tables=tables, sink=sink, offsets=offsets, marks=marks,
                    once=self._once, type_names=self._type_names, began=began, started=self._recovered,
                )  # fmt: skip
                try:
                    session.run(start)
                finally:
                    self._type_names = session.type_names
            ended = start is None or self._once or self._stop.requested
            if ended and self._settings.slot_drop_on_stop:
                self._drop(source.connection, sink, offsets)
        return ended

    def _drop(self, connection: Connection, sink: Sink, offsets: OffsetsTopic) -> None:
        """An orderly end: no slot, and no position that would miss it. Forgotten first, or the next start stopped.

        A standby that looks where to begin is waited for: it would go on from what is gone. One that reads already
        needs both.
        """
        name = self._settings.slot_name
        start_lock.await_take(connection, self._server, name, self._clock)
        slot.await_reader_gone(connection, name, self._clock)
        if (reader := slot.reader(connection, name)) is not None:
            _log.info("the slot stays (slot.drop.on.stop): another reads it by now", slot=name, pid=reader)
            return
        exactly_once.give_up(sink)
        stages.forget(offsets, sink, offsets.load(_LOAD_SECONDS), self._clock)
        exactly_once.commit(sink, self._clock, self._stop)
        slot.drop(connection, self._server, name)
        _log.info("the slot was dropped (slot.drop.on.stop)", slot=name)

    def _look(self, stack: ExitStack, sink: Sink, registry: Registry, offsets: OffsetsTopic, tables: Tables) -> Source:
        """Everything that can be refused is refused here, before a slot is made."""
        connection = connect(self._server)
        stack.callback(connection.close)
        identity = slot.identify(connection)
        reads_log = self._settings.reads_log
        preflight.demand(preflight.server(identity, preflight.wal_level(connection) if reads_log else None))
        if reads_log:
            plugins.demand_allowed(connection, self._settings.plugin_name, self._settings.hosting_platform)
            preflight.demand(preflight.messages(identity.version, self._settings))
        chosen = tables.select(connection)
        preflight.demand(preflight.roots(identity.version, chosen))
        relations = tables.remember(connection)
        if not self._looked:
            # Whichever of them a predecessor has produced: it cannot be asked.
            self._unseen.update(visibility.not_visible(connection))
            self._looked = True
        preflight.demand(preflight.rights(connection, chosen, relations, self._server.user))
        preflight.demand(columns.refused(connection, self._server, self._settings, chosen, relations))
        self._doubt(relations)
        if reads_log and self._settings.snapshot_mode != "initial_only":
            start_lock.share(connection, self._server, self._settings.slot_name)
        found = slot.find(connection, self._settings.slot_name)
        if reads_log:
            slot.demand_failover(connection, failover=self._settings.slot_failover)
        if found is not None and reads_log:
            slot.fitting(found, self._settings.plugin_name, self._server.dbname)
            slot.demand_made(found)
            if self._settings.slot_failover and not found.failover:
                self._say_once(
                    f"slot.failover=true, and the slot {found.name} that is there is no failover slot: over a "
                    f"replication connection ALTER_REPLICATION_SLOT {found.name} (FAILOVER) makes it one"
                )
        published = None
        if self._settings.plugin_name == "pgoutput" and reads_log:
            published = Published(connection, self._server, self._settings, chosen, relations, found)
            published.make_empty()
            preflight.demand(published.refused())
        sink.ping(5)
        with observe.waiting("the tables' topics are looked for, and made", tables=len(chosen)):
            tables.ensure_topics()
        if not reads_log:
            return Source(connection, identity, found, Loaded())
        self._side.prepare(sink, registry, self._settings)
        offsets.ensure(create=True)
        # What a dead predecessor's open transaction hides is seen once that was ended: `exactly_once.own`.
        loaded = offsets.load(_LOAD_SECONDS, stable=sink.transactions is not None)
        if sink.transactions is not None and standing.ahead(loaded.offset, found):
            # Confirmed once it was committed, and Kafka answers a commit before all readers see it: that is waited for.
            loaded = offsets.load(_LOAD_SECONDS)
        # Where the log ends, now: another who still reads may have stored a position behind where it ended before.
        identity = slot.identify(connection)
        if published is None:
            return Source(connection, identity, found, loaded)
        published.make(loaded)
        made_at = None if loaded.offset is None else loaded.offset.consistent_point
        if made_at != self._made_at:
            # Another of us has found the same, and has made the slot anew: this one can be read.
            self._unpublished = None
        self._made_at = made_at
        lost = self._unpublished if found is not None else None
        return Source(connection, identity, found, loaded, published, lost or published.lost)

    def _doubt(self, relations: list[Relation]) -> None:
        """Say once what filters and masks do not do."""
        for doubt in columns.doubts(self._settings, relations):
            self._say_once(doubt, check="columns")

    def _say_once(self, doubt: str, **more: str) -> None:
        if doubt not in self._doubts:
            self._doubts.add(doubt)
            _log.warning(doubt, **more)

    def _begun(self) -> None:
        self._again = False
        self._unpublished = None

    def _copying(self) -> None:
        self._begun()
        self._recovered()

    def _recovered(self) -> None:
        self._recovers = True

    def _still_fails(self, error: TemporaryError | SlotLost) -> bool:
        """Whether this is the fault of before. That the server talks says nothing of a registry."""
        before, self._unanswered = self._unanswered, None
        if isinstance(error, RegistryUnavailable):
            self._unanswered = self.counters.registry.by_outcome["answered"]
        recovers, self._recovers = self._recovers, False
        return not recovers or (before is not None and before == self._unanswered)

    def _note(self, error: TemporaryError | SlotLost, now: float) -> None:
        """For whoever asks how we are. Waiting for a slot that another reads is no fault: we stand by."""
        counters = self.counters
        counters.in_flight_bytes = 0
        if isinstance(error, SlotInUse):
            counters.condition.enter("standby", now)
            return
        counters.reconnects += 1
        counters.recent.fault(type(error).__name__, error.message, error.remedy)
        counters.condition.enter("reconnecting", now)

    def _back_off(self, sink: Sink, error: TemporaryError | SlotLost) -> None:
        """Wait a little longer each time, with jitter; give up after errors.retry.timeout.

        Raises:
            TemporaryError, SlotLost: the time is over; it is the error that was given.
        """
        now = self._clock.monotonic()
        if not self._still_fails(error):
            self._failing_since = None
            self._attempt = 0
        if self._failing_since is None:
            self._failing_since = now
        limit = self._settings.errors_retry_timeout
        if limit >= 0 and (now - self._failing_since) * 1000 >= limit:
            raise error
        longest = self._settings.errors_retry_delay_max_ms / 1000
        standby = isinstance(error, (SlotInUse, AnotherRun))
        if standby:
            longest = min(longest, _STANDBY_SECONDS)
        seconds = min(longest, _BACKOFF_SECONDS * 2**self._attempt) * random.uniform(0.5, 1)  # noqa: S311
        self._attempt = min(self._attempt + 1, 16)
        waits = isinstance(error, SlotInUse) and now > self._failing_since
        self._note(error, now)
        if not waits or now - self._said_at >= _STANDBY_SAYS_SECONDS:
            self._said_at = now
            _log.warning(
                "a temporary fault", reason=error.message, remedy=error.remedy, retry_in=round(seconds, 2),
                since=round(now - self._failing_since),
            )  # fmt: skip
        until = now + seconds
        if limit >= 0:
            until = min(until, self._failing_since + limit / 1000)
        while self._clock.monotonic() < until and not self._stop.requested:
            sink.wait(0.1)
            if not standby:
                # It is while Kafka is away that the slot grows.
                self._retention.glance()
