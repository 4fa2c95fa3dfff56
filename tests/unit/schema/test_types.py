"""Every supported type's Avro fragment, as Debezium 3.6 writes it, or ours where the contract says so."""

from typing import Any

import fastavro
import pytest

from producer.events import PgType
from producer.schema import types
from producer.schema.types import Modes
from producer.transcode.plan import Form, ValuePlan
from tests.unit.schema.pg_types import ADDRESS, MOOD, array, avro_type, base, domain, numeric, of_kind

ZONED = {"type": "string", "connect.version": 1, "connect.name": "io.debezium.time.ZonedTimestamp"}
VARIABLE = {
    "type": "record",
    "name": "VariableScaleDecimal",
    "namespace": "io.debezium.data",
    "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
    "connect.doc": "Variable scaled decimal",
    "connect.version": 1,
    "connect.name": "io.debezium.data.VariableScaleDecimal",
}


def semantic(type: str, name: str) -> dict[str, Any]:
    return {"type": type, "connect.version": 1, "connect.name": name}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {
        "type": "bytes",
        "scale": scale,
        "precision": precision,
        "connect.version": 1,
        "connect.parameters": {"scale": str(scale), "connect.decimal.precision": str(precision)},
        "connect.name": "org.apache.kafka.connect.data.Decimal",
        "logicalType": "decimal",
    }


def as_text(name: str) -> dict[str, str]:
    return {"type": "string", "postgres.type": name}


MOOD_SCHEMA = {
    "type": "string",
    "connect.version": 1,
    "connect.parameters": {"allowed": "sad,ok,happy"},
    "connect.name": "io.debezium.data.Enum",
}

PINNED: list[tuple[str, int, object, Form]] = [
    ("int2", -1, {"type": "int", "connect.type": "int16"}, Form.LONG),
    ("int4", -1, "int", Form.LONG),
    ("int8", -1, "long", Form.LONG),
    ("oid", -1, "long", Form.LONG),
    ("xid", -1, "long", Form.LONG),
    ("float4", -1, "float", Form.FLOAT),
    ("float8", -1, "double", Form.DOUBLE),
    ("bool", -1, "boolean", Form.BOOLEAN),
    ("numeric", -1, VARIABLE, Form.VARIABLE_DECIMAL),
    ("numeric", numeric(10, 2), decimal(10, 2), Form.DECIMAL),
    ("numeric", numeric(5, 0), decimal(5, 0), Form.DECIMAL),
    ("numeric", numeric(38, 10), decimal(38, 10), Form.DECIMAL),
    ("numeric", numeric(1000, 1000), decimal(1000, 1000), Form.DECIMAL),
    ("numeric", numeric(3, -2), decimal(5, 0), Form.DECIMAL),
    ("numeric", numeric(1000, -1000), decimal(2000, 0), Form.DECIMAL),
    ("numeric", numeric(2, 5), decimal(5, 5), Form.DECIMAL),
    ("bpchar", 9, "string", Form.STRING),
    ("varchar", 24, "string", Form.STRING),
    ("text", -1, "string", Form.STRING),
    ("name", -1, "string", Form.STRING),
    ("char", -1, "string", Form.STRING),
    ("bytea", -1, "bytes", Form.BYTES),
    ("date", -1, semantic("int", "io.debezium.time.Date"), Form.DATE),
    ("time", -1, semantic("long", "io.debezium.time.MicroTime"), Form.TIME_MICROS),
    ("time", 6, semantic("long", "io.debezium.time.MicroTime"), Form.TIME_MICROS),
    ("time", 4, semantic("long", "io.debezium.time.MicroTime"), Form.TIME_MICROS),
    ("time", 3, semantic("int", "io.debezium.time.Time"), Form.TIME_MILLIS),
    ("time", 0, semantic("int", "io.debezium.time.Time"), Form.TIME_MILLIS),
    ("timetz", -1, semantic("string", "io.debezium.time.ZonedTime"), Form.FUNCTION),
    ("timestamp", -1, semantic("long", "io.debezium.time.MicroTimestamp"), Form.TIMESTAMP_MICROS),
    ("timestamp", 4, semantic("long", "io.debezium.time.MicroTimestamp"), Form.TIMESTAMP_MICROS),
    ("timestamp", 3, semantic("long", "io.debezium.time.Timestamp"), Form.TIMESTAMP_MILLIS),
    ("timestamp", 0, semantic("long", "io.debezium.time.Timestamp"), Form.TIMESTAMP_MILLIS),
    ("timestamptz", -1, ZONED, Form.ZONED_TIMESTAMP),
    ("timestamptz", 0, ZONED, Form.ZONED_TIMESTAMP),
    ("interval", -1, semantic("string", "io.debezium.time.Interval"), Form.INTERVAL),
    ("uuid", -1, semantic("string", "io.debezium.data.Uuid"), Form.STRING),
    ("json", -1, semantic("string", "io.debezium.data.Json"), Form.STRING),
    ("jsonb", -1, semantic("string", "io.debezium.data.Json"), Form.STRING),
    ("xml", -1, semantic("string", "io.debezium.data.Xml"), Form.STRING),
    ("tsvector", -1, semantic("string", "io.debezium.data.Tsvector"), Form.STRING),
    *(
        (name, -1, "string", Form.STRING)
        for name in ["xid8", "inet", "cidr", "macaddr", "macaddr8", "line", "lseg", "box", "path", "polygon", "circle"]
    ),
    *(
        (name, -1, as_text(name), Form.STRING)
        for name in [
            "varbit",
            "tsquery",
            "pg_lsn",
            "jsonpath",
            "regclass",
            "int2vector",
            "oidvector",
        ]
    ),
]


