"""The selected tables: relation -> topic -> registered schemas -> plan in the walker.

Room: pipeline (IO through the stages it is given).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from producer import observe
from producer.decode.wal2json import RowShape
from producer.errors import ConversionError, ServerNotReady
from producer.events import Column, Relation
from producer.pipeline.tables.memory import ShapeMemory
from producer.pipeline.tables.plans import Plans, Shape
from producer.schema import shape, topics, variants
from producer.schema.registry import Registry
from producer.settings import Settings
from producer.sink.offsets import Loaded, OffsetsTopic
from producer.sink.protocol import Sink
from producer.source import catalog, pg_types, selection
from producer.source.catalog import Table
from producer.source.wire import Connection
from producer.transcode.plan import FormError, TablePlan
from producer.transcode.walker import SHAPE, Walker

_log = observe.logger("producer.tables")

_PAST_SHAPES = 8


class Tables:
    """Which tables are captured, and how the rows of each are walked at this moment."""

    def __init__(self, settings: Settings, sink: Sink, registry: Registry, walker: Walker) -> None:
        self._settings = settings
        self._sink = sink
        self._walker = walker
        self.plans = Plans(settings, registry)
        self.withholds = bool(settings.column_rules() or settings.column_include_list or settings.column_exclude_list)
        """Whether columns of some table are masked or left out."""
        self._shapes: dict[tuple[str, str], Shape] = {}
        self._baseline: dict[tuple[str, str], Relation] = {}
        """What each table looked like when we began to stream: it tells of columns dropped since."""
        self._past: dict[tuple[str, str], list[Relation]] = {}
        """Shapes that each table had in this session, the last ones."""
        self._memory = ShapeMemory()
        self._leaves: set[int] = set()
        """The partitions that are known, by oid."""
        self._not_ours: set[tuple[str, str]] = set()
        self._looked_at = ""
        """The catalogue's names when tables were last looked for."""
        self._steady: dict[tuple[str, str], Relation] = {}
        """What the catalogue and our memory agreed on when we began to stream."""
        self.chosen: list[Table] = []
        self.lost: dict[tuple[str, str], Relation] = {}
        """Partitions that were detached or dropped since the stream knew them, by their names in the log."""

    def forget(self, names: tuple[str, str]) -> None:
        """The lost partition is known no more."""
        self.lost.pop(names, None)
        self._memory.forget(names)

    def select(self, connection: Connection) -> list[Table]:
        """Read which tables are selected now, and make sure of their topics.

        Raises:
            SettingsError: two tables would share a topic.
            ServerNotReady: no table is selected.
        """
        every = catalog.tables(connection)
        self.chosen = catalog.selected(every, self._settings.wants_table)
        topics.check_collisions(
            self._settings.topic_prefix, [(t.schema, t.name) for t in self.chosen], self._settings.offset_storage_topic
        )
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
        config.setdefault("cleanup.policy", settings.table_cleanup_policy)
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

    def topic_of(self, table: Table) -> str:
        """The topic of a table's rows: a partition's is its root's."""
        named = self.remembered(table.schema, table.name) or table
        return self.topic(named.schema, named.name)

    def keyed(self, table: Table) -> bool:
        """Whether the table's topic has keys."""
        return bool((known := self.remembered(table.schema, table.name)) and known.key)

    def foresee(self, wanted: Iterable[Table]) -> None:
        """Tables are about to be copied, in this order; raises as `Plans.foresee`."""
        known = (self._baseline.get((table.schema, table.name)) for table in wanted)
        self.plans.foresee(relation for relation in known if relation is not None)

    def prepare(self, connection: Connection, wanted: Sequence[Table]) -> dict[int, Shape]:
        """The shapes that tables have now, registered, by oid; tables dropped meanwhile are missing.

        A partition, read by itself, has its root's topic and schemas.
        """
        self.plans.ahead(len(wanted))
        wanted_roots = {leaf.root_oid for leaf in wanted}
        roots = [table for table in self.chosen if table.oid in wanted_roots]
        relations = catalog.relations(connection, [*wanted, *roots], self._settings)
        for table in wanted:
            if table.oid in relations and table.root_oid in relations:
                relations[table.oid] = catalog.as_partition(relations[table.oid], relations[table.root_oid])
        relations = {table.oid: relations[table.oid] for table in wanted if table.oid in relations}
        return dict(zip(relations, self.plans.register(list(relations.values())), strict=True))

    def recall(self, offsets: OffsetsTopic, loaded: Loaded) -> None:
        """Take what was remembered of the tables, and go on remembering."""
        self._memory.recall(offsets, loaded.shapes)

    def unread(self, connection: Connection, marked: Collection[str]) -> list[Table]:
        """The tables whose rows are to be copied, `marked` being those that were; see `ShapeMemory.unread`."""
        every = catalog.tables(connection)
        leaves = catalog.leaves(every, self.chosen)
        return self._memory.unread(connection, self.chosen, [table for table in every if table.oid in leaves], marked)

    def were_read(self) -> None:
        """The rows of all tables are acked."""
        self._memory.were_read()

    def remember(self, connection: Connection) -> list[Relation]:
        """The shapes that the selected tables have now, kept for rows that are read later."""
        now = catalog.captured(connection, self.chosen, self._settings)
        self._leaves = {relation.oid for relation in now if relation.logged_as is not None}
        selected = catalog.selected(catalog.tables(connection), self._settings.wants_table)
        self.lost = self._memory.lost_partitions(selected, self._leaves)
        self._baseline = {relation.logged_names: relation for relation in now}
        # The rows to come may be older than the catalogue.
        for names, relation in self._memory.shapes.items():
            if self._settings.wants_table(relation.schema, relation.name):
                self._baseline[names] = selection.sent(relation, self._settings)
        self._steady = {one.logged_names: one for one in now if self._baseline[one.logged_names] == one}
        return now

    def forget_plans(self) -> None:
        """The plugin prints rows in another way from now on: no plan of before fits one."""
        self._shapes.clear()

    def stream(self) -> None:
        """The stream begins: what is walked from now on is remembered."""
        for relation in self._baseline.values():
            self._memory.note(relation)
        self.plans.expect(relation for names, relation in self._steady.items() if names not in self._shapes)

    def moved(self, connection: Connection) -> tuple[list[Table], set[str]]:
        """Tables that came into the selection since it was read, attached partitions too; names that left it."""
        names = catalog.names(connection)
        if names == self._looked_at:
            return [], set()
        every = catalog.tables(connection)
        selected = catalog.selected(every, self._settings.wants_table)
        leaves = catalog.leaves(every, self.chosen)
        self.lost = self._memory.lost_partitions(selected, leaves.keys())
        attached = catalog.attached(connection, list(leaves.keys() - self._leaves))
        self._leaves |= leaves.keys() - attached
        # Asked before the tables were: what changed in between is seen the next time.
        self._looked_at = names
        known = {(table.oid, table.schema, table.name) for table in self.chosen}
        came = [table for table in selected if (table.oid, table.schema, table.name) not in known]
        left = {table.qualified_name for table in self.chosen} - {table.qualified_name for table in selected}
        # Without any table there is no beginning again: what is in the log of them still goes out.
        return [*came, *(table for table in every if table.oid in attached)], left if selected else set()

    def logged(self) -> list[tuple[str, str]] | None:
        """The names to ask the plugin for; None: all of them, to be sifted by `wants`.

        A table that was renamed or dropped since has rows under its old name.
        """
        if any(table.partitioned for table in self.chosen) or any(
            relation.logged_as is not None for relation in self._baseline.values()
        ):
            return None
        return list(dict.fromkeys([*((table.schema, table.name) for table in self.chosen), *self._baseline]))

    def wants(self, connection: Connection, schema: str, name: str) -> bool:
        """Whether a logged row is of a selected table, or of a partition of one, made just now perhaps."""
        names = (schema, name)
        if names in self._not_ours:
            return False
        if names in self._shapes or names in self._baseline or self._table(connection, schema, name) is not None:
            return True
        self._not_ours.add(names)
        return False

    def captured_as(self, connection: Connection, schema: str, name: str) -> tuple[str, str] | None:
        """Schema and name of the selected table that a logged name belongs to: a partition's are its root's."""
        if (known := self._baseline.get((schema, name))) is not None:
            return known.schema, known.name
        found = self._table(connection, schema, name)
        return None if found is None else (found[1].schema, found[1].name)

    def is_partition(self, connection: Connection, schema: str, name: str) -> bool:
        """Whether the name is a partition's."""
        if (known := self._baseline.get((schema, name))) is not None:
            return known.logged_as is not None
        table, root = self._table(connection, schema, name) or (None, None)
        return table is not root

    def _table(self, connection: Connection, schema: str, name: str) -> tuple[Table, Table] | None:
        """A selected table, or a partition, and the selected table that it is part of.

        Names decide, as they do in the log: a table that was renamed since is another one, and one
        that was renamed to a selected name, or made anew under it, is selected.
        """
        every = catalog.tables(connection)
        names = {(table.schema, table.name) for table in self.chosen}
        roots = catalog.leaves(every, [table for table in every if (table.schema, table.name) in names])
        table = next((table for table in every if (table.schema, table.name) == (schema, name)), None)
        if table is None:
            return None
        if table.oid in roots:
            return table, roots[table.oid]
        return (table, table) if (schema, name) in names and not table.is_partition else None

    def current(self, connection: Connection, schema: str, name: str) -> Shape:
        """The shape that a table's rows were walked by last, or else the one it has now.

        Raises:
            ConversionError: the table is gone.
        """
        if (schema, name) not in self._shapes:
            table = next((t for t in self.chosen if (t.schema, t.name) == (schema, name)), None)
            shapes = list(self.prepare(connection, [table]).values()) if table else []
            if not shapes and (schema, name) in self._baseline:
                shapes = self.plans.register([self._baseline[schema, name]])
            if not shapes:
                raise ConversionError(
                    f"table {schema}.{name} was dropped before its TRUNCATE was read, and its shape is not known",
                    remedy="leave the table out with table.exclude.list",
                )
            self.install(shapes[0])
        return self._shapes[schema, name]

    def last(self, schema: str, name: str) -> Shape | None:
        """The shape that the logged table's rows were walked by last."""
        return self._shapes.get((schema, name))

    def remembered(self, schema: str, name: str) -> Relation | None:
        """What the logged table looked like when we began to stream."""
        return self._baseline.get((schema, name))

    def walked(self, plan: TablePlan) -> Shape:
        """The shape whose plan the walker followed."""
        return next(shape for shape in self._shapes.values() if shape.plan is plan)

    def install(self, shape: Shape) -> None:
        """Walk the table's rows by this shape from now on."""
        self._shapes[shape.relation.logged_names] = shape
        self._keep(shape.relation)
        self._walker.install(shape.plan)
        # An attached partition is known once its rows were copied.
        if shape.relation.logged_as is None or shape.relation.oid in self._leaves:
            self._memory.note(shape.relation)

    def recalled(self, row: RowShape) -> bool:
        """Walk a table's first row by what was known of it at the start, where the row says nothing else.

        The catalogue need not be asked: 1,000 tables' first rows would ask it for 35 seconds.
        """
        known = self._steady.pop((row.schema, row.table), None)
        if known is None or (row.schema, row.table) in self._shapes or not shape.exactly(row, known):
            return False
        self.install(self.plans.changed(known, [known]))
        # As the tables with rows become more, the more are likely to follow.
        self.plans.ahead(2)
        return True

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
        past = [before.relation] if before else []
        past += [self._baseline[names]] if (names := (row.schema, row.table)) in self._baseline else []
        relation, missing = self._shape_of(connection, row, self._now(connection, *names), past)
        # A column of an older shape goes by the name that it had then.
        relation = selection.sent(relation, self._settings)
        if before is not None and before.relation == relation:
            return before, missing
        found = self.plans.changed(relation, past)
        if before is not None:
            _log.info("the table has another shape", table=relation.qualified_name, at=str(row.lsn))
        self.install(found)
        return found, missing

    def _now(self, connection: Connection, schema: str, name: str) -> Relation | None:
        """The relation that bears the name in the catalogue; None: there is none, or it is not ours."""
        found = self._table(connection, schema, name)
        return None if found is None else catalog.under_root(connection, *found, self._settings)

    def _shape_of(
        self, connection: Connection, row: RowShape, now: Relation | None, past: Sequence[Relation]
    ) -> tuple[Relation, tuple[Column, ...]]:
        """The row's shape, by the table that bore its name at its moment: not always the one that bears it now.

        Raises:
            ConversionError: none of them explains it.
        """
        types = pg_types.types(connection, (c.type_oid for c in (*row.columns, *row.identity)))
        last = next((relation for relation in past if now is not None and relation.oid == now.oid), None)
        tables = [(now, last)] if now is not None or not past else []
        # Renamed since, or dropped.
        others = [relation for relation in reversed(past) if now is None or relation.oid != now.oid]
        tables += [(catalog.renamed(connection, relation, self._settings), relation) for relation in others]
        tables.sort(key=lambda table: not any(relation and shape.fits(row, relation) for relation in table))
        refused: ConversionError | None = None
        for current, before_it in tables:
            relation = current or before_it
            attributes = catalog.attributes(connection, relation.oid) if relation else ()
            known = shape.Known(now=current, before=before_it, attributes=attributes, types=types)
            try:
                found = shape.shape_of(row, known)
            except ConversionError as error:
                refused = refused or error
                continue
            if current is not None and before_it is not None:
                # If a value does not fit what was before: as it is now, likeliest.
                with contextlib.suppress(ConversionError):
                    self._keep(shape.shape_of(row, replace(known, before=None))[0])
            return found
        assert refused is not None
        raise refused

    def _keep(self, relation: Relation) -> None:
        past = self._past.setdefault(relation.logged_names, [])
        # The last one is the first guess.
        past[:] = [*(one for one in past if one != relation), relation][-_PAST_SHAPES:]

    def otherwise(self, shape: Shape, column: int, walk: Callable[[], int]) -> int:
        """Walk a row whose value in a column does not fit by what the table may have been, and go on by it.

        Nothing is registered for a guess that does not fit.

        Raises:
            FormError: nothing fits; the table is walked by the shape that it had.
        """
        found = self._fitting(shape.relation, column, walk, exact=True)
        if found is None:
            self._walker.install(shape.plan)
        else:
            relation, exact = found
            self.install(self.plans.changed(relation, [shape.relation], exact=exact))
        return walk()

    def _fitting(
        self, relation: Relation, column: int, walk: Callable[[], int], *, exact: bool
    ) -> tuple[Relation, bool] | None:
        names = relation.logged_names
        past = [*([self._baseline[names]] if names in self._baseline else []), *self._past.get(names, ())]
        for variant, exactly in variants.of(relation, column, past, exact=exact):
            topic = self.topic(variant.schema, variant.name)
            self._walker.install(self.plans.trial(variant, topic, exact=exactly))
            try:
                if walk() != SHAPE:
                    return variant, exactly
            except FormError:
                # Another column, further on, may have changed as well.
                if self._walker.column > column:
                    found = self._fitting(variant, self._walker.column, walk, exact=exactly)
                    if found is not None:
                        return found
        return None
