"""The same row by snapshot and by stream: the same bytes; and types.md's own Avro for what is rarely used."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from producer import __version__
from producer.sink.consume import LogReader, consumer_config
from tests.harness import Command, Source

pytestmark = pytest.mark.matrix

TYPES = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "CREATE DOMAIN posint AS int CHECK (VALUE > 0)",
    "CREATE DOMAIN deeper AS posint",
    "CREATE DOMAIN price AS numeric(10,2)",
    "CREATE TYPE address AS (street text, zip int)",
)
# (column type, literals: ordinary and extreme)
COLUMNS: list[tuple[str, tuple[str, ...]]] = [
    ("smallint", ("1", "-32768", "32767")),
    ("integer", ("1", "-2147483648")),
    ("bigint", ("1", "-9223372036854775808", "9223372036854775807")),
    ("real", ("1.5", "'-0'", "'1e-45'", "'3.4028235e38'", "'Infinity'", "'NaN'")),
    ("double precision", ("0.1", "'-0'", "'1.7976931348623157e308'", "'-Infinity'", "'NaN'")),
    ("numeric(10,2)", ("1.1", "-99999999.99", "0")),
    ("numeric", ("0", "1.50000", "-0.00000000000000000001", "1e130")),
    ("boolean", ("true", "false")),
    ("char(5)", ("'ab'", "''")),
    ("varchar(10)", ("'x'", "''")),
    ("text", ("'a'", "''", "E'\\\\N'", "E'\\t\\n\\r\\\\\\x01\"{},'", "repeat('€😀', 3000)")),
    ("bytea", ("'\\xdeadbeef'", "''", "decode(repeat('00ff', 4000), 'hex')")),
    ("date", ("'2016-11-04'", "'4713-01-01 BC'", "'5874897-12-31'", "'infinity'")),
    ("time", ("'13:51:30.123456'", "'24:00:00'", "'00:00'")),
    ("time(3)", ("'13:51:30.123'", "'24:00:00'")),
    ("timetz", ("'13:51:30.5+02'", "'00:00:00-15:59:59'")),
    ("timestamp", ("'2016-11-04 13:51:30.123456'", "'4713-01-01 00:00 BC'", "'infinity'", "'9999-12-31 23:59:59'")),
    ("timestamp(3)", ("'2016-11-04 13:51:30.123'", "'294276-12-31 23:59:59.999'", "'-infinity'")),
    ("timestamptz", ("'2016-11-04 13:51:30.1+02'", "'4713-01-01 00:00+00 BC'", "'294276-12-31 23:59:59+00'")),
    ("interval", ("'1 year 2 mons 3 days 4:05:06.78'", "'178000000 years'", "'-1 mons +1 day'")),
    ("uuid", ("'0F8FAD5B-D9CB-469F-A165-70867728950E'",)),
    ("json", ('\'{"b":1,  "a":1.10}\'', "'null'", "'\"\\u00e9\"'")),
    ("jsonb", ('\'{"b":1,  "a":1.10}\'', "'null'")),
    ("mood", ("'sad'", "'ok'")),
    ("inet", ("'192.168.0.1'", "'::ffff:1.2.3.4/96'")),
    ("cidr", ("'10.0.0.0/8'",)),
    ("macaddr", ("'08:00:2b:01:02:03'",)),
    ("money", ("'-1234.50'", "'92233720368547758.07'")),
    ("point", ("'(1.5,-2)'", "'(1e300,0)'")),
    ("int4range", ("'[1,10)'", "'empty'", "'(,)'")),
    ("tstzrange", ("'[2026-01-01 00:00+02,)'",)),
    ("address", ('\'("Main St, ""1""",12345)\'', "ROW(NULL, NULL)")),
    ("deeper", ("7", "2147483647")),
    ("price", ("9.9",)),
    ("bit(2)", ("B'11'", "B'00'")),
    ("varbit", ("B'00101'",)),
    ("integer[]", ("'{1,NULL,-2147483648}'", "'{}'")),
    ("text[]", ("ARRAY['a', NULL, 'NULL', 'b c', E'd\"e\\\\', '', '{}']",)),
    ("numeric(10,2)[]", ("'{1.1,NULL}'",)),
    ("timestamp[]", ("'{infinity,\"2026-01-01\"}'",)),
    ("mood[]", ("'{ok,NULL}'",)),
    ("posint[]", ("'{1,2}'",)),
    ("uuid[]", ("'{0f8fad5b-d9cb-469f-a165-70867728950e}'",)),
]