@pytest.mark.parametrize(("name", "typmod", "schema", "form"), PINNED)
def test_built_in_types(name: str, typmod: int, schema: object, form: Form) -> None:
    found = avro_type(base(name), typmod, 0)
    assert found.schema == schema
    assert found.value.form is form
    fastavro.parse_schema(found.schema)


GEOMETRY_FIELDS: list[dict[str, Any]] = [
    {"name": "wkb", "type": "bytes"},
    {"name": "srid", "type": ["null", "int"], "default": None},
]


def record(name: str, doc: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "namespace": "io.debezium.data.geometry",
        "fields": fields,
        "connect.doc": doc,
        "connect.version": 1,
        "connect.name": f"io.debezium.data.geometry.{name}",
    }


@pytest.mark.parametrize(
    ("type", "typmod", "schema", "form"),
    [
        (base("citext", "public"), -1, "string", Form.STRING),
        (base("citext", "extensions"), -1, "string", Form.STRING),
        (base("ltree", "public"), -1, semantic("string", "io.debezium.data.Ltree"), Form.STRING),
        (base("hstore", "public"), -1, semantic("string", "io.debezium.data.Json"), Form.FUNCTION),
        (base("geometry", "gis"), -1, record("Geometry", "Geometry", GEOMETRY_FIELDS), Form.FUNCTION),
        (base("geography", "gis"), -1, record("Geography", "Geography", GEOMETRY_FIELDS), Form.FUNCTION),
        (
            base("vector", "public"),
            3,
            {"type": "array", "items": "double", "connect.version": 1, "connect.name": "io.debezium.data.DoubleVector"},
            Form.FUNCTION,
        ),
        (
            base("halfvec", "public"),
            3,
            {"type": "array", "items": "float", "connect.version": 1, "connect.name": "io.debezium.data.FloatVector"},
            Form.FUNCTION,
        ),
        (base("sparsevec", "public"), 3, as_text("public.sparsevec"), Form.STRING),
        (base("int4", "public"), -1, as_text("public.int4"), Form.STRING),
        (base("bit"), 1, "boolean", Form.FUNCTION),
        (
            base("bit"),
            2,
            {
                "type": "bytes",
                "connect.version": 1,
                "connect.parameters": {"length": "2"},
                "connect.name": "io.debezium.data.Bits",
            },
            Form.FUNCTION,
        ),
        (
            base("money"),
            -1,
            {**decimal(64, 2), "connect.parameters": {"scale": "2"}},
            Form.FUNCTION,
        ),
        (
            base("point"),
            -1,
            record(
                "Point",
                "Geometry (POINT)",
                [
                    {"name": "x", "type": "double"},
                    {"name": "y", "type": "double"},
                    {"name": "wkb", "type": ["null", "bytes"], "default": None},
                    {"name": "srid", "type": ["null", "int"], "default": None},
                ],
            ),
            Form.FUNCTION,
        ),
        (MOOD, -1, MOOD_SCHEMA, Form.ENUM),
        (of_kind("range", "tstzrange", "pg_catalog"), -1, "string", Form.STRING),
        (of_kind("range"), -1, "string", Form.STRING),
        (of_kind("multirange", "int4multirange", "pg_catalog"), -1, "string", Form.STRING),
        (of_kind("pseudo", "record", "pg_catalog"), -1, as_text("record"), Form.STRING),
    ],
)
def test_made_types(type: PgType, typmod: int, schema: dict[str, Any] | str, form: Form) -> None:
    found = avro_type(type, typmod, 0)
    assert found.schema == schema
    assert found.value.form is form
    fastavro.parse_schema(found.schema)


ADDRESS_SCHEMA = {
    "type": "record",
    "name": "addr_u20_ess",
    "namespace": "shop.q_u20_s",
    "fields": [
        {"name": "zip_u20_code", "type": ["null", "int"], "default": None, "postgres.name": "zip code"},
        {
            "name": "tags",
            "type": ["null", {"type": "array", "items": ["null", {"type": "array", "items": ["null", "string"]}]}],
            "default": None,
        },
        {"name": "price", "type": ["null", decimal(4, 1)], "default": None},
    ],
    "postgres.type": "q s.addr ess",
    "connect.name": "shop.q_u20_s.addr_u20_ess",
}


