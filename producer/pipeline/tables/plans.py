"""A relation becomes a shape that can be walked: its schemas registered, its plan made.

Room: pipeline (IO through the registry that it is given).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from producer import crash_points
from producer.errors import SchemaRefused
from producer.events import Relation
from producer.schema import avro, differences, plan
from producer.schema.registry import Registry
from producer.schema.types import Modes
from producer.settings import Settings
from producer.transcode.plan import TablePlan

# How many tables' schemas are registered before the slot is made, and as many ahead of the snapshot.
_FIRST = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One shape of one table, ready to be walked."""

    relation: Relation
    schemas: avro.TableSchema
    plan: TablePlan


class Plans:
    """Makes shapes as the settings and the plugin ask."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._registry = registry
        self._modes = Modes.of(settings)
        self._rules = settings.column_rules()
        self._coming: deque[Relation] = deque()
        """What will be needed, and nobody has asked for yet."""
        self._foreseen: dict[Relation, avro.TableSchema] = {}
        """What was asked for ahead, until it is needed."""
        self.nan_is_null = True
        """Whether the plugin prints NaN as null (wal2json before 2.6)."""
        self.signed_oids = True
        """Whether it prints an OID above 2^31 as a negative number (before 2.7)."""
        self.primary_told = True
        """Whether it is asked for the primary key (all but 2.3)."""

    def register(self, relations: Sequence[Relation], *, exact: bool = True) -> list[Shape]:
        """Register what their records need, several at once. Unless `exact`, any label of an enum is taken.

        Raises:
            SchemaRefused, RegistryUnavailable, AccessDenied: as the registry says.
        """
        modes = self._asked(exact)
        foreseen = [self._foreseen.pop(relation, None) if exact else None for relation in relations]
        schemas = [
            schema or avro.table_schema(relation, modes=modes)
            for relation, schema in zip(relations, foreseen, strict=True)
        ]
        wanted = [pair for schema in schemas for pair in _pairs(schema)]
        ids = dict(zip(wanted, self._registry.register_all(wanted), strict=True))
        return [
            Shape(
                relation=schema.relation,
                schemas=schema,
                plan=self._plan(
                    schema.relation,
                    schema.topic,
                    None if schema.key_schema is None else ids[f"{schema.topic}-key", schema.key_schema],
                    ids[f"{schema.topic}-value", schema.value_schema],
                    modes,
                ),
            )
            for schema in schemas
        ]

    def expect(self, relations: Iterable[Relation]) -> None:
        """What will be needed, in this order: `ahead` begins with it."""
        self._coming = deque(relations)

    def foresee(self, relations: Iterable[Relation]) -> None:
        """Register what the first of these need; begin with what follows, of which `ahead` does more.

        Not all at once: a registry takes milliseconds for each, and the first row is not to wait for the last
        table's schemas.

        Raises:
            SchemaRefused, RegistryUnavailable, AccessDenied: as the registry says of the first.
        """
        self.expect(relations)
        self.register(self._next(_FIRST))
        self.ahead(_FIRST)

    def ahead(self, number: int) -> None:
        """Begin to register what so many more will need; nothing waits for it, and `register` tells how it ended."""
        schemas = {relation: avro.table_schema(relation, modes=self._modes) for relation in self._next(number)}
        if schemas:
            self._foreseen |= schemas
            self._registry.ahead([pair for schema in schemas.values() for pair in _pairs(schema)])

    def _next(self, number: int) -> list[Relation]:
        return [self._coming.popleft() for _ in range(min(number, len(self._coming)))]

    def changed(self, relation: Relation, past: Sequence[Relation], *, exact: bool = True) -> Shape:
        """Register another shape of a table.

        Raises:
            SchemaRefused: the registry does not take it; what differs from the shape before is said.
        """
        try:
            shape = self.register([relation], exact=exact)[0]
        except SchemaRefused as error:
            words = differences.in_words(past[0], relation) if past else ""
            raise SchemaRefused(
                f"table {relation.qualified_name}: {words or 'its schema differs'}: {error.message}",
                remedy=error.remedy,
            ) from error
        if past and past[0] != relation:
            crash_points.reach("schema_asked")
        return shape

    def schema_text(self, id: int) -> str:
        """What the registry knows under an id."""
        return self._registry.schema(id)

    def trial(self, relation: Relation, topic: str, *, exact: bool) -> TablePlan:
        """A plan to try a row by; nothing is registered."""
        return self._plan(relation, topic, 0, 0, self._asked(exact))

    def _asked(self, exact: bool) -> Modes:
        return self._modes if exact else replace(self._modes, exact_labels=False)

    def _plan(self, relation: Relation, topic: str, key_id: int | None, value_id: int, modes: Modes) -> TablePlan:
        return plan.table_plan(
            relation,
            topic=topic,
            key_id=key_id,
            value_id=value_id,
            modes=modes,
            signed_oids=self.signed_oids,
            nan_is_null=self.nan_is_null,
            primary_told=self.primary_told,
            rules=self._rules,
        )


def _pairs(schema: avro.TableSchema) -> Iterator[tuple[str, str]]:
    """(subject, schema) of keys and values."""
    if schema.key_schema is not None:
        yield f"{schema.topic}-key", schema.key_schema
    yield f"{schema.topic}-value", schema.value_schema
