"""The order of work: preflight, snapshot where due, stream; and again after a temporary fault.

Room: pipeline (IO through the stages it makes). docs/DESIGN.md, "Life of a record".
"""

from __future__ import annotations

import contextlib
import gc
import random
from collections.abc import Collection
from contextlib import ExitStack

from producer import __version__, observe
from producer.clock import Clock
from producer.decode import wal2json
from producer.decode.type_names import TypeNames
from producer.decode.wal2json import NoTypeOids
from producer.errors import DecodeError, KafkaUnavailable, OperatorError, PostgresUnavailable, SlotInUse, TemporaryError
from producer.events import Relation
from producer.lsn import Lsn
from producer.observe import Counters
from producer.pipeline import stages
from producer.pipeline.connector import Connector
from producer.pipeline.progress import Progress
from producer.pipeline.side import dead_letters
from producer.pipeline.side.dead_letters import DeadLetters
from producer.pipeline.side.topics import SideTopics
from producer.pipeline.snapshot.handover import Handover, Source, Start, await_reader_gone
from producer.pipeline.stop import Stop
from producer.pipeline.stream import lost_changes
from producer.pipeline.stream.loop import StreamLoop
from producer.pipeline.stream.lost_changes import LostChanges
from producer.pipeline.tables import columns
from producer.pipeline.tables.tables import Tables
from producer.schema.registry import Registry
from producer.settings import Settings
from producer.sink.offsets import Loaded, OffsetsTopic
from producer.sink.protocol import Sink
from producer.sink.verdicts import map_kafka_error
from producer.source import encoding, pg_types, preflight, slot, visibility
from producer.source.catalog import Table
from producer.source.replication import ReplicationStream
from producer.source.wire import Connection, Server, connect, connect_replication, explained
from producer.transcode.source_block import SourceBlock
from producer.transcode.walker import Walker

_log = observe.logger("producer.run")

_LOAD_SECONDS = 30.0
_BACKOFF_SECONDS = 0.5
# A warm standby looks often: it takes over within seconds.
_STANDBY_SECONDS = 1.0
_STATUS_SHARE = 3
_STORE_SECONDS = 3.0
# What wal2json 2.3 does where a transaction replaces a primary key before its first row, and was asked for that key.
_OLD_PLUGIN_FAILS = "could not find pg_class tuple for index"


