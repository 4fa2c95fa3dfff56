"""Plans: how a table's raw rows become Avro bytes, as data.

Room: transcode (pure). A plan holds no value of any row. It is made by `schema.plan` from a
relation and the registry's ids, and walked by `transcode.walker`.
Avro specification 1.12, "Binary Encoding"; Confluent wire format: byte 0, schema id in 4 bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class Form(IntEnum):
    """How a value's text, as PostgreSQL's output function prints it, is written in Avro."""

    LONG = 1
    """Decimal digits -> int or long."""
    BOOLEAN = 2
    """t, f, true, false -> boolean."""
    FLOAT = 3
    DOUBLE = 4
    """Shortest round-trip text, NaN, Infinity, -Infinity -> float, double."""
    DECIMAL = 5
    """Digits with exactly, or fewer than, `scale` decimals -> bytes, minimal two's complement."""
    VARIABLE_DECIMAL = 6
    """Any finite numeric -> record {scale int, value bytes}; display scale kept."""
    STRING = 7
    """UTF-8 text, unchanged -> string."""
    BYTES = 8
    r"""Hexadecimal digits, with or without a leading \x -> bytes."""
    DATE = 9
    """ISO date, BC, infinity -> int, days since 1970-01-01."""
    TIME_MILLIS = 10
    TIME_MICROS = 11
    """hh:mm:ss[.ffffff] -> int milliseconds, long microseconds since midnight."""
    TIMESTAMP_MILLIS = 12
    TIMESTAMP_MICROS = 13
    """ISO timestamp without zone, BC, infinity -> long since the epoch."""
    ZONED_TIMESTAMP = 14
    """ISO timestamp printed in UTC (+00) -> string 2016-11-04T11:51:30.123456Z."""
    INTERVAL = 15
    """iso_8601 interval -> string with every field: P1Y2M3DT4H5M6.78S."""
    ARRAY = 16
    """Array text of `depth` dimensions -> array of ["null", element], nested as deep."""
    FUNCTION = 17
    """Any text -> what the value's Python function makes of it: the Avro body of T."""
    ENUM = 18
    """One of `labels`, unchanged -> string."""
    COMPOSITE = 19
    """Record text -> record, each attribute as ["null", T]."""
    TIME_NANOS = 20
    TIMESTAMP_NANOS = 21
    """As those above, in nanoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuePlan:
    """How one value's text is written; a tree for arrays and composites."""

    form: Form
    scale: int = 0
    """Decimals, for DECIMAL; 1 lets TIME_MILLIS and TIMESTAMP_MILLIS cut off what is finer."""
    precision: int = 0
    """Digits, for DECIMAL: a reader may round what has more. 0: as many as there are."""
    element: ValuePlan | None = None
    """For ARRAY: how each element is written."""
    depth: int = 1
    """For ARRAY: its dimensions."""
    delimiter: str = ","
    """For ARRAY: what stands between elements (pg_type.typdelim)."""
    attributes: tuple[ValuePlan, ...] = ()
    """For COMPOSITE, in their order."""
    labels: frozenset[bytes] = frozenset()
    """For ENUM."""
    function: Callable[[bytes], bytes] | None = None
    """For FUNCTION: text, UTF-8 -> Avro body of T."""


NULL = b"\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPlan:
    """How one column is walked."""

    name: str
    head: bytes
    """What stands before the value in a wal2json row: `{"name":"id","typeoid":23,"value":`."""
    value: ValuePlan | None
    """None: Value leaves the column out; COPY does not read it unless the key holds it."""
    nullable: bool = True
    """True: written as ["null", T]; False: as T, and a NULL is a FormError (key columns)."""
    null: bytes = NULL
    """What a NULL is written as, where it may be one."""
    absent: bytes = NULL
    """What stands for the column in a before-image that does not hold it."""
    in_identity: bool = False
    """The old row in the log holds this column."""
    hides_nan: bool = False
    """A null of a new row may be a NaN or Infinity that the plugin could not print."""
    key: ValuePlan | None = None
    """How the key holds a column that Value leaves out, or holds otherwise."""
    masked: bool = False
    """Value does not hold the text of the source, and nothing else may show it but the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """How the rows of one table, in one shape, are walked."""

    topic: str
    columns: tuple[ColumnPlan, ...]
    """In the order in which rows hold them."""
    key: tuple[int, ...]
    """Indexes of the key columns, in key order; empty: null key."""
    key_frame: bytes
    """0x00 and the key schema's id; empty without a key."""
    value_frame: bytes
    """0x00 and the value schema's id."""
    names: bytes
    """source.schema and source.table as Avro strings, one behind the other."""
    json_names: bytes
    """What names the table in a wal2json record: `"schema":"public","table":"orders"`."""
    tail: bytes = b"}"
    """What ends a wal2json record behind its columns: the table's primary key, the closing brace."""
    order: tuple[int, ...] = ()
    """Indexes of the columns as Value has them; empty: as rows have them."""
    full_identity: bool = False
    """REPLICA IDENTITY FULL: an update's before-image is complete and is sent."""
    table: str = ""
    """`schema.table`, as its events are counted; a partition's is its root's."""

    @property
    def withheld(self) -> frozenset[str]:
        """The columns whose text may not leave us: masked ones, and those that Value leaves out."""
        return frozenset(column.name for column in self.columns if column.masked or column.value is None)


class FormError(ValueError):
    """A value that its form cannot carry. It names no value: `reason` and `remedy` may be logged."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


CHANGED = "run again: the table was changed"
"""The remedy for a row that is not of the shape that was read just before."""


class UnknownLabel(FormError):
    """An enum's label that the schema does not list: the type was altered."""
