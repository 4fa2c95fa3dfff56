"""Rows to records: the walker's bytes are fastavro's, in both builds, for every form."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest

from producer.events import Column, PgType, Relation
from producer.lsn import Lsn
from producer.schema.avro import TableSchema, table_schema
from producer.schema.plan import table_plan
from producer.schema.types import Modes
from producer.transcode.source_block import times

Build = dict[str, Any]
HEAD = b',"xid":745,"timestamp":"2026-11-22 10:25:46+00","lsn":"'
COMMIT_US = 1795343146000000
NOW_US = 1795343146123456


def base(oid: int, name: str) -> PgType:
    return PgType(oid=oid, schema="pg_catalog", name=name, kind="base")


def array(oid: int, element: PgType) -> PgType:
    return PgType(oid=oid, schema="pg_catalog", name="_" + element.name, kind="base", category="A", element=element)


TEXT, INT8, NUMERIC = base(25, "text"), base(20, "int8"), base(1700, "numeric")
NUMERIC_10_2 = ((10 << 16) | 2) + 4
MOOD = PgType(oid=90000, schema="q", name="mood", kind="enum", labels=("sad", "ok"))

# (type, typmod, the text that PostgreSQL prints, bare JSON?, the value that fastavro is given)
VALUES: list[tuple[PgType, int, str, bool, Any]] = [
    (base(21, "int2"), -1, "-32768", True, -32768),
    (base(23, "int4"), -1, "2147483647", True, 2147483647),
    (INT8, -1, "-9223372036854775808", True, -(2**63)),
    (INT8, -1, "9223372036854775807", True, 2**63 - 1),
    (base(26, "oid"), -1, "4000000000", True, 4000000000),
    (base(16, "bool"), -1, "true", True, True),
    (base(700, "float4"), -1, "3.4028235e+38", True, 3.4028234663852886e38),
    (base(701, "float8"), -1, "-0", True, -0.0),
    (base(701, "float8"), -1, "1.7976931348623157e+308", True, 1.7976931348623157e308),
    (base(701, "float8"), -1, "-Infinity", False, float("-inf")),
    (NUMERIC, NUMERIC_10_2, "0.00", True, b"\x00"),
    (NUMERIC, NUMERIC_10_2, "-1.28", True, b"\x80"),
    (NUMERIC, NUMERIC_10_2, "1.28", True, b"\x00\x80"),
    (NUMERIC, NUMERIC_10_2, "-99999999.99", True, bytes.fromhex("fdabf41c01")),
    (NUMERIC, ((38 << 16) | 10) + 4, "9999999999999999999999999999.9999999999", True,
     bytes.fromhex("4b3b4ca85a86c47a098a223fffffffff")),
    (NUMERIC, -1, "1.50000", True, {"scale": 5, "value": (150000).to_bytes(3, "big")}),
    (NUMERIC, -1, "-0.000000000000000000000000000001", True, {"scale": 30, "value": b"\xff"}),
    (TEXT, -1, 'a"b\\c\n\t\x01ü€😀', False, 'a"b\\c\n\t\x01ü€😀'),
    (TEXT, -1, "", False, ""),
    (base(1042, "bpchar"), 9, "ab   ", False, "ab   "),
    (base(1082, "date"), -1, "2016-11-04", False, 17109),
    (base(1082, "date"), -1, "0044-03-15 BC", False, -735160),
    (base(1082, "date"), -1, "5874897-12-31", False, 2145042905),
    (base(1082, "date"), -1, "-infinity", False, -(2**31)),
    (base(1083, "time"), 3, "13:51:30.123", False, 49890123),
    (base(1083, "time"), -1, "24:00:00", False, 86400000000),
    (base(1114, "timestamp"), -1, "2016-11-04 13:51:30.123456", False, 1478267490123456),
    (base(1114, "timestamp"), -1, "4714-12-31 23:59:59.999999 BC", False, -210863520000000001),
    (base(1114, "timestamp"), 3, "2016-11-04 13:51:30.12", False, 1478267490120),
    (base(1114, "timestamp"), -1, "infinity", False, 2**63 - 1),
    (base(1114, "timestamp"), 0, "-infinity", False, -(2**63)),
    (base(1184, "timestamptz"), -1, "2016-11-04 11:51:30+00", False, "2016-11-04T11:51:30.000000Z"),
    (base(1184, "timestamptz"), -1, "21016-11-04 06:51:30.5+00", False, "+21016-11-04T06:51:30.500000Z"),
    (base(1184, "timestamptz"), -1, "4714-12-31 23:59:59+00 BC", False, "-4713-12-31T23:59:59.000000Z"),
    (base(1184, "timestamptz"), -1, "0001-01-01 00:00:00+00 BC", False, "0000-01-01T00:00:00.000000Z"),
    (base(1266, "timetz"), -1, "13:51:30.123789+02", False, "13:51:30.123789+02:00"),
    (base(1266, "timetz"), -1, "24:00:00+00", False, "24:00:00Z"),
    (base(1186, "interval"), -1, "P1Y2M3DT4H5M6.78S", False, "P1Y2M3DT4H5M6.78S"),
    (base(1186, "interval"), -1, "PT-0.5S", False, "P0Y0M0DT0H0M-0.5S"),
    (base(1186, "interval"), -1, "P-1Y3D", False, "P-1Y0M3DT0H0M0S"),
    (base(1186, "interval"), -1, "PT0S", False, "P0Y0M0DT0H0M0S"),
    (base(2950, "uuid"), -1, "0f8fad5b-d9cb-469f-a165-70867728950e", False, "0f8fad5b-d9cb-469f-a165-70867728950e"),
    (base(3802, "jsonb"), -1, '{"a": 1.10}', False, '{"a": 1.10}'),
    (MOOD, -1, "ok", False, "ok"),
    (array(1007, base(23, "int4")), -1, "{1,NULL,-3}", False, [1, None, -3]),
    (array(1009, TEXT), -1, '{a,NULL,"NULL","b c","d\\"e\\\\","",é}', False,
     ["a", None, "NULL", "b c", 'd"e\\', "", "é"]),
    (array(1009, TEXT), -1, "{}", False, []),
    (array(1231, NUMERIC), NUMERIC_10_2, "{1.10,NULL}", False, [b"\x6e", None]),
    (array(1000, base(16, "bool")), -1, "{t,f}", False, [True, False]),
    (array(1001, base(17, "bytea")), -1, '{"\\\\xdead"}', False, [b"\xde\xad"]),
    (PgType(oid=90001, schema="q", name="posint", kind="domain", base=base(23, "int4")), -1, "7", False, 7),
]  # fmt: skip


def relation(type: PgType, typmod: int, *, identity: Any = "default") -> Relation:
    key = Column(name="id", attnum=1, type=INT8, not_null=True)
    value = Column(name="v", attnum=2, type=type, typmod=typmod, dimensions=int(type.element is not None))
    logged = frozenset({"id", "v"}) if identity == "full" else frozenset({"id"})
    return Relation(
        oid=1, schema="public", name="t", columns=(key, value), key=("id",), identity=identity, identity_columns=logged
    )


def walker(build: Build, shape: Relation) -> tuple[Any, Any, TableSchema]:
    plan = table_plan(shape, topic="p.public.t", key_id=1, value_id=2, modes=Modes())
    made = build["walker"].Walker()
    made.install(plan)
    block = build["source_block"].SourceBlock(version="1", name="p", database="db")
    parts = block.transaction(record_head=HEAD, xid=745, commit_lsn=Lsn(500), commit_us=COMMIT_US, previous=Lsn(400))
    made.begin(parts)
    made.clock(times(NOW_US))
    return made, plan, table_schema(shape, modes=Modes(prefix="p"))


def message(action: str, columns: str = "", identity: str = "") -> bytes:
    text = '{"action":"' + action + '"' + HEAD.decode() + '0/1F4","schema":"public","table":"t"'
    text += f',"columns":[{columns}]' if columns else ""
    text += f',"identity":[{identity}]' if identity else ""
    return (text + "}").encode()


def column(name: str, oid: int, value: str) -> str:
    return f'{{"name":"{name}","typeoid":{oid},"value":{value}}}'


def envelope(schema: TableSchema, op: str, before: Any, after: Any, ordinal: int = 1) -> bytes:
    """What fastavro makes of the same event."""
    source = {
        "version": "1", "connector": "postgresql", "name": "p", "ts_ms": COMMIT_US // 1000, "snapshot": "false",
        "db": "db", "sequence": '["400","500"]', "ts_us": COMMIT_US, "ts_ns": COMMIT_US * 1000, "schema": "public",
        "table": "t", "txId": 745, "lsn": 500, "xmin": None, "origin": None, "origin_lsn": None, "commit_lsn": 500,
        "ordinal": ordinal,
    }  # fmt: skip
    event = {
        "before": before, "after": after, "source": source, "transaction": None, "op": op,
        "ts_ms": NOW_US // 1000, "ts_us": NOW_US, "ts_ns": NOW_US * 1000,
    }  # fmt: skip
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(schema.value_schema)), event)
    return b"\x00\x00\x00\x00\x02" + out.getvalue()


@pytest.mark.parametrize(("type", "typmod", "text", "bare", "value"), VALUES)
def test_a_logged_row_is_fastavro_own_bytes(
    build: Build, type: PgType, typmod: int, text: str, bare: bool, value: Any
) -> None:
    """Insert, from wal2json's JSON."""
    made, _, schema = walker(build, relation(type, typmod))
    shown = text if bare else json.dumps(text, ensure_ascii=False)
    row = message("I", column("id", 20, "5") + "," + column("v", type.oid, shown))
    assert made.row(b"h" * 25 + row, 25, 1) == build["walker"].RECORD
    assert made.value == envelope(schema, "c", None, {"id": 5, "v": value})
    assert made.key == b"\x00\x00\x00\x00\x01\x0a"
    assert made.lsn == 500


