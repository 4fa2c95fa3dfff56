"""The cases: what is made, and what is done to it. Each is a folder beside this file."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One oddity. Without statements of its own: a table `t` with one row, whose column `v` holds the literal."""

    name: str
    type: str = ""
    literal: str = ""
    ddl: tuple[str, ...] = field(default=(), kw_only=True)
    """Before the table is made."""
    table: str = field(default="t", kw_only=True)
    """Its name, unquoted."""
    create: str = field(default="", kw_only=True)
    statements: tuple[str, ...] = field(default=(), kw_only=True)
    options: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)
    """Of the plugin, other than the producer's own."""
    numbers_as_strings: bool = field(default=False, kw_only=True)
    """Records as wal2json 2.6 prints them when asked for strings: made of those of 2.5, null for NaN."""

    @property
    def made(self) -> str:
        """The table's definition."""
        return self.create or f"CREATE TABLE t (id int PRIMARY KEY, v {self.type})"

    @property
    def done(self) -> tuple[str, ...]:
        """What is logged."""
        return self.statements or (f"INSERT INTO t VALUES (1, {self.literal})",)


_KINDS = ('CREATE SCHEMA "int"', "CREATE TYPE \"int\".kind AS ENUM ('a', 'b')", 'CREATE SCHEMA "Q S"',
          """CREATE TYPE "Q S"."My.Enum" AS ENUM ('x', 'y "z"')""")  # fmt: skip
_PEOPLE = (
    "CREATE TYPE address AS (street text, zip int, raw bytea)",
    "CREATE TYPE person AS (name text, home address, other address[])",
)
_LONGEST = "ü" * 31 + "x"

