"""What crosses the stages: relations, their columns and types, and positions.

Room: events (pure). All of it is frozen; a change in the source makes a new object.
PostgreSQL manual, "System Catalogs": pg_class, pg_attribute, pg_type, pg_index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from producer.lsn import Lsn

ReplicaIdentity = Literal["default", "full", "index", "nothing"]
TypeKind = Literal["base", "composite", "domain", "enum", "pseudo", "range", "multirange"]


class Position(NamedTuple):
    """An event's place in the stream of its slot; it orders the events of a key.

    `ordinal` counts the selected events of the transaction from 1; 0 is a snapshot row.
    """

    commit_lsn: Lsn
    ordinal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PgType:
    """A row of pg_type with what it leads to."""

    oid: int
    schema: str
    name: str
    kind: TypeKind
    category: str = "U"
    """typcategory, one character: `A` is an array, `S` a string."""
    element: PgType | None = None
    """The element type of an array type."""
    base: PgType | None = None
    """The type under a domain."""
    base_typmod: int = -1
    """The modifier that a domain gives to the type under it (typtypmod)."""
    base_dimensions: int = 0
    """How deep a domain over an array was declared (typndims)."""
    labels: tuple[str, ...] = ()
    """An enum's labels in sort order."""
    fields: tuple[TypeField, ...] = ()
    """A composite type's attributes in their order."""
    delimiter: str = ","
    """What stands between its values in an array's text (typdelim)."""
    length: int = -1
    """typlen in bytes; -1 is variable."""

    @property
    def display_name(self) -> str:
        """`schema.name`, or the bare name of a type in pg_catalog."""
        return self.name if self.schema == "pg_catalog" else f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeField:
    """An attribute of a composite type."""

    name: str
    type: PgType
    typmod: int = -1
    dimensions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A live column of a table: a row of pg_attribute."""

    name: str
    attnum: int
    type: PgType
    typmod: int = -1
    dimensions: int = 0
    """attndims: how deep an array column was declared; 0 for other columns."""
    not_null: bool = False
    toastable: bool = False
    """Its values may be stored out of line (attstorage other than plain): an UPDATE that does
    not touch such a value leaves it out of the log."""
    generated: Literal["", "stored", "virtual"] = ""
    sent: bool = True
    """False: rows hold it, Value does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A column that the table has or had: what pg_attribute keeps of it."""

    attnum: int
    name: str
    dropped: bool
    type_oid: int
    """0 once it is dropped."""
    typmod: int
    dimensions: int
    length: int
    """attlen in bytes: its type's, kept when it is dropped."""
    not_null: bool
    toastable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table as its rows are logged: the shape of one moment."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    """Live columns in attnum order, virtual generated ones left out."""
    key: tuple[str, ...]
    """The key columns in key order, by the rule of the topics' keys; empty: a null key."""
    identity: ReplicaIdentity
    identity_columns: frozenset[str]
    """The columns that the log holds of an old row; empty: UPDATE and DELETE are not logged."""
    logged_as: tuple[str, str] | None = None
    """For a partition: its own schema and name, as the log has them; the others are its root's."""
    order: tuple[int, ...] = ()
    """For a partition whose columns stand in another order: their attnums in the root's order."""

    @property
    def qualified_name(self) -> str:
        """`schema.table`, unquoted, as filters and messages name it."""
        return f"{self.schema}.{self.name}"

    @property
    def sent_columns(self) -> tuple[Column, ...]:
        """The columns of Value, in its order."""
        places = {attnum: place for place, attnum in enumerate(self.order)}
        ordered = sorted(self.columns, key=lambda column: places.get(column.attnum, len(places) + column.attnum))
        return tuple(column for column in ordered if column.sent)

    @property
    def read_columns(self) -> tuple[Column, ...]:
        """The columns that are read: those of Value, and of the key."""
        return tuple(column for column in self.columns if column.sent or column.name in self.key)

    @property
    def logged_names(self) -> tuple[str, str]:
        """Schema and name as the log has them."""
        return self.logged_as or (self.schema, self.name)
