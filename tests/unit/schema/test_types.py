"""Every supported type's Avro fragment, as Debezium 3.6 writes it, or ours where the contract says so."""

from typing import Any

import fastavro
import pytest

from producer.events import PgType, TypeKind
from producer.schema.types import AvroType, avro_type, zoned_time
from producer.transcode.plan import Form, FormError

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


def numeric(precision: int, scale: int) -> int:
    return (precision << 16 | scale & 0x7FF) + 4


def base(name: str, schema: str = "pg_catalog", category: str = "U") -> PgType:
    return PgType(oid=1, schema=schema, name=name, kind="base", category=category)


def array(element: PgType) -> PgType:
    return PgType(oid=2, schema=element.schema, name=f"_{element.name}", kind="base", category="A", element=element)


def domain(over: PgType, typmod: int = -1) -> PgType:
    return PgType(oid=3, schema="public", name="dom", kind="domain", base=over, base_typmod=typmod)


def of_kind(kind: TypeKind, name: str = "addr", schema: str = "public") -> PgType:
    return PgType(oid=4, schema=schema, name=name, kind=kind)


def as_text(name: str) -> dict[str, str]:
    return {"type": "string", "postgres.type": name}


MOOD = PgType(oid=5, schema="public", name="mood", kind="enum", labels=("sad", "ok", "happy"))
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
            "money",
            "bit",
            "varbit",
            "point",
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
    assert found.form is form
    fastavro.parse_schema(found.schema)


@pytest.mark.parametrize(
    ("type", "schema"),
    [
        (base("citext", "public"), "string"),
        (base("citext", "extensions"), "string"),
        (base("ltree", "public"), semantic("string", "io.debezium.data.Ltree")),
        (base("hstore", "public"), as_text("public.hstore")),
        (base("geometry", "public"), as_text("public.geometry")),
        (base("vector", "public"), as_text("public.vector")),
        (base("int4", "public"), as_text("public.int4")),
        (of_kind("composite"), as_text("public.addr")),
        (of_kind("composite", "citext"), as_text("public.citext")),
        (MOOD, MOOD_SCHEMA),
        (of_kind("range", "tstzrange", "pg_catalog"), "string"),
        (of_kind("range"), "string"),
        (of_kind("multirange", "int4multirange", "pg_catalog"), "string"),
    ],
)
def test_made_types(type: PgType, schema: object) -> None:
    found = avro_type(type, -1, 0)
    assert found.schema == schema
    assert found.form is Form.STRING


def test_decimals_keep_their_scale_for_the_walker() -> None:
    assert avro_type(base("numeric"), numeric(10, 2), 0).scale == 2
    assert avro_type(base("numeric"), numeric(3, -2), 0).scale == 0
    assert avro_type(base("numeric"), numeric(2, 5), 0).scale == 5


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
        (domain(base("money")), -1, base("money"), -1),
        (domain(array(base("numeric")), numeric(4, 1)), -1, array(base("numeric")), numeric(4, 1)),
    ],
)
def test_domains_are_what_is_under_them(type: PgType, typmod: int, same_as: PgType, its_typmod: int) -> None:
    assert avro_type(type, typmod, 0) == avro_type(same_as, its_typmod, 0)


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
        (MOOD, -1, MOOD_SCHEMA, Form.STRING),
        (domain(base("numeric"), numeric(4, 1)), -1, decimal(4, 1), Form.DECIMAL),
        (of_kind("composite"), -1, as_text("public.addr"), Form.STRING),
        (base("money"), -1, as_text("money"), Form.STRING),
        (base("polygon"), -1, "string", Form.STRING),
        (base("hstore", "public"), -1, as_text("public.hstore"), Form.STRING),
        (of_kind("range"), -1, "string", Form.STRING),
    ],
)
def test_arrays(element: PgType, typmod: int, items: object, form: Form, dimensions: int) -> None:
    found = avro_type(array(element), typmod, dimensions)
    assert found.schema == {"type": "array", "items": ["null", items]}
    assert found.form is Form.ARRAY
    assert found.element is form
    alone = avro_type(element, typmod, 0)
    assert (found.scale, found.function) == (alone.scale, alone.function)


@pytest.mark.parametrize(
    ("type", "dimensions", "name"),
    [
        (array(base("int4")), 2, "int4[][]"),
        (array(MOOD), 3, "public.mood[][][]"),
        (array(domain(array(base("int4")))), 1, "public.dom[]"),
        # Their elements are not separated by commas.
        (array(base("box")), 1, "box[]"),
        (array(domain(base("box"))), 0, "public.dom[]"),
        (array(base("geometry", "public")), 1, "public.geometry[]"),
    ],
)
def test_arrays_that_are_sent_as_text(type: PgType, dimensions: int, name: str) -> None:
    assert avro_type(type, -1, dimensions) == AvroType(schema=as_text(name), form=Form.STRING)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (b"13:51:30.123789+02", b"13:51:30.123789+02:00"),
        (b"13:51:30+00", b"13:51:30Z"),
        (b"24:00:00+00", b"24:00:00Z"),
        (b"00:00:00-00", b"00:00:00Z"),
        (b"00:00:00+15:59", b"00:00:00+15:59"),
        (b"23:59:59.999999-15:59:59", b"23:59:59.999999-15:59:59"),
        (b"08:00:00-00:30", b"08:00:00-00:30"),
        (b"08:00:00.5-00:00:01", b"08:00:00.5-00:00:01"),
    ],
)
def test_timetz_keeps_its_offset(text: bytes, sent: bytes) -> None:
    encoded = zoned_time(text)
    assert encoded[1:] == sent
    assert encoded[0] == len(sent) * 2


@pytest.mark.parametrize("text", [b"", b"13:51:30", b"13:51:30 +02", b"13:51+02", b"13:51:30+02:00:00:00"])
def test_what_is_no_timetz(text: bytes) -> None:
    with pytest.raises(FormError) as caught:
        zoned_time(text)
    assert text.decode() not in caught.value.reason or not text
