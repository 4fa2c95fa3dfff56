"""Tables that are to be compared with their topics while they are streamed: a partition was emptied, or has gone.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Reconcile".
"""

from __future__ import annotations

from collections.abc import Callable

from producer import observe
from producer.errors import OperatorError, PublicationUnfit, UnsupportedEvent
from producer.lsn import Lsn
from producer.pipeline.connector import Connector
from producer.pipeline.progress import Progress
from producer.pipeline.reconcile import topic_keys
from producer.pipeline.snapshot.later import LaterReadings
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.snapshot.unread import Unread
from producer.pipeline.tables.published import Published
from producer.pipeline.tables.tables import Tables
from producer.sink.protocol import Sink
from producer.source.catalog import Table
from producer.source.wire import Connection

_log = observe.logger("producer.reconcile")


class Comparisons:
    """Has the root of such a partition read again. A crash forgets none: the position says so first."""

    def __init__(
        self,
        connector: Connector,
        catalog: Connection,
        tables: Tables,
        sink: Sink,
        marks: Marks,
        progress: Progress,
        later: LaterReadings,
        settle: Callable[[], None],
        meanwhile: Callable[[], None],
    ) -> None:
        """`settle` returns when all that was handed over can be read.

        `meanwhile` is called while it waits; it steps `progress`, and raises what ends the stream.
        """
        self._stop = connector.stop
        self._settings = connector.settings
        self._catalog = catalog
        self._tables = tables
        self._sink = sink
        self._marks = marks
        self._progress = progress
        self._later = later
        self._settle = settle
        self._meanwhile = meanwhile

    def truncated(self, partition: tuple[str, str], at: Lsn, xid: int) -> None:
        """A partition, by its names in the log, was emptied alone.

        Raises:
            UnsupportedEvent: which keys are gone cannot be told.
        """
        root = self._root(self._tables.captured_as(self._catalog, *partition))
        if root is None:
            raise UnsupportedEvent(
                f"the partition {'.'.join(partition)} was truncated at {at}: telling which keys are gone needs a "
                "comparison with the topic, for which the table needs a key, and snapshot.mode must copy tables",
                remedy="DELETE the rows instead; to go on: `pg-producer slot drop`, then a new snapshot on a new "
                "topic.prefix",
            )
        self._later.truncated(self._tables.topic_of(root), xid)
        self._compare(root, f"the partition {'.'.join(partition)} was truncated")

    def lost(self) -> None:
        """Partitions were detached or dropped since the stream knew them.

        Raises:
            UnsupportedEvent: which keys are gone cannot be told; once, then the partition is forgotten.
        """
        for names, relation in list(self._tables.lost.items()):
            leaf, table = ".".join(names), relation.qualified_name
            root = self._root((relation.schema, relation.name))
            if root is None:
                self._tables.forget(names)
                raise UnsupportedEvent(
                    f"the partition {leaf} of {table} was detached or dropped: telling which keys are gone needs a "
                    "comparison with the topic, for which the table needs a key, and snapshot.mode must copy tables",
                    remedy=f"run again to go on: its keys stay in the topic of {table}, and changes of it that were "
                    "not read yet are not sent",
                )
            self._compare(root, f"the partition {leaf} of {table} was detached or dropped")
            self._tables.forget(names)

    def returned(self, published: Published) -> None:
        """Tables were out of the publication for a while: what was changed meanwhile is in no stream.

        Raises:
            PublicationUnfit: which rows those were cannot be told; once, then the table is taken as it is.
        """
        for table in list(published.returned):
            root = self._root((table.schema, table.name))
            forgiven = published.is_forgiven(table)
            if root is not None:
                try:
                    self._compare(root, "the table was not published for a while")
                except OperatorError:
                    # Why it cannot be compared is no reason to stop for what was known to be lost.
                    if not forgiven:
                        raise
                    root = None
            if self._stop.requested:
                return
            stored = published.settled(table)
            while stored.pending and not self._stop.expired():
                self._sink.flush(0.02)
                self._meanwhile()
            self._settle()
            if root is None and forgiven:
                _log.error("updates and deletes of the table up to now may be lost", table=table.qualified_name)
            elif root is None:
                raise PublicationUnfit(
                    f"table {table.qualified_name} was not published for a while: telling what was changed meanwhile "
                    "needs a comparison with the topic, for which the table needs a key, and snapshot.mode must copy "
                    "tables",
                    remedy="run again to go on: what was changed meanwhile is not in its topic",
                )

    def _root(self, names: tuple[str, str] | None) -> Table | None:
        """The selected table of these names, where it can be compared."""
        found = next((table for table in self._tables.chosen if (table.schema, table.name) == names), None)
        return found if found and self._tables.keyed(found) and self._progress.reads_tables else None

    def _compare(self, root: Table, why: str) -> None:
        topic_keys.demand_whole(self._settings, root)
        topic_keys.demand(self._sink, [self._tables.topic_of(root)])
        _log.info(f"{why}: its table is compared with the topic", table=root.qualified_name)
        self._progress.compare_again()
        self._settle()
        while not self._progress.position.reconcile and not self._stop.requested:
            self._sink.flush(0.02)
            self._meanwhile()
        if not self._stop.requested:
            self._marks.unmark(root)
            self._later.want(Unread(root))
