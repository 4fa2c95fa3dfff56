"""Values: the same row gives the same `after` by snapshot and by stream, and it is what types.md says."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from typing import Any

import pytest

from tests.harness import Command, Source

pytestmark = pytest.mark.matrix

NAN = "a number that is not one"

# (column type, SQL literal, what a consumer decodes)
VALUES: list[tuple[str, str, Any]] = [
    ("smallint", "-32768", -32768),
    ("integer", "2147483647", 2147483647),
    ("bigint", "9007199254740993", 9007199254740993),
    ("bigint", "-9223372036854775808", -(2**63)),
    ("oid", "4000000000", 4000000000),
    ("boolean", "true", True),
    ("real", "'3.4028235e38'", 3.4028234663852886e38),
    ("real", "'NaN'", NAN),
    ("double precision", "'-Infinity'", float("-inf")),
    ("double precision", "'0.1'", 0.1),
    ("double precision", "'5e-324'", 5e-324),
    ("numeric(3,2)", "1.1", Decimal("1.10")),
    ("numeric(20,10)", "-1234567890.0987654321", Decimal("-1234567890.0987654321")),
    ("numeric", "10.1111", {"scale": 4, "value": (101111).to_bytes(3, "big")}),
    ("numeric", "1.50000", {"scale": 5, "value": (150000).to_bytes(3, "big")}),
    ("numeric", f"'{'9' * 1000}'", {"scale": 0, "value": (10**1000 - 1).to_bytes(416, "big").lstrip(b"\\0")}),
    ("char(5)", "'ab'", "ab   "),
    ("varchar(20)", "'varchar'", "varchar"),
    ("text", "E'a\\tb\\nc\\\\d\"e\\'f\\x01 ü€😀'", "a\tb\nc\\d\"e'f\x01 ü€😀"),
    ("text", "''", ""),
    ("text", "'\\N'", "\\N"),
    ("name", "'aname'", "aname"),
    ('"char"', "'c'", "c"),
    ("bytea", "'\\xdeadbeef00'", bytes.fromhex("deadbeef00")),
    ("bytea", "''", b""),
    ("date", "'2016-11-04'", 17109),
    ("date", "'0044-03-15 BC'", -735160),
    ("date", "'infinity'", 2147483647),
    ("date", "'-infinity'", -2147483648),
    ("time", "'24:00:00'", 86400000000),
    ("time(3)", "'13:51:30.123'", 49890123),
    ("timetz", "'13:51:30.123789+02'", "13:51:30.123789+02:00"),
    ("timetz", "'24:00:00+00'", "24:00:00Z"),
    ("timestamp", "'2016-11-04 13:51:30.123456'", 1478267490123456),
    ("timestamp", "'4713-12-31 23:59:59.999999 BC'", -210831897600000001),
    ("timestamp", "'infinity'", 9223372036854775807),
    ("timestamp(3)", "'2016-11-04 13:51:30.123'", 1478267490123),
    ("timestamp(3)", "'-infinity'", -9223372036854775808),
    ("timestamptz", "'2016-11-04 13:51:30.123456+02'", "2016-11-04T11:51:30.123456Z"),
    ("timestamptz", "'4714-12-31 00:00:00+00 BC'", "-4713-12-31T00:00:00.000000Z"),
    ("timestamptz", "'21016-11-04 06:51:30+00'", "+21016-11-04T06:51:30.000000Z"),
    ("timestamptz", "'-infinity'", "-infinity"),
    ("interval", "'1 year 2 months 3 days 4:05:06.78'", "P1Y2M3DT4H5M6.78S"),
    ("interval", "'-1 year 3 days -0.5 seconds'", "P-1Y0M3DT0H0M-0.5S"),
    ("interval", "'0'", "P0Y0M0DT0H0M0S"),
    ("uuid", "'0F8FAD5B-D9CB-469F-A165-70867728950E'", "0f8fad5b-d9cb-469f-a165-70867728950e"),
    ("json", '\'{"b":1,  "a": [1.10, "\\u00e9"]}\'', '{"b":1,  "a": [1.10, "\\u00e9"]}'),
    ("jsonb", '\'{"b":1.10, "a": null}\'', '{"a": null, "b": 1.10}'),
    ("xml", "'<r><x>1</x></r>'", "<r><x>1</x></r>"),
    ("mood", "'ok'", "ok"),
    ("posint", "7", 7),
    ("price", "9.9", Decimal("9.90")),
    ("raw", "'\\xdead'", b"\xde\xad"),
    ("inet", "'192.168.0.1/24'", "192.168.0.1/24"),
    ("int4range", "'[1,10)'", "[1,10)"),
    ("tstzrange", "'[2026-01-01 00:00+02,)'", '["2025-12-31 22:00:00+00",)'),
    ("point", "'(1.5,2.5)'", {"x": 1.5, "y": 2.5, "wkb": struct.pack("<BIdd", 1, 1, 1.5, 2.5), "srid": None}),
    ("address", "'(\"Main St, 1\",12345)'", {"street": "Main St, 1", "zip": 12345}),
    ("integer[]", "'{1,2,NULL}'", [1, 2, None]),
    (
        "text[]",
        "ARRAY['a', NULL, 'NULL', 'b c', 'd\"e\\\\', '', 'é,{}']",
        ["a", None, "NULL", "b c", 'd"e\\\\', "", "é,{}"],
    ),
    ("boolean[]", "'{t,f}'", [True, False]),
    ("numeric(10,2)[]", "'{1.1,NULL}'", [Decimal("1.10"), None]),
    ("double precision[]", "'{NaN,1}'", [NAN, 1.0]),
    ("timestamptz[]", "'{infinity,\"2026-01-01 00:00+00\"}'", ["infinity", "2026-01-01T00:00:00.000000Z"]),
    ("bytea[]", "ARRAY['\\xdead'::bytea]", [b"\xde\xad"]),
    ("jsonb[]", "ARRAY['{\"a\": 1}'::jsonb]", ['{"a": 1}']),
    ("mood[]", "'{ok,NULL}'", ["ok", None]),
    ("integer[][]", "'{{1,2},{3,4}}'", [[1, 2], [3, 4]]),
]
# A server before 15 refuses such scales.
VALUES_SINCE_15: list[tuple[str, str, Any]] = [
    ("numeric(5,-2)", "12345", Decimal(12300)),
    ("numeric(3,5)", "0.00123", Decimal("0.00123")),
]
TYPES = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "CREATE DOMAIN posint AS int CHECK (VALUE > 0)",
    "CREATE DOMAIN price AS numeric(10,2)",
    "CREATE DOMAIN raw AS bytea",
    "CREATE TYPE address AS (street text, zip int)",
)


def comparable(value: Any) -> Any:
    """NaN is never equal to itself."""
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return NAN if isinstance(value, float) and math.isnan(value) else value


def test_every_type_on_both_paths(source: Source, command: Command) -> None:
    """One table with a column for each value, one row copied, one streamed, one of nulls."""
    known = VALUES + (VALUES_SINCE_15 if source.major() >= 15 else [])
    expected = {f"c{place}": value for place, (_, _, value) in enumerate(known)}
    columns = ", ".join(f"c{place} {kind}" for place, (kind, _, _) in enumerate(known))
    literals = ", ".join(literal for _, literal, _ in known)
    source.execute(*TYPES, f"CREATE TABLE t (id int PRIMARY KEY, {columns})", f"INSERT INTO t VALUES (1, {literals})")
    first = command.run("run", "--once")
    assert first.returncode == 0, first.stderr
    source.execute(f"INSERT INTO t VALUES (2, {literals})", "INSERT INTO t VALUES (3)")
    second = command.run("run", "--once")
    assert second.returncode == 0, second.stderr
    everything: list[Any] = list(command.records())
    copied, streamed, nulls = (dict(record.value["after"]) for record in everything)
    for row in (copied, streamed):
        del row["id"]
        found = {name: comparable(value) for name, value in row.items()}
        assert found == expected
    del nulls["id"]
    assert set(nulls.values()) == {None}


@pytest.mark.parametrize(
    ("kind", "literal", "words"),
    [
        ("numeric", "'NaN'", "decimal.handling.mode=string"),
        ("numeric(10,2)", "'NaN'", "decimal.handling.mode=string"),
        ("timestamp", "'294247-01-10 04:00:54.775807'", "294247"),
        ("integer[]", "'{{1,2},{3,4}}'", "array.handling.mode=string"),
        ("integer[]", "'[0:1]={7,8}'", "array.handling.mode=string"),
    ],
)
def test_what_avro_cannot_carry_stops_and_is_not_lost(
    source: Source, command: Command, kind: str, literal: str, words: str
) -> None:
    """Exit 4, table, column and LSN named; mended, it goes on from there. On both paths."""
    source.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {kind})")
    assert command.run("run", "--once").returncode == 0
    source.execute("INSERT INTO t VALUES (1)", f"INSERT INTO t VALUES (2, {literal})", "INSERT INTO t VALUES (3)")
    for _ in range(2):
        done = command.run("run", "--once")
        assert done.returncode == 4, done.stderr
        assert "table public.t, column v, at " in done.stderr
        assert words in done.stderr
    assert command.run("slot", "drop", "--yes").returncode == 0
    copied = command.run("run", "--once")
    assert copied.returncode == 4, copied.stderr
    assert "table public.t, column v, in the snapshot" in copied.stderr
    source.execute("UPDATE t SET v = NULL")
    assert command.run("slot", "drop", "--yes").returncode == 0
    assert command.run("run", "--once").returncode == 0
    assert {record.value["after"]["id"] for record in command.records()} == {1, 2, 3}  # type: ignore[index]
