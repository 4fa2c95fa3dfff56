"""Every mode of docs/types.md, from the server to a consumer: by snapshot and by stream."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.harness import Command, Source
from tests.oracle.kinds import comparable

_ROW = (
    "'1.50', '1.500', '-1234.50', '2016-11-04', '13:51:30.123456', '13:51:30.123', '2016-11-04 13:51:30.123456', "
    "'2016-11-04 13:51:30.123', '2016-11-04 13:51:30.123456+02', '13:51:30.5+02', 'P1Y2M3DT4H5M6.78S', "
    "'a=>1, b=>NULL', '\\xfbff00', '{{1,NULL}}', '0F8FAD5B-D9CB-469F-A165-70867728950E'"
)
_TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, p numeric(6,2), n numeric, m money, d date, t6 time, t3 time(3), "
    "s6 timestamp, s3 timestamp(3), z timestamptz, tz timetz, i interval, h hstore, b bytea, a int[][], u uuid)"
)
_DEFAULT: dict[str, Any] = {
    "p": Decimal("1.50"),
    "n": {"scale": 3, "value": (1500).to_bytes(2, "big")},
    "m": Decimal("-1234.50"),
    "d": 17109,
    "t6": 49890123456,
    "t3": 49890123,
    "s6": 1478267490123456,
    "s3": 1478267490123,
    "z": "2016-11-04T11:51:30.123456Z",
    "tz": "13:51:30.5+02:00",
    "i": "P1Y2M3DT4H5M6.78S",
    "h": '{"a":"1","b":null}',
    "b": b"\xfb\xff\x00",
    "a": [[1, None]],
    "u": "0f8fad5b-d9cb-469f-a165-70867728950e",
}
# What fastavro makes of Avro's own uuid.
_UUID = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
_MICROS_OF_INTERVAL = 14 * 2_629_800_000_000 + 3 * 86_400_000_000 + 14_706_780_000
# (settings, what differs from the defaults)
MODES: list[tuple[dict[str, str], dict[str, Any]]] = [
    (
        {
            "decimal.handling.mode": "double",
            "time.precision.mode": "adaptive_time_microseconds",
            "interval.handling.mode": "numeric",
            "hstore.handling.mode": "map",
            "binary.handling.mode": "base64",
            "array.handling.mode": "string",
        },
        {
            "p": 1.5, "n": 1.5, "m": -1234.5, "t3": 49890123000, "i": _MICROS_OF_INTERVAL,
            "h": {"a": "1", "b": None}, "b": "+/8A", "a": "{{1,NULL}}",
        },
    ),
    (
        {
            "decimal.handling.mode": "string",
            "time.precision.mode": "connect",
            "binary.handling.mode": "base64-url-safe",
        },
        {
            "p": "1.50", "n": "1.500", "m": "-1234.50", "t6": 49890123, "s6": 1478267490123, "b": "-_8A",
        },
    ),
    (
        {"time.precision.mode": "isostring", "binary.handling.mode": "hex", "money.fraction.digits": "3"},
        {
            "m": Decimal("-1234.500"), "d": "2016-11-04Z", "t6": "13:51:30.123456Z", "t3": "13:51:30.123Z",
            "s6": "2016-11-04T13:51:30.123456Z", "s3": "2016-11-04T13:51:30.123Z", "b": "fbff00",
        },
    ),
    (
        {"time.precision.mode": "microseconds", "avro.logical.types": "true"},
        {"t3": 49890123000, "s3": 1478267490123000, "u": _UUID},
    ),
    (
        {"time.precision.mode": "nanoseconds"},
        {"t6": 49890123456000, "t3": 49890123000000, "s6": 1478267490123456000, "s3": 1478267490123000000},
    ),
    ({"avro.logical.types": "true"}, {"u": _UUID}),
]  # fmt: skip
# Avro's own types, for consumers that know only those.
_LOGICAL = {
    "d": "date", "t6": "time-micros", "t3": "time-millis", "s6": "local-timestamp-micros",
    "s3": "local-timestamp-millis", "u": "uuid",
}  # fmt: skip


def _fields(command: Command, settings: dict[str, str]) -> dict[str, Any]:
    """The types of Value's fields by name, as they are registered: a union's are a list."""
    shown = json.loads(command.run("schemas", settings=settings).stdout)
    value = shown["public.t"]["value"]["fields"][0]["type"][1]
    return {field["name"]: field["type"] for field in value["fields"]}


@pytest.mark.parametrize(("settings", "differing"), MODES, ids=[",".join(mode.values()) for mode, _ in MODES])
def test_modes(source: Source, command: Command, settings: dict[str, str], differing: dict[str, Any]) -> None:
    """One row copied, one streamed: the same values, and those of the mode."""
    source.execute("CREATE EXTENSION hstore", _TABLE, f"INSERT INTO t VALUES (1, {_ROW})")
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute(f"INSERT INTO t VALUES (2, {_ROW})")
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    records: list[Any] = list(command.records("public.t"))
    assert [record.value["op"] for record in records] == ["r", "c"]
    for number, record in enumerate(records, 1):
        after = dict(record.value["after"])
        assert after.pop("id") == number
        assert after == {**_DEFAULT, **differing}
    if settings == {"avro.logical.types": "true"}:
        fields = _fields(command, settings)
        found = {name: fields[name][1].get("logicalType") for name in _LOGICAL}
        assert found == _LOGICAL


_REQUIRED: dict[str, tuple[str, str, Any, Any]] = {
    # column: type, literal, value, what stands in a before-image that does not hold it
    "i": ("int", "7", 7, 0),
    "x": ("text", "'x'", "x", ""),
    "o": ("boolean", "true", True, False),
    "f": ("real", "'NaN'", float("nan"), 0.0),
    "p": ("numeric(6,2)", "1.5", Decimal("1.50"), Decimal("0.00")),
    "n": ("numeric", "1.5", {"scale": 1, "value": b"\x0f"}, {"scale": 0, "value": b"\0"}),
    "b": ("bytea", "'\\x01'", b"\x01", b""),
    "d": ("date", "'2016-11-04'", 17109, 0),
    "z": ("timestamptz", "'2016-11-04 00:00+00'", "2016-11-04T00:00:00.000000Z", "1970-01-01T00:00:00.000000Z"),
    "v": ("interval", "'1 day'", "P0Y0M1DT0H0M0S", "P0Y0M0DT0H0M0S"),
    "a": ("int[]", "'{1}'", [1], []),
    "m": ("mood", "'ok'", "ok", ""),
    "r": ("address", "ROW('s', 1)", {"street": "s", "zip": 1}, {"street": None, "zip": None}),
}


def test_not_null_columns_are_not_nullable(source: Source, command: Command) -> None:
    """value.nullability=table: Debezium's fallbacks fill a before-image; what is not logged of a row is read again."""
    settings = {"value.nullability": "table"}
    columns = ", ".join(f"{name} {kind} NOT NULL" for name, (kind, *_) in _REQUIRED.items())
    literals = ", ".join(literal for _, literal, *_ in _REQUIRED.values())
    source.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE TYPE address AS (street text, zip int)",
        f"CREATE TABLE t (id int PRIMARY KEY, free text, {columns})",
        f"INSERT INTO t VALUES (1, NULL, {literals})",
    )
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute(f"INSERT INTO t VALUES (2, NULL, {literals})")
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    source.execute("DELETE FROM t WHERE id = 2", "UPDATE t SET id = 3")
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    records: list[Any] = [record for record in command.records("public.t") if record.value is not None]
    assert [record.value["op"] for record in records] == ["r", "c", "d", "d", "c"]
    whole = {"free": None, **{name: value for name, (_, _, value, _) in _REQUIRED.items()}}
    fallback = {"free": None, **{name: absent for name, (*_, absent) in _REQUIRED.items()}}
    images = [record.value["after"] or record.value["before"] for record in records]
    expected = [(1, whole), (2, whole), (2, fallback), (1, fallback), (3, whole)]
    for image, (number, values) in zip(images, expected, strict=True):
        assert comparable(image) == comparable({"id": number, **values})
    fields = _fields(command, settings)
    assert isinstance(fields["free"], list)
    assert not any(isinstance(fields[name], list) for name in _REQUIRED)
