"""How the selected tables are published: put right at the start, remembered, watched while we stream.

Room: pipeline (IO through the stages it is given). docs/publications.md; docs/DESIGN.md, "Publications".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from psycopg import sql

from producer import observe
from producer.acks import Group
from producer.errors import PostgresUnavailable, ProducerError, PublicationLost
from producer.events import Relation
from producer.findings import Finding
from producer.settings import Settings
from producer.sink.offsets import Loaded, OffsetsTopic
from producer.source import catalog, preflight
from producer.source.catalog import Table
from producer.source.publication import doing, found, refusals, steps, writers
from producer.source.publication.found import Names
from producer.source.publication.writers import Writers
from producer.source.slot import Slot
from producer.source.wire import PUBLICATION_LOST, Connection, Server

_log = observe.logger("producer.publication")

# PostgreSQL 18 goes on where older ones fail; its words are in the server's language.
_SKIPPED = "55000"


class Published:
    """Of one session. Nothing is changed before `make`."""

    def __init__(
        self,
        connection: Connection,
        server: Server,
        settings: Settings,
        chosen: Sequence[Table],
        relations: Sequence[Relation],
        slot: Slot | None,
    ) -> None:
        """`relations` are the shapes of the chosen tables, those of their partitions among them."""
        self._connection = connection
        self._server = server
        self._settings = settings
        self._chosen = chosen
        self._oids = {relation.oid for relation in relations} | {table.oid for table in chosen}
        self._leaves = {r.oid: r.logged_names for r in relations if r.logged_as is not None}
        self._names = Names.of(settings.publication_name)
        self._tables = steps.wanted(chosen, relations)
        self._recovers = settings.snapshot_mode == "when_needed"
        self._states = found.states(connection, self._names, self._oids)
        self._digest = ""
        self._found = found.find(connection, self._names)
        missing = self._names.main not in self._found
        self.lost: PublicationLost | None = None
        """The slot stands before the publication that is still to be made."""
        if slot is not None and missing:
            self.lost = PublicationLost(
                f"there is no publication {self._names.main}, and the slot {slot.name} stands at {slot.confirmed_lsn}, "
                "before any that could be made now",
                remedy=PUBLICATION_LOST,
            )
        mode = settings.publication_autocreate_mode
        new_slot = slot is None or self.lost is not None
        self._planned = steps.steps(self._found, self._names, mode, self._tables, new_slot=new_slot)
        self._writers: Writers | None = None
        self._skipped = ""
        self._offsets: OffsetsTopic | None = None
        self._remembered: dict[int, int] = {}
        self._later: set[int] = set()
        self.returned: list[Table] = []
        """Tables that were not published for a while: what was changed meanwhile is in no stream."""

    def make_empty(self) -> None:
        """With `no_tables`, that one is made before it is refused for what it lacks: the refusal says what to add."""
        if self._settings.publication_autocreate_mode == "no_tables" and (self.lost is None or self._recovers):
            preflight.demand(refusals.rights(self._connection, self._found, self._planned, self._server.user))
            self._do()

    def refused(self) -> Iterator[ProducerError]:
        """Why it cannot be put right."""
        if self.lost is not None and not self._recovers:
            yield self.lost
        mode, version = self._settings.publication_autocreate_mode, self._connection.info.server_version
        bare = found.without_identity(self._connection) if mode == "all_tables" and self._planned.transactions else []
        yield from refusals.exposed(bare, self._planned)
        yield from refusals.refused(
            self._found, self._names, mode, self._tables, self._leaves, self._settings.skipped_operations,
            self._planned, version,
        )  # fmt: skip
        yield from refusals.rights(self._connection, self._found, self._planned, self._server.user)

    def make(self, loaded: Loaded) -> None:
        """Put it right; tables that we published and that are not selected any more are taken out.

        Raises:
            PostgresUnavailable: somebody else changes it at this moment.
        """
        main = self._names.main
        self._do()
        self._leave(loaded.published)
        if any(self._membership(table) is None for table in self._chosen):
            raise PostgresUnavailable(
                f"PostgreSQL {self._server.where}: the publication {main} was changed while we looked at it",
                remedy="we look again",
            )
        again = steps.again(self._found.values(), self._chosen)
        refused = refusals.rights(self._connection, self._found, again, self._server.user)
        touches = writers.believes(self._connection.info.server_version) and not any(refused)
        self._writers = Writers(self._touch if touches else None)

    def _touch(self, tables: Collection[int]) -> None:
        """Take tables out and put them in again. What it is that puts them in has changed then, and nothing else."""
        self._planned = steps.again(self._found.values(), [table for table in self._chosen if table.oid in tables])
        self._do()
        self._remembered |= {t.oid: self._membership(t) or 0 for t in self._chosen if t.oid in tables}
        if self._offsets is not None:
            self._offsets.write_published(self._remembered, Group())

    def _do(self) -> None:
        if self._planned.transactions:
            doing.do(self._connection, self._server, self._planned)
            for step in self._planned:
                tables = [table.qualified_name for table in step.tables]
                _log.info("the publication was altered", publication=step.publication, what=step.verb, tables=tables)
            self._planned = steps.Steps()
            self._states = found.states(self._connection, self._names, self._oids)
            self._found = found.find(self._connection, self._names)

    def _leave(self, remembered: Mapping[int, int]) -> None:
        """Only what we have put in, and nobody but us reads by."""
        main = self._found.get(self._names.main)
        gone = remembered.keys() - {table.oid for table in self._chosen}
        if self._settings.publication_autocreate_mode != "filtered" or main is None or not gone:
            return
        tables = [table for table in catalog.tables(self._connection) if table.oid in gone]
        tables = [table for table in tables if remembered[table.oid] == self._membership(table)]
        owned = [publication for publication in self._found.values() if publication.owned]
        for publication in owned:
            planned = steps.leaving(publication, tables)
            if not planned.transactions:
                continue
            script = planned.script(self._connection.info.server_version)
            if found.shared(self._connection, self._settings.slot_name):
                _log.info(
                    "tables that are not selected any more stay in the publication: another slot may be read by it",
                    publication=publication.name, remedy=script,
                )  # fmt: skip
                continue
            self._planned = planned
            self._do()

    @property
    def names(self) -> list[str]:
        """What START is told."""
        return [name for name in self._names if name in self._found]

    @property
    def described(self) -> str:
        """For `check`."""
        if self._names.main not in self._found:
            return f"{self._names.main} will be made by the first run"
        inserts = sum(not one.whole for one in self._tables)
        words = f"{self._names.main} publishes {len(self._tables)} selected tables"
        words += f", {inserts} of them their inserts alone" if inserts else ""
        return words + (", once the first run has altered it" if self._planned.transactions else "")

    def breaking(self) -> Iterator[Finding]:
        """Tables that are published for UPDATE and DELETE without an identity: their writers' statements fail now."""
        main = self._found.get(self._names.main)
        for one in self._tables:
            if main is None or main.membership(one.table) is None or not main.operations & {"u", "d"}:
                continue
            for schema, name in one.bare:
                yield Finding(
                    name="writers of",
                    about=f"{schema}.{name}",
                    status="failed",
                    detail=f"{main.name} publishes it without a replica identity: every UPDATE and DELETE of it fails",
                    remedy=f"ALTER TABLE {sql.Identifier(schema, name).as_string()} REPLICA IDENTITY FULL;  "
                    "(or give it a primary key)",
                )

    def remember(self, offsets: OffsetsTopic) -> None:
        """The slot is new, and the first snapshot is to be copied: what the tables are published by is remembered."""
        memberships = {table.oid: self._membership(table) for table in self._chosen}
        offsets.write_published({oid: of for oid, of in memberships.items() if of is not None}, Group())

    def begin(self, offsets: OffsetsTopic, loaded: Loaded, later: Collection[int], *, compares: bool) -> None:
        """The stream begins: what it reads by is remembered. `later` are the tables that are still to be read, by OID.

        A table that was out of the publication, or of the selection, while we ran or not, is to be read again
        and compared; `compares`: those of `later` are in any case.
        """
        self._offsets = offsets
        self._later = set(later)
        before = loaded.published
        for table in self._chosen:
            is_known = table.oid in before or (bool(before) and table.qualified_name in loaded.tables)
            then, now = before.get(table.oid, 0), self._membership(table) or 0
            # One that lost its identity: its inserts are still published, and the rest failed until it was moved.
            same = then == now or now < 0 < then
            if is_known and not same and not (compares and table.oid in later):
                self.returned.append(table)
        waiting = {table.oid for table in self.returned}
        memberships = {table.oid: self._membership(table) for table in self._chosen}
        self._remembered = {oid: of for oid, of in memberships.items() if of is not None and oid not in waiting}
        # As they were: a crash on the way forgets none.
        self._remembered |= {oid: before.get(oid, 0) for oid in waiting}
        # What becomes of one that has left is not read by us: it is to be compared when it comes back.
        left = before.keys() - memberships.keys()
        there = found.states(self._connection, self._names, left) if left else {}
        self._remembered |= dict.fromkeys(left & there.keys(), 0)
        offsets.write_published(self._remembered, Group())

    def is_forgiven(self, table: Table) -> bool:
        """Whether to go on where it cannot be compared: what was lost was told, or it is read again anyway."""
        return self._remembered.get(table.oid, 0) < 0 or table.oid in self._later

    def settled(self, table: Table) -> Group:
        """What the table missed is taken care of: it is remembered as it is. Returns what is to be waited for."""
        group = Group()
        self.returned = [other for other in self.returned if other.oid != table.oid]
        self._remembered[table.oid] = self._membership(table) or 0
        if self._offsets is not None:
            self._offsets.write_published(self._remembered, group)
        return group

    def ready(self, connection: Connection, table: Table, others: Collection[int]) -> bool:
        """Whether a snapshot of now shows all of the table that no stream holds; `others` will be asked for, too."""
        return self._writers is None or self._writers.gone(connection, table.oid, others)

    def changed(self, connection: Connection) -> bool:
        """Whether somebody has changed the publication, or a table's part in it or its identity, since `make`."""
        digest = found.digest(connection, self._names, self._oids)
        if digest == self._digest:
            return False
        self._digest = digest
        now = found.states(connection, self._names, self._oids)
        # A table that was dropped is no change.
        gone = any(oid < 0 for oid in self._states.keys() - now.keys())
        return gone or any(self._states.get(oid) != state for oid, state in now.items())

    def notice(self, state: str, text: str) -> None:
        """Take a notice of the server's. It does not raise: the driver would only log it."""
        if state == _SKIPPED:
            self._skipped = text

    def demand(self) -> None:
        """Refuse to go on where the server has left changes out.

        Raises:
            PublicationLost: it has.
        """
        if self._skipped:
            raise PublicationLost(
                f"PostgreSQL {self._server.where}: {self._skipped}: it was not there in some part of the log",
                remedy=PUBLICATION_LOST,
            )

    def _membership(self, table: Table) -> int | None:
        """What puts the table in, by its OID; below 0 where its inserts alone are published."""
        main, inserts = (self._found.get(name) for name in self._names)
        by_main = main.membership(table) if main is not None else None
        if by_main is not None:
            return by_main
        by_inserts = inserts.membership(table) if inserts is not None else None
        return None if by_inserts is None else -by_inserts