def _rows(columns: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Rows of literals: each column's in turn, as many rows as the most that a column has, then one of nulls."""
    most = max(len(literals) for _, literals in columns)
    rows = [", ".join(literals[n % len(literals)] for _, literals in columns) for n in range(most)]
    return [*rows, ", ".join("NULL" for _ in columns)]


def raw_values(command: Command) -> list[bytes]:
    """The values of the topic as they lie in Kafka, without tombstones."""
    reader = LogReader(consumer_config(command.bootstrap_servers, {}))
    try:
        reader.add(reader.watermarks([(f"{command.prefix}.public.t", 0)]), from_beginning=True)
        found: list[bytes] = []
        while reader.behind:
            found += [raw.value for raw in reader.poll(to_end=True) if raw.value is not None]
        return found
    finally:
        reader.close()


def until_source(value: bytes) -> bytes:
    """Frame, before and after: all in front of the source block."""
    version = __version__.encode()
    head, mark, _ = value.partition(bytes([len(version) * 2]) + version + b"\x14postgresql")
    assert mark
    return head


def test_the_same_bytes_on_both_paths(source: Source, command: Command) -> None:
    """Contract 6.2: same row, same bytes of `after`, for every type, ordinary, extreme and null."""
    # Arrays of domains came with PostgreSQL 11.
    known = [one for one in COLUMNS if source.major() >= 11 or one[0] != "posint[]"]
    columns = ", ".join(f"c{place} {kind}" for place, (kind, _) in enumerate(known))
    inserts = [f"INSERT INTO t VALUES ({number}, {row})" for number, row in enumerate(_rows(known))]
    source.execute(*TYPES, f"CREATE TABLE t (id int PRIMARY KEY, {columns})", *inserts)
    settings: dict[str, object] = {"skipped.operations": "d"}
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute("DELETE FROM t", *inserts)
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    records: list[Any] = list(command.records("public.t"))
    assert [record.value["op"] for record in records] == ["r"] * len(inserts) + ["c"] * len(inserts)
    for copied, streamed in zip(records[: len(inserts)], records[len(inserts) :], strict=True):
        for place, (kind, _) in enumerate(known):
            name = f"c{place}"
            assert repr(copied.value["after"][name]) == repr(streamed.value["after"][name]), kind
    raw = [until_source(value) for value in raw_values(command)]
    assert raw[: len(inserts)] == raw[len(inserts) :]


@pytest.mark.parametrize(
    ("kind", "literal", "expected"),
    [
        ("money", "'-1234.50'", Decimal("-1234.50")),
        (
            "point",
            "'(1.5,2.5)'",
            {"x": 1.5, "y": 2.5, "wkb": struct.pack("<BIdd", 1, 1, 1.5, 2.5), "srid": None},
        ),
        ("address", "ROW('Main St, 1', 12345)", {"street": "Main St, 1", "zip": 12345}),
        ("address[]", "ARRAY[ROW('a', NULL)::address]", [{"street": "a", "zip": None}]),
        ("integer[][]", "'{{1,2},{3,NULL}}'", [[1, 2], [3, None]]),
        ("bit(1)", "B'1'", True),
        ("bit(2)", "B'11'", b"\x03"),
        ("bit(16)", "B'1000000000000000'", b"\x00\x80"),
    ],
)
def test_values_of_types_md(source: Source, command: Command, kind: str, literal: str, expected: object) -> None:
    """types.md, each row of its own: on the snapshot path and on the stream path."""
    source.execute(*TYPES, f"CREATE TABLE t (id int PRIMARY KEY, v {kind})", f"INSERT INTO t VALUES (1, {literal})")
    assert command.run("run", "--once").returncode == 0
    source.execute(f"INSERT INTO t VALUES (2, {literal})")
    assert command.run("run", "--once").returncode == 0
    records: list[Any] = list(command.records("public.t"))
    assert [record.value["after"]["v"] for record in records] == [expected, expected]