class Runner:
    """One connector: one database, one slot, one sink."""

    def __init__(self, settings: Settings, clock: Clock, stop: Stop, *, once: bool = False) -> None:
        self._settings = settings
        self._clock = clock
        self._stop = stop
        self._once = once
        self._server: Server = stages.server(settings)
        self._block = SourceBlock(version=__version__, name=settings.topic_prefix, database=settings.database_dbname)
        self._side = SideTopics(settings)
        self.counters = Counters()
        self._type_names = False
        """Whether the plugin was found to print no type OIDs (wal2json 2.3)."""
        self._failing_since: float | None = None
        self._attempt = 0
        self._doubts: set[str] = set()
        self._looked = False
        self._unseen: set[int] = set()

    def run(self) -> None:
        """Work until told to stop, or until `once` is done.

        Raises:
            ProducerError: an operator must act, or a fault outlived errors.retry.timeout.
        """
        try:
            self._run()
        finally:
            lost_changes.sum_up(self.counters)
            dead_letters.sum_up(self.counters, self._settings.errors_deadletterqueue_topic_name)

    def _run(self) -> None:
        stop = self._stop
        while not stop.requested:
            sink = stages.sink(self._settings)
            try:
                # Any question to the catalogue may find the connection gone.
                with explained(self._server, "asking the catalogue"):
                    if self._with(sink):
                        return
            except TemporaryError as error:
                if self._stop.requested and isinstance(error, KafkaUnavailable):
                    # Told to stop, and Kafka does not take what is in flight: not an orderly end.
                    raise
                self._back_off(sink, error)
            finally:
                sink.close(0 if self._stop.expired() else 2)
            # What an error has ended is a ring of references: its Kafka clients' threads and sockets would stay until
            # the collector comes by, and it comes rarely.
            del sink
            gc.collect()

    def _with(self, sink: Sink) -> bool:
        """One session of the sink; True when the work is done."""
        offsets = stages.offsets(self._settings, sink)
        registry = stages.registry(self._settings)
        # A plan belongs to the tables that made it: what a walker of before knows is not known here.
        connector = Connector(
            settings=self._settings, clock=self._clock, stop=self._stop, counters=self.counters, server=self._server,
            walker=Walker(), block=self._block, side=self._side,
            dead_letters=DeadLetters(self._settings, sink, self.counters), unseen=self._unseen,
        )  # fmt: skip
        tables = Tables(self._settings, sink, registry, connector.walker)
        with ExitStack() as stack:
            stack.callback(registry.close)
            source = self._look(stack, sink, registry, offsets, tables)
            connector.dead_letters.ensure([tables.topic(table.schema, table.name) for table in tables.chosen])
            handover = Handover(connector, source, tables, sink, offsets)
            if self._settings.snapshot_mode == "initial_only":
                # Nothing is remembered: there is no stream, and no offsets topic.
                handover.copy_only()
                return True
            tables.recall(offsets, source.loaded)
            start = handover.position()
            if start is None:
                return True
            self._stream(connector, source, tables, sink, offsets, start)
        return self._once or self._stop.requested

    def _look(self, stack: ExitStack, sink: Sink, registry: Registry, offsets: OffsetsTopic, tables: Tables) -> Source:
        """Everything that can be refused is refused here, before a slot is made."""
        connection = connect(self._server)
        stack.callback(connection.close)
        identity = slot.identify(connection)
        initial_only = self._settings.snapshot_mode == "initial_only"
        level = "logical" if initial_only else preflight.wal_level(connection)
        preflight.demand(preflight.server(identity, level))
        if not initial_only:
            preflight.plugin_allowed(connection, self._settings.plugin_name)
        chosen = tables.select(connection)
        relations = tables.remember(connection)
        if not self._looked:
            # Whichever of them a predecessor has produced: it cannot be asked.
            self._unseen.update(visibility.running(visibility.snapshot(connection)))
            self._looked = True
        preflight.demand(preflight.rights(connection, chosen, relations, self._server.user))
        preflight.demand(columns.refused(connection, self._server, self._settings, chosen, relations))
        self._doubt(relations)
        found = slot.find(connection, self._settings.slot_name)
        if found is not None and not initial_only:
            slot.usable(found, self._settings.plugin_name, self._server.dbname)
        sink.ping(5)
        tables.ensure_topics()
        if initial_only:
            return Source(connection, identity, found, Loaded())
        self._side.prepare(sink, registry, self._settings)
        offsets.ensure(create=True)
        return Source(connection, identity, found, offsets.load(_LOAD_SECONDS))

    def _doubt(self, relations: list[Relation]) -> None:
        """Say once what filters and masks do not do."""
        for doubt in columns.doubts(self._settings, relations):
            if doubt not in self._doubts:
                self._doubts.add(doubt)
                _log.warning(doubt, check="columns")

    def _stream(
        self, connector: Connector, source: Source, tables: Tables, sink: Sink, offsets: OffsetsTopic, start: Start
    ) -> None:
        self._remember_shapes(source.connection, tables)
        tables.stream()
        progress = Progress(offsets, start.offset, self._clock)
        try:
            self._read(connector, source, tables, sink, offsets, progress, start.later)
        except (NoTypeOids, OperatorError) as error:
            old = isinstance(error, NoTypeOids) or _OLD_PLUGIN_FAILS in error.message
            if self._type_names and isinstance(error, NoTypeOids):
                raise DecodeError(
                    "the plugin prints neither the OIDs nor the names of types",
                    remedy="install wal2json 2.5 or newer on the server",
                ) from error
            if self._type_names or not old:
                raise
            self._type_names = True
            tables.forget_plans()
            _log.warning("wal2json prints no type OIDs: beginning again with type names, which is slower")
            # What is known of the tables is of before their rows, and stays.
            await_reader_gone(source.connection, self._settings.slot_name, self._clock)
            progress = Progress(offsets, progress.position, self._clock)
            self._read(connector, source, tables, sink, offsets, progress, start.later)

    def _read(
        self,
        connector: Connector,
        source: Source,
        tables: Tables,
        sink: Sink,
        offsets: OffsetsTopic,
        progress: Progress,
        later: list[Table],
    ) -> None:
        """Stream from where `progress` stands."""
        offset = progress.position
        target = source.identity.insert_lsn.page_start() if self._once and source.identity.insert_lsn else None
        replication = connect_replication(self._server)
        stream = ReplicationStream(replication, self._server, self._clock)
        with contextlib.closing(stream):
            timeout_ms = stream.timeout_ms()
            status_seconds = self._settings.status_update_interval_ms / 1000
            if timeout_ms:
                status_seconds = min(status_seconds, timeout_ms / 1000 / _STATUS_SHARE)
            stream.on_notice(LostChanges(self.counters, tables, source.connection).notice)
            to_utf8 = encoding.to_utf8(source.connection, self._server, source.identity.encoding)
            if to_utf8 is not None:
                stream.convert(to_utf8)
            options = wal2json.options(
                tables.logged(), self._settings.skipped_operations, messages=connector.side.messages is not None,
                type_names=self._type_names,
            )  # fmt: skip
            if self._type_names:
                stream.rewrite(TypeNames(lambda name: self._type_oid(source.connection, name)).with_oids)
            known = self._start(stream, offset.lsn, options)
            tables.plans.nan_is_null = wal2json.NUMBERS_AS_STRINGS not in known
            tables.plans.signed_oids = wal2json.EMPTY_TRANSACTIONS not in known
            tables.plans.primary_told = not self._type_names
            _log.info("streaming", slot=self._settings.slot_name, start=str(offset.lsn), tables=len(tables.chosen))
            loop = StreamLoop(
                connector=connector, stream=stream, catalog=source.connection, tables=tables, sink=sink,
                progress=progress, previous_commit=offset.commit_lsn, target=target, status_seconds=status_seconds,
                started=self._recovered, offsets=offsets, wanted=later,
            )  # fmt: skip
            try:
                with explained(self._server, "asking the catalogue"), contextlib.closing(loop):
                    loop.run()
            except (PostgresUnavailable, NoTypeOids):
                # What Kafka has acked meanwhile need not come again.
                self._store_acked(progress, sink)
                raise
            self._settle(progress, sink, stream)

    def _start(self, stream: ReplicationStream, position: Lsn, options: dict[str, str]) -> Collection[str]:
        """START; the newer plugins' options that this one knows: it refuses the first that it does not."""
        newer = dict(wal2json.NEWER)
        for optional in list(newer):
            # In front, or another would be refused before it.
            if stream.start(self._settings.slot_name, position, {**newer, **options}, optional=optional):
                return newer.keys()
            del newer[optional]
        stream.start(self._settings.slot_name, position, options)
        return ()

    def _type_oid(self, connection: Connection, name: str) -> int:
        with explained(self._server, "looking for a type by its name"):
            return pg_types.type_oid(connection, name)

    def _settle(self, progress: Progress, sink: Sink, stream: ReplicationStream) -> None:
        """Nothing more is read: wait for the acks, write the position, confirm it."""
        deadline = self._clock.monotonic() + (_LOAD_SECONDS if not self._stop.requested else 8)
        # What was tracked last, a keep-alive perhaps, is not looked at yet.
        progress.step()
        # A transaction that was cut off stays open: what of it is acked comes again.
        while not progress.stored:
            sink.flush(0.02)
            progress.step()
            if progress.failure is not None:
                raise map_kafka_error(progress.failure, "delivering records")
            if self._stop.expired() or self._clock.monotonic() > deadline:
                raise KafkaUnavailable(
                    "Kafka did not ack in time; what is unconfirmed comes again at the next start",
                    remedy="are the brokers up? nothing is lost",
                )
        stream.confirm(progress.confirmable)

    def _store_acked(self, progress: Progress, sink: Sink) -> None:
        deadline = self._clock.monotonic() + _STORE_SECONDS
        while not progress.stored and progress.failure is None and self._clock.monotonic() < deadline:
            sink.flush(0.02)
            progress.step()

    def _remember_shapes(self, connection: Connection, tables: Tables) -> None:
        """Note the tables' shapes, and say aloud which of them lose changes."""
        for finding in preflight.identities(connection, tables.remember(connection)):
            if finding.status == "failed":
                _log.error(finding.detail, check=finding.name, remedy=finding.remedy)

    def _recovered(self) -> None:
        self._failing_since = None
        self._attempt = 0

    def _back_off(self, sink: Sink, error: TemporaryError) -> None:
        """Wait a little longer each time, with jitter; give up after errors.retry.timeout.

        Raises:
            TemporaryError: the time is over.
        """
        now = self._clock.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        limit = self._settings.errors_retry_timeout
        if limit >= 0 and (now - self._failing_since) * 1000 >= limit:
            raise error
        longest = self._settings.errors_retry_delay_max_ms / 1000
        if isinstance(error, SlotInUse):
            longest = min(longest, _STANDBY_SECONDS)
        seconds = min(longest, _BACKOFF_SECONDS * 2**self._attempt) * random.uniform(0.5, 1)  # noqa: S311
        self._attempt = min(self._attempt + 1, 16)
        self.counters.reconnects += 1
        _log.warning("a temporary fault", reason=error.message, remedy=error.remedy, retry_in=round(seconds, 2))
        until = now + seconds
        if limit >= 0:
            until = min(until, self._failing_since + limit / 1000)
        while self._clock.monotonic() < until and not self._stop.requested:
            sink.wait(0.1)
