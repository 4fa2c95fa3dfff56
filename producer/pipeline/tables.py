"""The selected tables: relation -> topic -> registered schemas -> plan in the walker.

Room: pipeline (IO through the stages it is given).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from producer import observe
from producer.decode.wal2json import RowShape
from producer.errors import ConversionError, ServerNotReady
from producer.events import Column, Relation
from producer.schema import avro, plan, shape, topics
from producer.schema.registry import Registry
from producer.settings import Settings
from producer.sink.protocol import Sink
from producer.source import catalog
from producer.source.catalog import Table
from producer.source.wire import Connection
from producer.transcode.plan import TablePlan
from producer.transcode.walker import Walker

_log = observe.logger("producer.tables")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One shape of one table, ready to be walked."""

    relation: Relation
    schemas: avro.TableSchema
    plan: TablePlan


class Tables:
    """Which tables are captured, and how the rows of each are walked at this moment."""

    def __init__(self, settings: Settings, sink: Sink, registry: Registry, walker: Walker) -> None:
        self._settings = settings
        self._sink = sink
        self._registry = registry
        self._walker = walker
        self._shapes: dict[tuple[str, str], Shape] = {}
        self._baseline: dict[tuple[str, str], Relation] = {}
        """What each table looked like when we began to stream: it tells of columns dropped since."""
        self._not_ours: set[tuple[str, str]] = set()
        self.chosen: list[Table] = []
        self.nan_is_null = True
        """Whether the plugin prints NaN as null (wal2json before 2.6)."""
        self.signed_oids = True
        """Whether it prints an OID above 2^31 as a negative number (before 2.7)."""

    def select(self, connection: Connection) -> list[Table]:
        """Read which tables are selected now, and make sure of their topics.

        Raises:
            SettingsError: no table is selected, or two would share a topic.
            ServerNotReady: a partition's columns stand in another order than its root's.
        """
        every = catalog.tables(connection)
        self.chosen = catalog.selected(every, self._settings.wants_table)
        topics.check_collisions(self._settings.topic_prefix, [(t.schema, t.name) for t in self.chosen])
        if not self.chosen:
            raise ServerNotReady(
                f"no table is selected of the {len(every)} in {self._settings.database_dbname}",
                remedy="look at schema.include.list and table.include.list (regular expressions on "
                "schema and schema.table); is database.dbname the right database?",
            )
        return self.chosen

    def ensure_topics(self) -> None:
        """Create the topics of the selected tables that are missing."""
        settings = self._settings
        config = {**settings.topic_creation_config}
        config.setdefault("cleanup.policy", settings.topic_creation_default_cleanup_policy)
        self._sink.ensure_topics(
            [self.topic(table.schema, table.name) for table in self.chosen],
            partitions=settings.topic_creation_default_partitions,
            replication_factor=settings.topic_creation_default_replication_factor,
            config=config,
            create=settings.topic_creation_enable,
        )

    def topic(self, schema: str, table: str) -> str:
        """The topic of a table."""
        return topics.topic_name(self._settings.topic_prefix, schema, table)

    def prepare(self, connection: Connection, wanted: Sequence[Table]) -> dict[int, Shape]:
        """The shapes that tables have now, registered, by oid; tables dropped meanwhile are missing."""
        relations = catalog.relations(connection, wanted)
        return dict(zip(relations, self._register(list(relations.values())), strict=True))

    def remember(self, connection: Connection) -> list[Relation]:
        """The shapes that the selected tables have now, kept for rows that are read later."""
        now = catalog.captured(connection, self.chosen)
        self._baseline = {relation.logged_names: relation for relation in now}
        return now

    def grown(self, connection: Connection) -> list[Table]:
        """The tables that appeared in the selection since it was read."""
        known = {(table.oid, table.schema, table.name) for table in self.chosen}
        now = catalog.selected(catalog.tables(connection), self._settings.wants_table)
        return [table for table in now if (table.oid, table.schema, table.name) not in known]

    def logged(self) -> list[tuple[str, str]] | None:
        """The names to ask the plugin for; None: all of them, to be sifted by `wants`."""
        if any(table.partitioned for table in self.chosen):
            return None
        return [(table.schema, table.name) for table in self.chosen]

    def wants(self, connection: Connection, schema: str, name: str) -> bool:
        """Whether a logged row is of a selected table, or of a partition of one, made just now perhaps."""
        names = (schema, name)
        if names in self._not_ours:
            return False
        if names in self._shapes or names in self._baseline or self._table(connection, schema, name) is not None:
            return True
        self._not_ours.add(names)
        return False

    def is_partition(self, schema: str, name: str) -> bool:
        """Whether the name is a partition's."""
        known = self._baseline.get((schema, name))
        return known is not None and known.logged_as is not None

    def _table(self, connection: Connection, schema: str, name: str) -> tuple[Table, Table] | None:
        """A selected table, or a partition, and the selected table that it is part of."""
        every = catalog.tables(connection)
        roots = catalog.leaves(every, self.chosen)
        table = next((table for table in every if (table.schema, table.name) == (schema, name)), None)
        if table is None:
            return None
        if table.oid in roots:
            return table, roots[table.oid]
        return (table, table) if any(table.oid == chosen.oid for chosen in self.chosen) else None

    def current(self, connection: Connection, schema: str, name: str) -> Shape:
        """The shape that a table's rows were walked by last, or else the one it has now.

        Raises:
            ConversionError: the table is gone.
        """
        if (schema, name) not in self._shapes:
            table = next((t for t in self.chosen if (t.schema, t.name) == (schema, name)), None)
            shapes = self.prepare(connection, [table]) if table else {}
            if not shapes:
                raise ConversionError(
                    f"table {schema}.{name} was dropped before its TRUNCATE was read, and its shape is not known",
                    remedy="leave the table out with table.exclude.list",
                )
            self.install(next(iter(shapes.values())))
        return self._shapes[schema, name]

    def walked(self, plan: TablePlan) -> Shape:
        """The shape whose plan the walker followed."""
        return next(shape for shape in self._shapes.values() if shape.plan is plan)

    def install(self, shape: Shape) -> None:
        """Walk the table's rows by this shape from now on."""
        self._shapes[shape.relation.logged_names] = shape
        self._walker.install(shape.plan)

    def reshape(self, connection: Connection, row: RowShape, *, look: bool = False) -> tuple[Shape, tuple[Column, ...]]:
        """Find the shape of a row that did not match its plan, and walk by it from now on.

        Beside it: the columns whose large, unchanged values the row lacks. A row that lacks nothing
        else is taken for what it seems: reading those columns again shows whether they are still
        there, and `look` asks the catalogue.

        The row's own names and type OIDs decide; the catalogue, which may be ahead of the log,
        and the shape before tell what the row does not.

        Raises:
            ConversionError: the row cannot be explained by any shape we know of.
        """
        before = self._shapes.get((row.schema, row.table))
        if before is not None and not look:
            missing = shape.only_toast_missing(row, before.relation)
            if missing:
                return before, missing
        table, root = self._table(connection, row.schema, row.table) or (None, None)
        now = None
        if table is not None and root is not None:
            relations = catalog.relations(connection, list({table.oid: table, root.oid: root}.values()))
            now = relations.get(table.oid)
            if now is not None and root.oid in relations and root.oid != table.oid:
                now = catalog.as_partition(now, relations[root.oid])
        known = before.relation if before else self._baseline.get((row.schema, row.table))
        relation, missing = shape.shape_of(
            row,
            shape.Known(
                now=now,
                before=known,
                attributes=catalog.attributes(connection, table.oid) if table else (),
                types=catalog.types(connection, (c.type_oid for c in (*row.columns, *row.identity))),
            ),
        )
        if before is not None and before.relation == relation:
            return before, missing
        found = self._register([relation])[0]
        if before is not None:
            _log.info("the table has another shape", table=relation.qualified_name, at=str(row.lsn))
        self.install(found)
        return found, missing

    def _register(self, relations: Sequence[Relation]) -> list[Shape]:
        settings = self._settings
        schemas = [avro.table_schema(relation, prefix=settings.topic_prefix) for relation in relations]
        wanted: list[tuple[str, str]] = []
        for schema in schemas:
            if schema.key_schema is not None:
                wanted.append((f"{schema.topic}-key", schema.key_schema))
            wanted.append((f"{schema.topic}-value", schema.value_schema))
        ids = dict(zip(wanted, self._registry.register_all(wanted), strict=True))
        return [
            Shape(
                relation=schema.relation,
                schemas=schema,
                plan=plan.table_plan(
                    schema.relation,
                    topic=schema.topic,
                    key_id=None if schema.key_schema is None else ids[f"{schema.topic}-key", schema.key_schema],
                    value_id=ids[f"{schema.topic}-value", schema.value_schema],
                    signed_oids=self.signed_oids,
                    nan_is_null=self.nan_is_null,
                ),
            )
            for schema in schemas
        ]