@pytest.mark.parametrize(("type", "typmod", "text", "bare", "value"), VALUES)
def test_a_copied_row_has_the_same_value_bytes(
    build: Build, type: PgType, typmod: int, text: str, bare: bool, value: Any
) -> None:
    """Snapshot and stream agree, byte for byte, behind what the envelope says of itself."""
    made, plan, schema = walker(build, relation(type, typmod))
    printed = {"true": "t"}.get(text, text) if bare else text
    escaped = printed.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    made.copy_row(f"5\t{escaped}\n".encode(), plan, 500)
    expected = envelope(schema, "r", None, {"id": 5, "v": value}, ordinal=0)
    assert made.value == expected


def test_null_is_null_on_both_paths(build: Build) -> None:
    """JSON's null and COPY's mark, told from the text that looks like it."""
    made, plan, schema = walker(build, relation(TEXT, -1))
    made.row(message("I", column("id", 20, "5") + "," + column("v", 25, "null")), 0, 1)
    assert made.value == envelope(schema, "c", None, {"id": 5, "v": None})
    made.copy_row(b"5\t\\N\n", plan, 500)
    assert made.value == envelope(schema, "r", None, {"id": 5, "v": None}, ordinal=0)
    made.copy_row(b"5\t\\\\N\n", plan, 500)
    assert made.value == envelope(schema, "r", None, {"id": 5, "v": "\\N"}, ordinal=0)


