"""What the sink makes of each PostgreSQL type: found out by trying, held by the tests."""

from __future__ import annotations

from dataclasses import dataclass

# What a database needs before a table of these types.
TYPES = (
    "CREATE EXTENSION citext",
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION ltree",
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'a,b ''c')",
    "CREATE DOMAIN posint AS int CHECK (VALUE > 0)",
    "CREATE DOMAIN deeper AS posint",
    "CREATE DOMAIN price AS numeric(10,2)",
    "CREATE TYPE address AS (street text, zip int)",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A column type, the type that the sink gives the column where it makes the table, and values."""

    name: str
    made: str
    literals: tuple[str, ...]


# In a table that was made beforehand, like the source's, every value is printed as in the source; in one that the
# sink makes too, but for those of REWRITTEN.
EXACT = (
    Kind("smallint", "smallint", ("1", "-32768", "32767")),
    Kind("integer", "integer", ("1", "-2147483648", "2147483647")),
    Kind("bigint", "bigint", ("9007199254740993", "-9223372036854775808", "9223372036854775807")),
    Kind("oid", "bigint", ("1", "4000000000")),
    Kind("xid8", "text", ("'18446744073709551615'",)),
    Kind("real", "real", ("1.5", "'-0'", "'1e-45'", "'3.4028235e38'", "'Infinity'", "'NaN'")),
    Kind("double precision", "double precision", ("0.1", "'-0'", "'1.7976931348623157e308'", "'5e-324'", "'NaN'")),
    Kind("numeric(10,2)", "numeric(10,2)", ("1.1", "-99999999.99", "0")),
    Kind("numeric(38,20)", "numeric(38,20)", ("123456789012345678.00000000000000000001", "-0.00000000000000000001")),
    Kind("numeric", "double precision", ("0", "1.50000", "-0.00000000000000000001", "1e130", f"'{'9' * 300}.25'")),
    Kind("numeric(64,2)", "numeric(38,2)", ("1.25", f"-{'9' * 36}.99")),
    Kind("money", "numeric(38,2)", ("'-1234.50'", "'92233720368547758.07'")),
    Kind("boolean", "boolean", ("true", "false")),
    Kind("char(5)", "text", ("'ab'", "''")),
    Kind("varchar(10)", "text", ("'x'", "''", "'NULL'")),
    Kind("text", "text", ("'a'", "''", "E'\\\\N'", "E'\\t\\n\\r\\\\\\x01\"{},''$1?:a'", "repeat('€😀', 3000)")),
    Kind("citext", "text", ("'AbC'",)),
    Kind("bytea", "bytea", ("'\\xdeadbeef00'", "''", "decode(repeat('00ff', 4000), 'hex')")),
    Kind("date", "date", ("'2016-11-04'", "'4713-01-01 BC'", "'5874897-12-31'", "'1582-10-10'")),
    Kind("time", "time(6) without time zone", ("'13:51:30.123456'", "'23:59:59.999999'", "'00:00'")),
    Kind("time(3)", "time(6) without time zone", ("'13:51:30.123'", "'00:00'")),
    Kind("timetz", "time(6) with time zone", ("'13:51:30.5+02'", "'00:00:00-15:59:59'")),
    Kind("timestamp", "timestamp(6) without time zone", (
        "'2016-11-04 13:51:30.123456'", "'4713-01-01 00:00 BC'", "'9999-12-31 23:59:59'", "'1582-10-10 00:00'",
        "'-infinity'", "'2024-03-31 02:30'",
    )),
    Kind("timestamp(3)", "timestamp(6) without time zone", (
        "'2016-11-04 13:51:30.123'", "'294276-12-31 23:59:59.999'", "'-infinity'",
    )),
    Kind("timestamptz", "timestamp(6) with time zone", (
        "'2016-11-04 13:51:30.1+02'", "'4713-01-01 00:00+00 BC'", "'294276-12-31 23:59:59+00'", "'infinity'",
        "'-infinity'",
    )),
    Kind("interval", "text", ("'1 year 2 mons 3 days 4:05:06.78'", "'-178000000 years'", "'-1 mons +1 day'", "'0'")),
    Kind("uuid", "uuid", ("'0F8FAD5B-D9CB-469F-A165-70867728950E'",)),
    Kind("json", "json", ('\'{"b":1,  "a":1.10}\'', "'null'", "'\"\\u00e9\"'")),
    Kind("jsonb", "json", ('\'{"b":1,  "a":1.10}\'', "'null'", "'[]'")),
    Kind("xml", "xml", ("'<r a=\"1\">x</r>'",)),
    Kind("mood", "text", ("'sad'", "'a,b ''c'")),
    Kind("inet", "text", ("'192.168.0.1'", "'::ffff:1.2.3.4/96'")),
    Kind("cidr", "text", ("'10.0.0.0/8'",)),
    Kind("macaddr", "text", ("'08:00:2b:01:02:03'",)),
    Kind("ltree", "ltree", ("'a.b.c'",)),
    Kind("tsvector", "tsvector", ("'a:1A fat:2'",)),
    Kind("int4range", "text", ("'[1,10)'", "'empty'", "'(,)'")),
    Kind("tstzrange", "text", ("'[2026-01-01 00:00+02,)'",)),
    Kind("int4multirange", "text", ("'{[1,3),[5,7)}'", "'{}'")),
    Kind("line", "text", ("'{1,2,3}'",)),
    Kind("pg_lsn", "text", ("'0/16B3748'",)),
    Kind("deeper", "integer", ("7", "2147483647")),
    Kind("price", "numeric(10,2)", ("9.9",)),
    Kind("smallint[]", "smallint[]", ("'{1,NULL,-32768}'",)),
    Kind("integer[]", "integer[]", ("'{1,NULL,-2147483648}'", "'{}'")),
    Kind("bigint[]", "bigint[]", ("'{9223372036854775807,NULL}'",)),
    Kind("real[]", "real[]", ("'{1.5,NaN}'",)),
    Kind("double precision[]", "double precision[]", ("'{0.1,-Infinity,NULL}'",)),
    Kind("boolean[]", "boolean[]", ("'{t,NULL,f}'",)),
    Kind("text[]", "text[]", ("ARRAY['a', NULL, 'NULL', 'b c', E'd\"e\\\\', '', '{}', 'é,']", "'{}'")),
    Kind("uuid[]", "uuid[]", ("'{0f8fad5b-d9cb-469f-a165-70867728950e,NULL}'",)),
    Kind("jsonb[]", "json[]", ("""ARRAY['{"a": [1, "x"]}'::jsonb, NULL]""",)),
    Kind("posint[]", "integer[]", ("'{1,2}'",)),
)  # fmt: skip
# Understood only where the sink makes the table.
MADE = (
    Kind("bit(1)", "boolean", ("B'1'", "B'0'")),
    Kind("mood[]", "text[]", ("'{ok,NULL,\"a,b ''c\"}'",)),
    Kind("hstore", "json", ("'a=>1, \"b c\"=>NULL'", "''")),
)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a column that the sink makes can hold of a type: how to look at both sides to see the same."""

    source: str
    copy: str
    why: str


