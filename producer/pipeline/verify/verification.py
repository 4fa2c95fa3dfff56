"""Which tables are compared with their topics, one after the other; what cannot be, and what is sent again.

Room: pipeline (IO through the stages it makes). docs/DESIGN.md, "Verify".
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack

from producer import observe
from producer.clock import Clock
from producer.errors import OperatorError, SettingsError
from producer.pipeline import stages
from producer.pipeline.reconcile import topic_keys
from producer.pipeline.repairs import Repairs
from producer.pipeline.tables.plans import Plans
from producer.pipeline.verify.comparison import Comparison, Ground
from producer.pipeline.verify.passing import Passing
from producer.pipeline.verify.progress import Steps
from producer.pipeline.verify.result import Result, TableResult
from producer.schema import avro
from producer.schema.types import Modes
from producer.settings import Settings
from producer.sink.kafka import KafkaSink
from producer.source import catalog, preflight, slot
from producer.source.catalog import Table
from producer.source.wire import Connection, connect, explained

_log = observe.logger("producer.verify")

_PING_SECONDS = 15.0
_NAMED = 10

Names = tuple[str, str]


class Verification:
    """Compares tables: the named ones, or all that are selected. It writes nothing, and never takes the slot."""

    def __init__(self, settings: Settings, clock: Clock, named: Sequence[Names]) -> None:
        self._settings = settings
        self._clock = clock
        self._named = named
        self._server = stages.server(settings)

    def run(self, repairs: Repairs | None = None) -> Result:
        """Compare; what differs is noted in `repairs`.

        Raises:
            OperatorError: a named table cannot be compared, or a topic's keys cannot be known.
            NotSettled: the producer does not come on, or keys never come to rest.
        """
        result = Result()
        with ExitStack() as stack:
            # Any question to the catalogue may find the connection gone.
            stack.enter_context(explained(self._server, "asking the catalogue"))
            connection = stack.enter_context(connect(self._server))
            preflight.demand(preflight.server(slot.identify(connection), None))
            sink = stages.sink(self._settings)
            stack.callback(sink.close, 0)
            sink.ping(_PING_SECONDS)
            registry = stages.registry(self._settings)
            stack.callback(registry.close)
            steps = stack.enter_context(Steps(self._clock, self._settings.log_format))
            slot_name = self._settings.slot_name if self._settings.reads_log else None
            passing = Passing(connection, self._server, slot_name, self._clock)
            ground = Ground(
                settings=self._settings, clock=self._clock, server=self._server, sink=sink,
                plans=Plans(self._settings, registry), passing=passing, steps=steps,
            )  # fmt: skip
            found: list[TableResult] = []
            for table, shape in self._comparable(connection, sink, result.refused):
                try:
                    with contextlib.closing(Comparison(ground, table, shape)) as comparison:
                        comparison.run()
                        found.append(comparison.result)
                        if repairs is not None:
                            repairs.note((table.schema, table.name), comparison.repairable())
                except sqlite3.OperationalError as error:
                    raise OperatorError(
                        f"table {table.qualified_name}: the temporary file of its comparison: {error}",
                        remedy="the topic's keys, some 100 bytes each, must have room where TMPDIR points to",
                    ) from error
            result.tables = found
            result.behind = passing.behind
        extra = sum(table.totals["extra"] for table in found)
        if repairs is not None and extra and "d" in self._settings.skipped_operations:
            _log.warning("extra keys stay: skipped.operations keeps their deletes back", keys=extra)
        return result

    def _comparable(
        self, connection: Connection, sink: KafkaSink, refused: dict[str, str]
    ) -> list[tuple[Table, avro.TableSchema]]:
        """The tables that can be compared; `refused` gets those that cannot by their nature.

        Raises:
            OperatorError: a named table cannot be compared, or none can, or a topic's keys cannot be known.
        """
        chosen = self._chosen(connection)
        relations = catalog.relations(connection, chosen, self._settings)
        preflight.demand(preflight.rights(connection, chosen, list(relations.values()), self._server.user))
        found = []
        for table in (table for table in chosen if table.oid in relations):
            shape = avro.table_schema(relations[table.oid], modes=Modes.of(self._settings))
            try:
                self._demand(table, shape)
            except OperatorError as error:
                if self._named:
                    raise
                refused[table.qualified_name] = error.message
                _log.error("not compared", reason=error.message, remedy=error.remedy)
            else:
                found.append((table, shape))
        if not found:
            raise OperatorError(
                "none of the selected tables can be compared: " + "; ".join(refused.values()),
                remedy="give them keys (message.key.columns)",
            )
        topic_keys.demand(sink, [shape.topic for _, shape in found])
        return found

    def _demand(self, table: Table, shape: avro.TableSchema) -> None:
        """Refuse a table that cannot be compared, whatever its topic holds.

        Raises:
            OperatorError: it has no key, or a SELECT of its own.
        """
        if shape.key_schema is None:
            raise OperatorError(
                f"table {table.qualified_name} has no key: its rows and the records of its topic cannot be told apart, "
                "and records that came twice are no difference",
                remedy="give it a key (message.key.columns), or leave it out: name the tables to compare",
            )
        topic_keys.demand_whole(self._settings, table)

    def _chosen(self, connection: Connection) -> list[Table]:
        """The tables to compare.

        Raises:
            SettingsError: none is selected, or one that is named is not.
        """
        selected = catalog.selected(catalog.tables(connection), self._settings.wants_table)
        # A schema's name may hold a dot; no two tables are called alike, or they would share a topic.
        by_name: Mapping[str, Table] = {table.qualified_name: table for table in selected}
        named = list(dict.fromkeys(".".join(names) for names in self._named))
        unknown = [name for name in named if name not in by_name]
        if unknown or not selected:
            raise SettingsError(
                f"no selected table: {', '.join(unknown) or 'none at all'}",
                remedy=f"selected are {_some(table.qualified_name for table in selected)}; look at table.include.list",
            )
        return [by_name[name] for name in named] if named else selected


def _some(names: Iterable[str]) -> str:
    """The first of many names."""
    every = list(names)
    return ", ".join(every[:_NAMED]) + (f" and {len(every) - _NAMED} more" if len(every) > _NAMED else "") or "none"