def test_update_delete_and_change_of_key(build: Build) -> None:
    """The old row decides what an update is."""
    codes = build["walker"]
    made, _, schema = walker(build, relation(TEXT, -1))
    new = column("id", 20, "5") + "," + column("v", 25, '"x"')
    assert made.row(message("U", new, column("id", 20, "5")), 0, 1) == codes.RECORD
    assert made.value == envelope(schema, "u", None, {"id": 5, "v": "x"})
    assert made.row(message("U", new, column("id", 20, "4")), 0, 1) == codes.KEY_CHANGE
    assert made.old_value == envelope(schema, "d", {"id": 4, "v": None}, None, 1)
    assert made.value == envelope(schema, "c", None, {"id": 5, "v": "x"}, 2)
    assert (made.old_key[-1:], made.key[-1:]) == (b"\x08", b"\x0a")
    assert made.row(message("D", "", column("id", 20, "5")), 0, 3) == codes.DELETE
    assert made.value == envelope(schema, "d", {"id": 5, "v": None}, None, 3)


def test_full_identity_sends_the_before_image(build: Build) -> None:
    """REPLICA IDENTITY FULL: the whole old row."""
    made, _, schema = walker(build, relation(TEXT, -1, identity="full"))
    new = column("id", 20, "5") + "," + column("v", 25, '"new"')
    old = column("id", 20, "5") + "," + column("v", 25, "null")
    assert made.row(message("U", new, old), 0, 1) == build["walker"].RECORD
    assert made.value == envelope(schema, "u", {"id": 5, "v": None}, {"id": 5, "v": "new"})