def test_a_composite_is_a_record() -> None:
    found = avro_type(ADDRESS, -1, 0)
    assert found.schema == ADDRESS_SCHEMA
    assert found.value == ValuePlan(
        form=Form.COMPOSITE,
        attributes=(
            ValuePlan(form=Form.LONG),
            ValuePlan(form=Form.ARRAY, element=ValuePlan(form=Form.STRING), depth=2),
            ValuePlan(form=Form.DECIMAL, scale=1, precision=4),
        ),
    )


def test_decimals_keep_their_scale_for_the_walker() -> None:
    assert avro_type(base("numeric"), numeric(10, 2), 0).value.scale == 2
    assert avro_type(base("numeric"), numeric(3, -2), 0).value.scale == 0
    assert avro_type(base("numeric"), numeric(2, 5), 0).value.scale == 5


@pytest.mark.parametrize(
    ("type", "typmod", "same_as", "its_typmod"),
    [
        (domain(base("int4")), -1, base("int4"), -1),
        (domain(base("numeric"), numeric(12, 2)), -1, base("numeric"), numeric(12, 2)),
        (domain(domain(base("numeric"), numeric(12, 2))), -1, base("numeric"), numeric(12, 2)),
        (domain(domain(domain(base("timestamp"), 3))), -1, base("timestamp"), 3),
        (domain(base("time"), 0), -1, base("time"), 0),
        (domain(base("numeric")), -1, base("numeric"), -1),
        (domain(MOOD), -1, MOOD, -1),
        (domain(base("bit"), 5), -1, base("bit"), 5),
        (domain(array(base("numeric")), numeric(4, 1)), -1, array(base("numeric")), numeric(4, 1)),
    ],
)
def test_domains_are_what_is_under_them(type: PgType, typmod: int, same_as: PgType, its_typmod: int) -> None:
    found, same = avro_type(type, typmod, 0), avro_type(same_as, its_typmod, 0)
    assert found == same


@pytest.mark.parametrize("dimensions", [0, 1])
@pytest.mark.parametrize(
    ("element", "typmod", "items", "form"),
    [
        (base("int4"), -1, "int", Form.LONG),
        (base("int8"), -1, "long", Form.LONG),
        (base("text"), -1, "string", Form.STRING),
        (base("bool"), -1, "boolean", Form.BOOLEAN),
        (base("bytea"), -1, "bytes", Form.BYTES),
        (base("numeric"), numeric(10, 2), decimal(10, 2), Form.DECIMAL),
        (base("numeric"), -1, VARIABLE, Form.VARIABLE_DECIMAL),
        (base("timestamptz"), -1, ZONED, Form.ZONED_TIMESTAMP),
        (base("timestamp"), 3, semantic("long", "io.debezium.time.Timestamp"), Form.TIMESTAMP_MILLIS),
        (base("date"), -1, semantic("int", "io.debezium.time.Date"), Form.DATE),
        (base("uuid"), -1, semantic("string", "io.debezium.data.Uuid"), Form.STRING),
        (base("jsonb"), -1, semantic("string", "io.debezium.data.Json"), Form.STRING),
        (base("timetz"), -1, semantic("string", "io.debezium.time.ZonedTime"), Form.FUNCTION),
        (MOOD, -1, MOOD_SCHEMA, Form.ENUM),
        (domain(base("numeric"), numeric(4, 1)), -1, decimal(4, 1), Form.DECIMAL),
        (ADDRESS, -1, ADDRESS_SCHEMA, Form.COMPOSITE),
        (domain(array(base("int4"))), -1, {"type": "array", "items": ["null", "int"]}, Form.ARRAY),
        (base("polygon"), -1, "string", Form.STRING),
        (base("hstore", "public"), -1, semantic("string", "io.debezium.data.Json"), Form.FUNCTION),
        (of_kind("range"), -1, "string", Form.STRING),
    ],
)
def test_arrays(element: PgType, typmod: int, items: object, form: Form, dimensions: int) -> None:
    found = avro_type(array(element), typmod, dimensions)
    assert found.schema == {"type": "array", "items": ["null", items]}
    alone = avro_type(element, typmod, 0)
    assert alone.value.form is form
    assert found.value == ValuePlan(form=Form.ARRAY, element=alone.value)


def test_an_array_is_as_deep_as_it_was_declared() -> None:
    """Of a column, and of a domain over it; what stands between elements is the element type's own."""
    box = PgType(oid=7, schema="pg_catalog", name="box", kind="base", delimiter=";")
    found = avro_type(array(box), -1, 2)
    assert found.schema == {"type": "array", "items": ["null", {"type": "array", "items": ["null", "string"]}]}
    assert found.value == ValuePlan(form=Form.ARRAY, element=ValuePlan(form=Form.STRING), depth=2, delimiter=";")
    over = PgType(oid=8, schema="public", name="d", kind="domain", base=array(box), base_dimensions=2)
    assert avro_type(over, -1, 0) == found
    as_string = avro_type(array(box), -1, 2, Modes(arrays="string"))
    assert as_string == types.as_text("box[][]")
