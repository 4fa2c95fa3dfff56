"""One session of the stream: START, the loop, and what is stored and confirmed behind it.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "When may the LSN advance", "Exactly once".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from functools import partial

from producer import observe
from producer.acks import Group
from producer.decode import pgoutput, wal2json
from producer.decode.type_names import TypeNames
from producer.decode.wal2json import NoTypeOids
from producer.errors import (
    DataError,
    DecodeError,
    KafkaUnavailable,
    OperatorError,
    PostgresUnavailable,
    SlotInUse,
)
from producer.lsn import ZERO, Lsn
from producer.pipeline import exactly_once
from producer.pipeline.connector import Connector
from producer.pipeline.exactly_once import CommittedProgress
from producer.pipeline.progress import Progress
from producer.pipeline.snapshot.handover import Source, Start
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.snapshot.unread import Unread
from producer.pipeline.stream.dialects import Dialect, Records, Tuples
from producer.pipeline.stream.loop import StreamLoop
from producer.pipeline.stream.lost_changes import LostChanges
from producer.pipeline.tables.tables import Tables
from producer.sink.offsets import Offset, OffsetsTopic
from producer.sink.protocol import Sink
from producer.sink.verdicts import map_kafka_error
from producer.source import encoding, pg_types, preflight, slot
from producer.source.replication import ReplicationStream
from producer.source.wire import connect_replication, explained

_log = observe.logger("producer.stream")

_SETTLE_SECONDS = 30.0
_STOP_SECONDS = 8.0
# Whoever waits longer than this for an end is told why.
_SILENT_SECONDS = 1.0
_STATUS_SHARE = 3
_STORE_SECONDS = 3.0
# For an answer beside the stream, where the server has no patience of its own.
_ANSWER_SECONDS = 60.0
# What wal2json 2.3 does where a transaction replaces a primary key before its first row, and was asked for that key.
_OLD_PLUGIN_FAILS = "could not find pg_class tuple for index"


class StreamSession:
    """Of one sink, and one look at the source.

    `began` is called once the slot is ours, `started` once the server talks.
    """

    def __init__(
        self,
        *,
        connector: Connector,
        source: Source,
        tables: Tables,
        sink: Sink,
        offsets: OffsetsTopic,
        marks: Marks,
        once: bool,
        type_names: bool,
        began: Callable[[], None],
        started: Callable[[], None],
    ) -> None:
        self._connector = connector
        self._settings = connector.settings
        self._server = connector.server
        self._clock = connector.clock
        self._stop = connector.stop
        self._source = source
        self._tables = tables
        self._sink = sink
        self._offsets = offsets
        self._marks = marks
        self._once = once
        self.type_names = type_names
        """Whether the plugin was found to print no type OIDs (wal2json 2.3)."""
        self._began = began
        self._started = started
        self._own = partial(exactly_once.own, sink, offsets, source.loaded, connector.clock, connector.stop)

    def run(self, start: Start) -> None:
        """Stream from `start` until told to stop, or until the connector is to begin again.

        Raises:
            ProducerError: what ended it; nothing unacked was confirmed.
        """
        self._remember_shapes()
        self._tables.stream()
        published, loaded = self._source.published, self._source.loaded
        if published is not None:
            later = {unread.table.oid for unread in start.later}
            published.begin(self._offsets, loaded, later, compares=start.offset.reconcile)
        elif loaded.published:
            # What becomes of the publication meanwhile does not matter.
            self._offsets.write_published(None, Group())
        progress = self._progress(start.offset)
        try:
            self._read(progress, start.later)
        except (NoTypeOids, OperatorError) as error:
            old = isinstance(error, NoTypeOids) or _OLD_PLUGIN_FAILS in error.message
            if self.type_names and isinstance(error, NoTypeOids):
                raise DecodeError(
                    "the plugin prints neither the OIDs nor the names of types",
                    remedy="install wal2json 2.5 or newer on the server",
                ) from error
            if self.type_names or not old:
                raise
            self.type_names = True
            self._tables.forget_plans()
            _log.warning("wal2json prints no type OIDs: beginning again with type names, which is slower")
            # What is known of the tables is of before their rows, and stays.
            slot.await_reader_gone(self._source.connection, self._settings.slot_name, self._clock)
            if self._sink.transactions is not None:
                self._store_acked(progress)
                if not progress.stored:
                    raise KafkaUnavailable("Kafka did not commit in time", remedy="are the brokers up?") from error
            progress = self._progress(progress.position)
            self._read(progress, start.later)

    def _progress(self, start: Offset) -> Progress:
        settings = self._settings
        if self._sink.transactions is None:
            return Progress(self._offsets, start, self._clock, self._connector.counters)
        names = self._tables.logged() or [(table.schema, table.name) for table in self._tables.chosen]
        progress = CommittedProgress(
            self._offsets, start, self._clock, self._sink.transactions,
            interval_s=settings.transaction_boundary_interval_ms / 1000, mark=exactly_once.fingerprint(settings, names),
            acks=self._connector.counters,
        )  # fmt: skip
        if start.part is not None and progress.resumed is None:
            _log.warning(
                "the selection has changed: the transaction that was sent in part is sent again whole",
                commit_lsn=str(start.part.commit_lsn), events=start.part.ordinal,
            )  # fmt: skip
        return progress

    def _read(self, progress: Progress, later: list[Unread]) -> None:
        """Stream from where `progress` stands."""
        offset, end = progress.position, self._source.identity.insert_lsn
        target = end.page_start() if self._once and end else None
        catalog = self._source.connection
        stream = ReplicationStream(connect_replication(self._server), self._server, self._clock)
        with contextlib.closing(stream):
            stream.patience = patience = stream.timeout_ms() / 1000
            status_seconds = self._settings.status_update_interval_ms / 1000
            if patience:
                status_seconds = min(status_seconds, patience / _STATUS_SHARE)
            # Meanwhile the stream is not kept alive.
            catalog.answer_within(patience or _ANSWER_SECONDS)
            published = self._source.published
            lost_changes = LostChanges(self._connector.counters, self._tables, catalog)
            stream.on_notice(lost_changes.notice if published is None else published.notice)
            dialect, options = self._dialect(stream)
            known = self._start(stream, offset.lsn, options)
            self._demand_place(offset.lsn)
            self._own(lambda: stream.stay_alive(status_seconds))
            self._began()
            if self._settings.plugin_name == "wal2json":
                self._tables.plans.nan_is_null = wal2json.NUMBERS_AS_STRINGS not in known
                self._tables.plans.signed_oids = wal2json.EMPTY_TRANSACTIONS not in known
                self._tables.plans.primary_told = not self.type_names
            else:
                self._tables.plans.nan_is_null = self._tables.plans.signed_oids = False
            condition = self._connector.counters.condition
            condition.enter("streaming", self._clock.monotonic())
            condition.patience = patience
            # Whoever reads this finds it in what is told over HTTP, too.
            _log.info(
                "streaming", slot=self._settings.slot_name, start=str(offset.lsn), tables=len(self._tables.chosen)
            )
            loop = StreamLoop(
                connector=self._connector, stream=stream, dialect=dialect, catalog=catalog, tables=self._tables,
                published=published, sink=self._sink,
                progress=progress, previous_commit=offset.commit_lsn, target=target, status_seconds=status_seconds,
                started=self._started, marks=self._marks, wanted=later,
            )  # fmt: skip
            try:
                with explained(self._server, "asking the catalogue"), contextlib.closing(loop):
                    loop.run()
                    if published is not None:
                        published.demand()
            except (PostgresUnavailable, NoTypeOids, DataError):
                # What Kafka has acked meanwhile need not come again; and what lies before a row that stops us is
                # not to be read while its Kafka transaction is open.
                if not stream.lapsed:
                    self._store_acked(progress)
                raise
            self._settle(progress, stream)

    def _dialect(self, stream: ReplicationStream) -> tuple[Dialect, dict[str, str]]:
        """How the plugin talks, and the options that it is asked with."""
        catalog, settings, tables = self._source.connection, self._settings, self._tables
        messages = self._connector.side.messages is not None
        published = self._source.published
        if published is not None:
            # It converts text by itself.
            told = Tuples(self._connector.walker, settings.skipped_operations, catalog, tables)
            return told, pgoutput.options(published.names, messages=messages)
        to_utf8 = encoding.to_utf8(catalog, self._server, self._source.identity.encoding)
        if to_utf8 is not None:
            stream.convert(to_utf8)
        if self.type_names:
            stream.rewrite(TypeNames(self._type_oid).with_oids)
        options = wal2json.options(
            tables.logged(), settings.skipped_operations, messages=messages, type_names=self.type_names
        )
        return Records(), options

    def _start(self, stream: ReplicationStream, position: Lsn, options: dict[str, str]) -> Collection[str]:
        """START; the newer plugins' options that this one knows: it refuses the first that it does not."""
        newer = dict(wal2json.NEWER) if self._settings.plugin_name == "wal2json" else {}
        for optional in list(newer):
            # In front, or another would be refused before it.
            if stream.start(self._settings.slot_name, position, {**newer, **options}, optional=optional):
                return newer.keys()
            del newer[optional]
        stream.start(self._settings.slot_name, position, options)
        return ()

    def _demand_place(self, position: Lsn) -> None:
        """Now that the slot is ours, nobody moves it: the server would go on from where it stands, and say nothing.

        Raises:
            SlotInUse: it was moved between our look and the START: the next look tells whether data is gone.
        """
        found = slot.find(self._source.connection, self._settings.slot_name)
        if found is not None and (found.confirmed_lsn or ZERO) > position:
            raise SlotInUse(
                f"the replication slot {found.name} was moved to {found.confirmed_lsn} before we had it; ours is "
                f"{position}",
                remedy="we look again",
            )

    def _type_oid(self, name: str) -> int:
        with explained(self._server, "looking for a type by its name"):
            return pg_types.type_oid(self._source.connection, name)

    def _settle(self, progress: Progress, stream: ReplicationStream) -> None:
        """Nothing more is read: wait for the acks, write the position, confirm it."""
        stream.refuse_lapse()
        since = self._clock.monotonic()
        deadline = since + (_SETTLE_SECONDS if not self._stop.requested else _STOP_SECONDS)
        told = False
        # What was tracked last, a keep-alive perhaps, is not looked at yet.
        progress.end()
        # A transaction that was cut off stays open: what of it is acked comes again.
        while not progress.stored:
            self._sink.flush(0.02)
            progress.step()
            if progress.failure is not None:
                raise map_kafka_error(progress.failure, "delivering records")
            now = self._clock.monotonic()
            if self._stop.requested and not told and now - since > _SILENT_SECONDS:
                told = True
                _log.info("waiting for Kafka's acks before we end; a second signal ends at once")
            if self._stop.expired() or now > deadline:
                raise KafkaUnavailable(
                    "Kafka did not ack in time; what is unconfirmed comes again at the next start",
                    remedy="are the brokers up? nothing is lost",
                )
        self._connector.counters.lag.acked(progress.delivered, self._clock.time_us)
        stream.confirm(progress.confirmable)

    def _store_acked(self, progress: Progress) -> None:
        deadline = self._clock.monotonic() + _STORE_SECONDS
        if progress.failure is not None:
            return
        progress.end()
        while not progress.stored and progress.failure is None and self._clock.monotonic() < deadline:
            self._sink.flush(0.02)
            progress.step()

    def _remember_shapes(self) -> None:
        """Note the tables' shapes, and say aloud which of them lose changes."""
        connection = self._source.connection
        published = self._source.published
        found = list(
            preflight.identities(connection, self._tables.remember(connection), published=published is not None)
        )
        for finding in [*found, *(published.breaking() if published is not None else ())]:
            if finding.status == "failed":
                _log.error(finding.detail, check=finding.title, remedy=finding.remedy)
