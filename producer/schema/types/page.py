"""The rows of docs/types.md: types, what is to be said of them, and texts whose Avro values are shown.

Room: schema (pure). What the code can tell (Avro types, semantic names, values) is not written here.
"""

from __future__ import annotations

from dataclasses import dataclass

from producer.events import PgType, TypeField, TypeKind


def _base(name: str, schema: str = "pg_catalog") -> PgType:
    return PgType(oid=0, schema=schema, name=name, kind="base", delimiter=";" if name == "box" else ",")


def _made(name: str, kind: TypeKind, schema: str = "public") -> PgType:
    return PgType(oid=0, schema=schema, name=name, kind=kind)


def _array(element: PgType) -> PgType:
    return PgType(oid=0, schema=element.schema, name=f"_{element.name}", kind="base", category="A", element=element)


def _numeric(precision: int, scale: int) -> int:
    return ((precision << 16) | (scale & 0x7FF)) + 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table; with several types, all have the same Avro type."""

    label: str
    types: tuple[PgType, ...]
    note: str = ""
    texts: tuple[str, ...] = ()
    """As the server prints them."""
    typmod: int = -1
    dimensions: int = 0


def _row(label: str, *names: str, note: str = "", texts: tuple[str, ...] = (), typmod: int = -1) -> Row:
    return Row(label=label, types=tuple(_base(name) for name in names), note=note, texts=texts, typmod=typmod)


def _of(label: str, type: PgType, note: str = "", texts: tuple[str, ...] = (), dimensions: int = 0) -> Row:
    return Row(label=label, types=(type,), note=note, texts=texts, dimensions=dimensions)


_MOOD = PgType(oid=0, schema="public", name="mood", kind="enum", labels=("sad", "ok"))
_ADDRESS = PgType(
    oid=0,
    schema="public",
    name="address",
    kind="composite",
    fields=(TypeField(name="street", type=_base("text")), TypeField(name="zip-code", type=_base("int4"))),
)
_PRICE = PgType(oid=0, schema="public", name="price", kind="domain", base=_base("numeric"), base_typmod=_numeric(10, 2))
_CENTURY = "Years beyond 9999 have a `+`; before Christ they are astronomical: 1 BC is 0000."

ROWS = (
    _row("smallint", "int2"),
    _row("integer", "int4"),
    _row("bigint", "int8", texts=("9007199254740993",), note="Exact beyond 2^53."),
    _row("oid, xid", "oid", "xid", texts=("4000000000",), note="Unsigned, so never negative."),
    _row("xid8", "xid8", texts=("18446744073709551615",), note="Unsigned 64 bits fit no long. **Differs.**"),
    _row("boolean", "bool", texts=("t",)),
    _row("real", "float4", note="NaN, both infinities and -0 are carried."),
    _row("double precision", "float8", texts=("0.1", "-Infinity"), note="The same."),
    _row(
        "numeric(p,s)", "numeric", typmod=_numeric(3, 2), texts=("1.10",),
        note="With s below 0, precision p-s and scale 0; with s above p, precision s.",
    ),
    _row(
        "numeric", "numeric", texts=("10.1111", "1.50000"),
        note="Of any width. The display scale is kept; Debezium strips trailing zeros. **Differs.**",
    ),
    _row(
        "money", "money", texts=("-$1,234.50",),
        note="Scale `money.fraction.digits`. `check` fails when the database's lc_monetary has other than two "
        "fraction digits: what is stored then means something else.",
    ),
    _row("char(n)", "bpchar", texts=("ab   ",), note="Blank-padded, as it is stored."),
    _row("varchar(n), text, name, \"char\"", "varchar", "text", "name", "char", note="Any text, unchanged."),
    _row("bytea", "bytea", texts=("\\xdeadbeef",)),
    _row("bit(1)", "bit", typmod=1, texts=("1",)),
    _row(
        "bit(n)", "bit", typmod=16, texts=("1000000000000000", "0000000000000011", "0000000000000000"),
        note="The least significant byte first; zero bytes at the end are dropped. The parameter `length` is n.",
    ),
    _row(
        "bit varying(n)", "varbit", texts=("00101",),
        note="Its digits: bytes could not tell 101 from 00101. **Differs.**",
    ),
    _row(
        "date", "date", texts=("2016-11-04", "0044-03-15 BC", "infinity", "-infinity"),
        note="Days since 1970-01-01, proleptic Gregorian; the infinities are an int's ends. **Differs.**",
    ),
    _row("time(0) to time(3)", "time", typmod=3, texts=("13:51:30.123",), note="Milliseconds since midnight."),
    _row("time, time(4) to time(6)", "time", texts=("24:00:00",), note="Microseconds since midnight."),
    _row(
        "time with time zone", "timetz", texts=("13:51:30.123789+02", "24:00:00+00", "08:00:00-00:30"),
        note="Its own offset is kept, where Debezium turns it into UTC. **Differs.**",
    ),
    _row("timestamp(0) to timestamp(3)", "timestamp", typmod=3, texts=("2016-11-04 13:51:30.123",),
         note="Milliseconds since the epoch."),
    _row(
        "timestamp, timestamp(4) to timestamp(6)", "timestamp",
        texts=("2016-11-04 13:51:30.123456", "4713-12-31 23:59:59.999999 BC", "infinity", "-infinity"),
        note="Microseconds since the epoch; the infinities are a long's ends, in milliseconds too. A finite value from "
        "294247-01-10 04:00:54.775807 on is a conversion failure. **Differs.**",
    ),
    _row(
        "timestamp with time zone", "timestamptz",
        texts=("2016-11-04 11:51:30.123456+00", "21016-11-04 06:51:30+00", "0001-12-31 00:00:00+00 BC", "infinity"),
        note=f"In UTC, with six fraction digits. {_CENTURY}",
    ),
    _row(
        "interval", "interval", texts=("P1Y2M3DT4H5M6.78S", "P-1Y3DT-0.5S", "PT0S"),
        note="Every field is written, each with its sign. PostgreSQL 17's infinities as `infinity`, `-infinity`. "
        "Debezium's default is a number of microseconds. **Differs.**",
    ),
    _row("uuid", "uuid", texts=("0f8fad5b-d9cb-469f-a165-70867728950e",)),
    _row("json", "json", texts=('{"b":1,  "a":1.10}',), note="The original text, byte for byte."),
    _row("jsonb", "jsonb", texts=('{"a": 1.10, "b": 1}',), note="The server's text."),
    _row("xml", "xml"),
    _row("tsvector", "tsvector", texts=("'fat':2 'rat':3",)),
    _row(
        "inet, cidr, macaddr, macaddr8", "inet", "cidr", "macaddr", "macaddr8", texts=("192.168.0.1",),
        note="As the server prints them.",
    ),
    _row("point", "point", texts=("(1.5,2.5)",), note="`wkb` is the same point as well-known binary."),
    _row(
        "line, lseg, box, path, polygon, circle", "line", "lseg", "box", "path", "polygon", "circle",
        texts=("(1,1),(0,0)",), note="The server's text. Debezium leaves them out. **Differs.**",
    ),
    Row(
        label="ranges, multiranges",
        types=(_made("int4range", "range", "pg_catalog"), _made("textrange", "range"), _made("m", "multirange")),
        texts=('["2025-12-31 22:00:00+00",)', "{[1,3),[5,8)}"),
        note="The server's text, bounds with a time zone in UTC. Debezium leaves multiranges out. **Differs.**",
    ),
    _of("enum", _MOOD, "The parameter `allowed` lists the labels in their order.", ("ok",)),
    _of("domain", _PRICE, "As the type under it, nested domains and their modifiers resolved. Here: over "
        "numeric(10,2).", ("9.90",)),
    _of(
        "composite type, row type", _ADDRESS, "One nullable field for each attribute; the namespace is the prefix and "
        "the type's schema. A row has the attributes of its own moment; drop, rename or replace one only when the "
        "producer has caught up: the log does not tell what it was. Debezium leaves them out. **Differs.**",
        ('("Main St, 1",)',),
    ),
    _of(
        "array", _array(_base("int4")), "Of every type of this page. As deep as the column is declared, at least one. "
        "A value of another depth, or one that does not count from 1, is a conversion failure. **Differs.**",
        ("{1,NULL,3}", "{}"),
    ),
    _of("array of two dimensions", _array(_base("text")), "Dump and restore, LIKE and CREATE TABLE AS forget the "
        "declared depth; `check` names columns whose values disagree.", ('{{a,NULL},{"NULL",""}}',), 2),
    _of("citext", _base("citext", "public")),
    _of("hstore", _base("hstore", "public"), "A JSON object; null values are kept.", ('"a"=>"1", "b"=>NULL',)),
    _of("ltree", _base("ltree", "public")),
    _of("PostGIS geometry", _base("geometry", "public"), "EWKB.",
        ("0101000020E6100000000000000000F03F0000000000000040",)),
    _of("PostGIS geography", _base("geography", "public"), "EWKB."),
    _of("pgvector vector", _base("vector", "public"), "", ("[1,2.5]",)),
    _of("pgvector halfvec", _base("halfvec", "public")),
    _row(
        "pg_lsn, tsquery, jsonpath, regclass, any other type", "pg_lsn", texts=("16/B374D848",),
        note="The server's text; `postgres.type` is the type's name. Never left out. **Differs.**",
    ),
)  # fmt: skip
"""All types of the table: a test looks for what is missing."""

# (setting, its value, types by their label): the Avro type and the value that the mode makes of their texts.
MODES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("decimal.handling.mode", "double", ("numeric(p,s)", "numeric", "money")),
    ("decimal.handling.mode", "string", ("numeric(p,s)", "numeric", "money")),
    *(
        ("time.precision.mode", mode, ("date", "time, time(4) to time(6)", "timestamp(0) to timestamp(3)"))
        for mode in ("adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds")
    ),
    ("interval.handling.mode", "numeric", ("interval",)),
    ("hstore.handling.mode", "map", ("hstore",)),
    ("binary.handling.mode", "base64", ("bytea",)),
    ("binary.handling.mode", "base64-url-safe", ("bytea",)),
    ("binary.handling.mode", "hex", ("bytea",)),
    ("array.handling.mode", "string", ("array of two dimensions",)),
    ("avro.logical.types", "true",
     ("date", "time(0) to time(3)", "time, time(4) to time(6)", "timestamp(0) to timestamp(3)",
      "timestamp, timestamp(4) to timestamp(6)", "uuid")),
)  # fmt: skip