CASES = (
    Case(
        "nan-printed-as-null",
        create="CREATE TABLE t (id int PRIMARY KEY, f4 real, f8 double precision, n numeric, really_null real)",
        statements=("INSERT INTO t VALUES (1, 'NaN', '-Infinity', 'NaN', NULL)",),
    ),
    Case(
        "numbers-as-strings",
        create="CREATE TABLE t (id int PRIMARY KEY, i2 smallint, i8 bigint, o oid, f4 real, f8 float8, n numeric(6,2))",
        statements=("INSERT INTO t VALUES (1, -1, 9223372036854775807, 4000000000, 'NaN', -1e-7, 12.50)",),
        numbers_as_strings=True,
    ),
    Case("nan-inside-of-an-array", "real[]", "'{NaN,-Infinity,NULL,1.5}'"),
    Case(
        "type-in-a-schema-that-needs-quoting",
        ddl=_KINDS,
        create='CREATE TABLE t (id int PRIMARY KEY, a "int".kind, b "Q S"."My.Enum", c "Q S"."My.Enum"[])',
        statements=("""INSERT INTO t VALUES (1, 'b', 'y "z"', '{x,NULL,"y \\"z\\""}')""",),
    ),
    Case(
        "broken-json-of-a-quoted-type",
        ddl=_KINDS,
        create='CREATE TABLE t (id int PRIMARY KEY, a "int".kind)',
        statements=("INSERT INTO t VALUES (1, 'b')",),
        options=(("include-types", "1"),),
    ),
    Case(
        "unchanged-toast-left-out",
        create="CREATE TABLE t (id int PRIMARY KEY, n int, big text)",
        statements=(
            "ALTER TABLE t ALTER big SET STORAGE EXTERNAL, SET (toast_tuple_target = 128)",
            "INSERT INTO t VALUES (1, 1, repeat('x', 200))",
            "UPDATE t SET n = 2",
        ),
    ),
    Case(
        "domain-values-are-strings",
        ddl=("CREATE DOMAIN posint AS int", "CREATE DOMAIN deeper AS posint", "CREATE DOMAIN raw AS bytea",
             "CREATE DOMAIN flag AS boolean", "CREATE DOMAIN price AS numeric(10,2)", "CREATE DOMAIN ratio AS float8"),
        create="CREATE TABLE t (id int PRIMARY KEY, a posint, b deeper, c raw, d flag, e price, f ratio, g ratio)",
        statements=("INSERT INTO t VALUES (1, 7, -7, '\\xdead', true, 9.9, 'NaN', 1e20)",),
    ),
    Case("nested-record-with-quotes-and-backslashes", "person",
         """ROW('a"b\\c,(d)', ROW(E'e\\\\\\\\f\\'""', 1, '\\x5c22')::address, """
         """ARRAY[ROW('g"{\\', NULL, NULL)::address, NULL])::person""", ddl=_PEOPLE),
    Case("empty-text-and-null-in-records", "address[]",
         "ARRAY[ROW('', 1, '')::address, ROW(NULL, NULL, NULL)::address, ROW('NULL', 0, NULL)::address]", ddl=_PEOPLE),
    Case("null-and-the-word-null-in-an-array", "text[]",
         "ARRAY['a', NULL, 'NULL', 'null', '', ' ', 'b c', E'd\"e\\\\', '{}', 'f,g', 'é']"),
    Case("array-without-elements-of-two-dimensions", "int[][]", "'{}'"),
    Case("array-of-three-dimensions", "text[][][]", """'{{{a,NULL},{"b}",""}},{{c,"\\""},{d,e}}}'"""),
    Case("array-of-other-lower-bounds", "int[]", "'[0:1]={7,8}'"),
    Case("array-deeper-than-declared", "int[]", "'{{1,2},{3,4}}'"),
    Case("boxes-are-parted-by-semicolons", "box[]", "'{(1,1),(0,0);(2,2),(1,1)}'"),
    Case("bytea-inside-of-an-array", "bytea[]", "ARRAY['\\x'::bytea, '\\x5c78', NULL]"),
    Case(
        "end-of-the-day",
        create="CREATE TABLE t (id int PRIMARY KEY, a time, b time(3), c timetz, d time[])",
        statements=("INSERT INTO t VALUES (1, '24:00', '24:00', '24:00:00-15:59:59', '{24:00,00:00:00.000001}')",),
    ),
    Case(
        "before-christ",
        create="CREATE TABLE t (id int PRIMARY KEY, a date, b timestamp, c timestamp(3), d timestamptz, e tstzrange)",
        statements=(
            "INSERT INTO t VALUES (1, '4714-11-24 BC', '4713-12-31 23:59:59.999999 BC', '0001-12-31 23:59:59.999 BC', "
            "'0001-01-01 00:00+00 BC', '[4714-12-31 00:00+00 BC,)')",
        ),
    ),
    Case(
        "infinite-times",
        create="CREATE TABLE t (id int PRIMARY KEY, a date, b timestamp, c timestamp(3), d timestamptz, e date[])",
        statements=("INSERT INTO t VALUES (1, '-infinity', 'infinity', '-infinity', 'infinity', '{infinity}')",),
    ),
    Case("timestamp-at-the-long-s-end", "timestamp", "'294247-01-10 04:00:54.775807'"),
    Case("timestamp-before-the-long-s-end", "timestamp", "'294247-01-10 04:00:54.775806'"),
    Case("interval-with-mixed-signs", "interval[]",
         "'{0,1 year 2 mons 3 days 4:05:06.78,-1 year 3 days -0.5 seconds,-1 mons +1 day,-0.000001 seconds}'"),
    Case("numeric-of-negative-scale", "numeric(5,-2)", "12345"),
    Case("numeric-of-more-scale-than-precision", "numeric(3,5)", "-0.00128"),
    Case("numeric-of-a-thousand-digits", "numeric", "-('1' || repeat('0', 999))::numeric"),
    Case("numeric-s-display-scale", "numeric[]", "'{0,0.000,1.50000,-1.28,1e20}'"),
    Case("numeric-nan", "numeric(6,2)", "'NaN'"),
    Case("money-with-its-marks", "money", "'-1234567.89'"),
    Case("bits-drop-high-zeros", "bit(16)", "B'0000000100000000'"),
    Case("line-separator-u2028", "text", "E'a\\u2028b\\u2029c\\ufeff'"),
    Case("control-characters", "text", "E'\\x01\\x02\\b\\t\\n\\x0b\\f\\r\\x1e\\x1f\\x7f'"),
    Case("json-in-a-text", "text", """'{"a":"b\\u00e9\\n\\\\\\"","identity":[{"name":"x"}],"columns":[null]}'"""),
    Case("backslash-n", "text[]", "ARRAY['\\N', '\\', E'\\\\\\\\N', '\\.']"),
    Case(
        "update-under-identity-full",
        create="CREATE TABLE t (id int PRIMARY KEY, v text, w numeric)",
        statements=(
            "ALTER TABLE t REPLICA IDENTITY FULL",
            "INSERT INTO t VALUES (1, NULL, 1.0)",
            "UPDATE t SET v = ''",
            "DELETE FROM t",
            "INSERT INTO t VALUES (2, 'last', NULL)",
        ),
    ),
    Case(
        "change-of-the-key",
        create="CREATE TABLE t (a text, b int, v text, PRIMARY KEY (b, a))",
        statements=("INSERT INTO t VALUES ('x', 1, 'v')", "UPDATE t SET a = 'y'", "UPDATE t SET v = 'w'"),
    ),
    Case(
        "odd-names",
        table='T "q".a b\\ü',
        create=f"""CREATE TABLE "T ""q"".a b\\ü" ("order-id" int, "größe" text, "1st" text, "_u2d_" text,"""
        f""" "a""b\\c.d" text, "{_LONGEST}" text, PRIMARY KEY ("order-id", "1st"))""",
        statements=("""INSERT INTO "T ""q"".a b\\ü" VALUES (1, 'g', 'f', 'u', 'q', 'l')""",),
    ),
)  # fmt: skip