@pytest.mark.parametrize(
    "columns",
    [
        column("id", 20, "5"),
        column("id", 20, "5") + "," + column("w", 25, '"x"'),
        column("id", 20, "5") + "," + column("v", 1043, '"x"'),
        column("id", 20, "5") + "," + column("v", 25, '"x"') + "," + column("w", 25, '"x"'),
        column("v", 25, '"x"') + "," + column("id", 20, "5"),
    ],
)
def test_a_row_of_another_shape_falls_out(build: Build, columns: str) -> None:
    """Names, types and number of columns are compared, and nothing is written."""
    made, _, _ = walker(build, relation(TEXT, -1))
    assert made.row(message("I", columns), 0, 1) == build["walker"].SHAPE
    assert made.value is None


def test_what_is_no_row_is_left_to_the_general_path(build: Build) -> None:
    """Other records, other transactions, other tables."""
    codes = build["walker"]
    made, _, _ = walker(build, relation(TEXT, -1))
    row = message("I", column("id", 20, "5") + "," + column("v", 25, '"x"'))
    assert made.row(b'{"action":"C","xid":745}', 0, 1) == codes.OTHER
    assert made.row(row.replace(b"745", b"746"), 0, 1) == codes.OTHER
    assert made.row(row.replace(b'"t"', b'"u"'), 0, 1) == codes.SHAPE


def test_every_truncation_is_told_and_none_is_read_beyond(build: Build) -> None:
    """A cut record gives a code or a FormError, never a record."""
    made, _, _ = walker(build, relation(array(1009, TEXT), -1))
    row = message("I", column("id", 20, "5") + "," + column("v", 1009, '"{a,\\"b c\\"}"'))
    for end in range(len(row)):
        try:
            assert made.row(row[:end], 0, 1) in (build["walker"].SHAPE, build["walker"].OTHER)
        except build["plan"].FormError:
            continue


@pytest.mark.parametrize(
    ("type", "typmod", "text"),
    [
        (INT8, -1, '"9223372036854775808"'),
        (INT8, -1, '"x"'),
        (NUMERIC, NUMERIC_10_2, "1.234"),
        (NUMERIC, -1, '"NaN"'),
        (NUMERIC, NUMERIC_10_2, '"Infinity"'),
        (base(1114, "timestamp"), -1, '"294247-01-10 04:00:54.775807"'),
        (base(1114, "timestamp"), 3, '"2016-11-04 13:51:30.1234"'),
        (base(1184, "timestamptz"), -1, '"2016-11-04 11:51:30+01"'),
        (base(1082, "date"), -1, '"yesterday"'),
        (base(16, "bool"), -1, '"maybe"'),
        (base(17, "bytea"), -1, '"abc"'),
        (array(1007, base(23, "int4")), -1, '"[0:1]={7,8}"'),
        (array(1007, base(23, "int4")), -1, '"{{1,2},{3,4}}"'),
        (base(1186, "interval"), -1, '"1 year"'),
        (base(1266, "timetz"), -1, '"noon"'),
    ],
)
def test_what_a_form_cannot_carry_is_an_error_that_names_the_column(
    build: Build, type: PgType, typmod: int, text: str
) -> None:
    """Never a null, a rounded number or a clipped string; and no value in the words."""
    made, _, _ = walker(build, relation(type, typmod))
    row = message("I", column("id", 20, "5") + "," + column("v", type.oid, text))
    with pytest.raises(build["plan"].FormError) as caught:
        made.row(row, 0, 1)
    assert made.column == 1
    assert made.value is None
    assert caught.value.remedy


def test_a_null_in_a_key_is_an_error(build: Build) -> None:
    """A key must be whole."""
    made, plan, _ = walker(build, relation(TEXT, -1))
    with pytest.raises(build["plan"].FormError):
        made.row(message("I", column("id", 20, "null") + "," + column("v", 25, '"x"')), 0, 1)
    with pytest.raises(build["plan"].FormError):
        made.copy_row(b"\\N\tx\n", plan, 1)


@pytest.mark.parametrize("row", [b"5\n", b"5\tx\ty\n", b"\n", b"5\tx\\"])
def test_a_copied_row_of_another_width_is_an_error(build: Build, row: bytes) -> None:
    """Too few or too many fields, or one that is cut in an escape."""
    made, plan, _ = walker(build, relation(TEXT, -1))
    with pytest.raises((build["plan"].FormError, IndexError)):
        made.copy_row(row, plan, 1)
