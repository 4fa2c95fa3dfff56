"""PostgreSQL, looked at from end to end.

Room: commands (IO through the stages). Which lines there are, and in which order; docs/check.md says what they mean.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from producer.commands.checks.group import Look, group
from producer.errors import ProducerError
from producer.events import Relation
from producer.findings import Finding, Name
from producer.pipeline import stages
from producer.pipeline.tables import columns
from producer.pipeline.tables.published import Published
from producer.schema import avro, topics
from producer.schema.types import Modes
from producer.settings import Settings
from producer.source import catalog, platform, plugins, preflight, slot
from producer.source.catalog import Table
from producer.source.checks import capacity, link, plugin, role, server, tables, values
from producer.source.checks import slot as slot_checks
from producer.source.wire import Connection, connect

# No question of this command takes longer: it is asked in passing.
_PATIENCE = b"SET statement_timeout = '10s'"


class SourceChecks:
    """All that is to be said of the source; afterwards, the selected tables' shapes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._at = stages.server(settings)
        self._by_log = settings.reads_log
        self._platform = platform.named(settings.hosting_platform)
        self._every: list[Table] = []
        self._chosen: list[Table] = []
        self._streams = False
        """Whether a producer of ours reads the slot."""
        self.relations: list[Relation] = []
        self.is_primary = False
        """Whether the server answers, and is no standby: a standby knows nothing of our slot."""

    def findings(self) -> Iterator[Finding]:
        """Line by line; what one group cannot tell keeps none of the others from telling."""
        try:
            connection = connect(self._at)
        except ProducerError as error:
            yield Finding.of("source", error)
            return
        with connection:
            yield Finding(name="connection", status="ok", detail=self._at.where)
            release = connection.info.server_version
            # What reads whole tables needs no plugin: all of them are tested for it.
            yield server.version(release, self._settings.plugin_name if self._settings.reads_log else "pgoutput")
            if server.readable(release):
                for name, look in self._looks(connection):
                    yield from group(name, look, self._at)

    def _looks(self, connection: Connection) -> Iterator[tuple[Name, Look]]:
        yield "session settings", lambda: link.settings(connection, "an ordinary session")
        yield "hosting platform", lambda: self._hosting(connection)
        yield "primary", lambda: self._server(connection)
        yield "role", lambda: role.attributes(connection, self._at.user)
        yield "sessions", lambda: [capacity.sessions(connection, self._at, self._settings, self._platform)]
        if self._by_log:
            yield "wal_level", lambda: [preflight.log_level(preflight.wal_level(connection), self._platform)]
            yield "slot", lambda: self._slot(connection)
        yield "tables", lambda: self._tables(connection)
        if self._by_log:
            yield "plugin", lambda: self._replication(connection)
        else:
            yield "route", lambda: [self._route(connection, None)]
        if self.relations:
            yield "read rights", lambda: preflight.rights(connection, self._chosen, self.relations, self._at.user)
            yield "columns", lambda: self._columns(connection)
            if self._by_log:
                publishes = self._settings.plugin_name == "pgoutput"
                yield "identity of", lambda: preflight.identities(connection, self.relations, published=publishes)
                if publishes:
                    yield "publication", lambda: self._publication(connection)
            if self._settings.replication_method == "FULL_TABLE":
                yield "keys", lambda: preflight.keys(self.relations)
            yield "values", lambda: self._values(connection)

    def _hosting(self, connection: Connection) -> Iterator[Finding]:
        connection.execute(_PATIENCE)
        found = platform.hosting(connection, self._settings.hosting_platform)
        self._platform = found.platform
        yield from server.hosting(found, self._settings)

    def _server(self, connection: Connection) -> Iterator[Finding | ProducerError]:
        identity = slot.identify(connection)
        self.is_primary = not identity.in_recovery
        yield preflight.primary(identity)
        encoded = preflight.encoded(identity)
        yield encoded if isinstance(encoded, Finding) else Finding.of("encoding", encoded)
        yield server.clock(connection)

    def _slot(self, connection: Connection) -> Iterator[Finding]:
        found = slot.find(connection, self._settings.slot_name)
        self._streams = found is not None and found.active_pid is not None and found.reader == self._at.application_name
        yield from slot_checks.state(connection, found, self._settings, self._at)
        yield from slot_checks.budget(connection, found, self._settings, self._platform)
        yield from slot_checks.timeouts(connection, self._platform)
        room = capacity.room(connection)
        yield from capacity.replication(room, self._platform, has_slot=found is not None, streams=self._streams)
        yield from capacity.transactions(connection, has_slot=found is not None)

    def _replication(self, connection: Connection) -> Iterator[Finding | ProducerError]:
        name, release = self._settings.plugin_name, connection.info.server_version
        allowed = plugins.allowed(connection)
        yield from plugin.allowance(release, name, allowed, self._platform)
        right, walsender = plugin.walsender(connection, self._at, self._platform, streams=self._streams)
        yield right
        tried: list[Finding] = []
        # pgoutput is part of the server, unless it is hidden from us that it is not allowed.
        other: plugin.Standing | None = "usable" if name != "pgoutput" and not allowed.hidden else None
        if walsender is None:
            yield self._route(connection, None)
        else:
            with contextlib.closing(walsender):
                yield self._route(connection, walsender)
                yield from (one for one in link.settings(walsender, "the replication session") if one.status != "ok")
                room = capacity.room(connection)
                if (
                    self.is_primary
                    and preflight.wal_level(connection) == "logical"
                    and room.slots < room.most_slots
                    and allowed.allows(name)
                ):
                    tried += plugin.tried(walsender, self._at, name, allowed, self._platform)
                    if name == "pgoutput" and allowed.allows("wal2json"):
                        other = plugin.standing(walsender, "wal2json")
        yield from tried or [plugin.untried(name, streams=self._streams)]
        prints_nan = plugin.prints_nan(tried)
        yield from plugin.losses(release, name, allowed, prints_nan, other)
        yield from preflight.messages(release, self._settings)
        if prints_nan is False:
            yield from plugin.hidden_numbers(self.relations)

    def _publication(self, connection: Connection) -> Iterator[Finding | ProducerError]:
        found = slot.find(connection, self._settings.slot_name)
        published = Published(connection, self._at, self._settings, self._chosen, self.relations, found)
        refused = list(published.refused())
        yield from refused
        if not refused:
            yield Finding(name="publication", status="ok", detail=published.described)
        yield from published.breaking()

    def _route(self, connection: Connection, walsender: Connection | None) -> Finding:
        with connect(self._at) as second:
            sessions = [connection, second, *([walsender] if walsender is not None else [])]
            places = [link.place(session) for session in sessions]
            return link.between(places, [link.place(connection).pid for _ in range(2)])

    def _tables(self, connection: Connection) -> Iterator[Finding | ProducerError]:
        settings = self._settings
        self._every = catalog.tables(connection)
        self._chosen = catalog.selected(self._every, settings.wants_table)
        yield from tables.chosen(self._every, self._chosen, settings)
        yield from tables.not_captured(connection, self._every, settings)
        topics.check_collisions(
            settings.topic_prefix, [(table.schema, table.name) for table in self._chosen], settings.offset_storage_topic
        )
        self.relations = catalog.captured(connection, self._chosen, settings)
        yield from tables.partitions(connection, self._every, self._chosen, self.relations)

    def _columns(self, connection: Connection) -> Iterator[Finding | ProducerError]:
        yield from columns.refused(connection, self._at, self._settings, self._chosen, self.relations)
        for doubt in columns.doubts(self._settings, self.relations):
            yield Finding(name="columns", status="warning", detail=doubt, remedy="see docs/filters.md")

    def _values(self, connection: Connection) -> Iterable[Finding]:
        modes = Modes.of(self._settings)
        whole = {table.oid for table in self._chosen if table.usable and not table.unreadable and not table.filtered}
        yield from values.array_depths(
            connection,
            self._at,
            [relation for relation in self.relations if relation.oid in whole],
            lambda column: avro.column_type(column, modes).array_depth if column.sent else 0,
        )
        yield from values.money(self._at, self.relations)
        yield from values.virtual_columns(connection, self._chosen)
