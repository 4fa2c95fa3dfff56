"""What the stream knew of its tables when it ended: their shapes, kept in the offsets topic.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Schema changes".
The catalogue tells of now only: of a table that was renamed, dropped or detached while nobody
looked, and of the shape that its rows in the log have, it tells nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from producer.acks import Group
from producer.events import Relation
from producer.sink.offsets import OffsetsTopic
from producer.source import catalog
from producer.source.catalog import Table
from producer.source.wire import Connection

Names = tuple[str, str]


class ShapeMemory:
    """The shape that the stream walked last, of each table and partition, by its names in the log."""

    def __init__(self) -> None:
        self.shapes: dict[Names, Relation] = {}
        self._offsets: OffsetsTopic | None = None
        self._unread: set[int] = set()
        """Tables whose rows are still to be copied: they are not known yet."""
        self._read: set[int] = set()
        """Tables whose rows were copied in this session."""

    def recall(self, offsets: OffsetsTopic, shapes: Mapping[Names, Relation]) -> None:
        """Take what was stored, and store what is noted from now on."""
        self._offsets = offsets
        self.shapes = dict(shapes)

    def note(self, relation: Relation) -> None:
        """Store a shape. Nothing waits for the ack: it is as true after a crash as the one before."""
        names = relation.logged_names
        known = self.shapes.get(names)
        if self._offsets is None or relation.oid in self._unread or known == relation:
            return
        if known is not None and known.oid != relation.oid and relation.oid not in self._read:
            # Another table bears the name since: the difference tells that its rows are to be copied.
            return
        self.shapes[names] = relation
        self._offsets.write_shape(names, relation, Group())

    def forget(self, names: Names) -> None:
        """The table is known no more."""
        if self.shapes.pop(names, None) is not None and self._offsets is not None:
            self._offsets.write_shape(names, None, Group())

    def unread(
        self, connection: Connection, chosen: Iterable[Table], leaves: Sequence[Table], marked: Collection[str]
    ) -> list[Table]:
        """The tables whose rows are to be copied; they are not known before `were_read`.

        Those without a mark; those that bear another's name since; partitions that were attached since,
        with the rows that they had. A partition that was made as one is streamed from its first row.
        """
        found = [
            table
            for table in chosen
            if table.qualified_name not in marked or self._known(table) not in (None, table.oid)
        ]
        whole = {table.oid for table in found}
        roots = {table.oid for table in chosen if self._known(table) == table.oid}
        new = [
            leaf
            for leaf in leaves
            if leaf.root_oid in roots - whole and self._known(leaf) != leaf.oid and leaf.qualified_name not in marked
        ]
        attached = catalog.attached(connection, [leaf.oid for leaf in new])
        found += [leaf for leaf in new if leaf.oid in attached]
        self._unread = {table.oid for table in found}
        return found

    def were_read(self) -> None:
        """The rows of all tables are acked."""
        self._read |= self._unread
        self._unread.clear()

    def lost_partitions(self, selected: Iterable[Table], leaves: Collection[int]) -> dict[Names, Relation]:
        """The partitions that selected tables have no more, detached or dropped: their keys are in the topic."""
        roots = {(table.schema, table.name): table.oid for table in selected if table.partitioned}
        found = {}
        for names, relation in self.shapes.items():
            root = (relation.schema, relation.name)
            same = root in roots and root in self.shapes and self.shapes[root].oid == roots[root]
            if relation.logged_as is not None and relation.oid not in leaves and same:
                found[names] = relation
        return found

    def _known(self, table: Table) -> int | None:
        relation = self.shapes.get((table.schema, table.name))
        return None if relation is None else relation.oid