REWRITTEN = {
    "numeric": Rewritten("{}::float8", "{}", "the sink makes double precision of every VariableScaleDecimal"),
    "money": Rewritten("{}::numeric", "{}", "an amount without its currency"),
    "interval": Rewritten("{}", "{}::interval", "the sink takes intervals as microseconds only: else text of ISO 8601"),
    "bit(1)": Rewritten("{}::int::boolean", "{}", "one bit is a boolean, as in Debezium's events"),
    "hstore": Rewritten("hstore_to_jsonb({})", "{}::jsonb", "hstore is sent as JSON"),
}


@dataclass(frozen=True, slots=True)
class Other:
    """A value that the sink does not understand."""

    name: str
    literal: str
    words: str
    """Of the error that stops it, or of what it writes."""
    why: str
    beforehand: bool = False
    """In a table that was made beforehand, only there."""


_BY_NAME = "the sink asks the server for an array of its own name for the type, modifiers included"
STOPS = (
    Other("date", "'infinity'", "date out of range", "the sink knows no infinite date: the marker is a day to it"),
    Other("time", "'24:00'", "Invalid value for NanoOfDay", "Java's day ends before 24:00"),
    Other(
        "timestamp(3)", "'infinity'", "timestamp out of range", "the marker, taken as milliseconds, is too late a year"
    ),
    Other("numeric(10,2)[]", "'{1.1}'", "Unable to find server array type for provided name decimal(10,2)", _BY_NAME),
    Other("timestamp[]", "'{2026-01-01}'", "Unable to find server array type", _BY_NAME),
    Other("timestamptz[]", "'{2026-01-01}'", "Unable to find server array type", _BY_NAME),
    Other("numeric[]", "'{1.1}'", 'double precision: "Struct{scale=1', "elements are bound as Java prints them"),
    Other("date[]", "'{2016-11-04}'", 'invalid input syntax for type date: "17109"', "elements are bound unconverted"),
    Other("integer[][]", "'{{1,2},{3,4}}'", "server array type for provided name integer[]", _BY_NAME),
    Other(
        "bit(5)", "B'10011'", "HeapByteBuffer cannot be cast", "it expects another class than its converter gives it"
    ),
    Other(
        "point", "'(1,2)'", "function public.st_geomfromwkb(bytea, integer) does not exist", "it needs PostGIS for it"
    ),
    Other("address", "ROW('a', 1)", "Failed to resolve column type for schema: STRUCT", "it knows no records"),
    Other("mood[]", "'{ok}'", "is of type mood[] but expression is of type text[]", "elements are text to it", True),
    Other("bit(1)", "B'1'", "is of type bit but expression is of type boolean", "one bit is a boolean", True),
    Other("hstore", "'a=>1'", "is of type hstore but expression is of type json", "it is sent as JSON", True),
)
# The sink goes on, and the copy is wrong.
CHANGED = (
    Other(
        "timestamp", "'infinity'", "294247-01-10 04:00:54.775807", "the marker, taken as microseconds, is a valid time"
    ),
    Other(
        "bytea[]",
        "ARRAY['\\xdead'::bytea]",
        b"java.nio.HeapByteBuffer[".hex(),
        "elements are written as Java names them",
    ),
)
# With STRINGS, in a table that was made beforehand, these are exact too.
STRINGS: dict[str, object] = {
    "array.handling.mode": "string",
    "decimal.handling.mode": "string",
    "time.precision.mode": "isostring",
}
EXACT_AS_STRINGS = (
    Kind("date", "", ("'infinity'", "'-infinity'", "'2016-11-04'")),
    Kind("time", "", ("'24:00'", "'13:51:30.123456'")),
    Kind("timestamp", "", ("'infinity'", "'-infinity'", "'2016-11-04 13:51:30.123456'")),
    Kind("timestamp(3)", "", ("'infinity'", "'-infinity'", "'2016-11-04 13:51:30.123'")),
    Kind("numeric", "", ("'NaN'", "'-Infinity'", "1.500")),
    Kind("numeric(10,2)", "", ("'NaN'", "1.5")),
    Kind("money", "", ("-1234.5",)),
    Kind("bytea[]", "", ("ARRAY['\\xdead'::bytea, NULL]",)),
    Kind("date[]", "", ("'{2016-11-04,infinity}'",)),
    Kind("timestamp[]", "", ("'{2026-01-01,infinity}'",)),
    Kind("timestamptz[]", "", ("'{2026-01-01,-infinity}'",)),
    Kind("interval[]", "", ("'{1 day 2 hours}'",)),
    Kind("numeric[]", "", ("'{1.10,NULL,NaN}'",)),
    Kind("numeric(10,2)[]", "", ("'{1.1,NULL,NaN}'",)),
    Kind("mood[]", "", ("'{ok,\"a,b ''c\"}'",)),
    Kind("integer[][]", "", ("'{{1,2},{3,NULL}}'", "'[5:6]={1,2}'")),
    Kind("address[]", "", ("ARRAY[ROW('a,\"', 1)::address, NULL]",)),
    Kind("hstore[]", "", ("ARRAY['a=>1'::hstore]",)),
)
