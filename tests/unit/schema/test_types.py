"""Every supported type's Avro fragment, as Debezium 3.6 writes it, or ours where the contract says so."""

from typing import Any

import fastavro
import pytest

from producer.events import PgType, TypeField, TypeKind
from producer.schema import types
from producer.schema.types import AvroType, Modes
from producer.schema.types.temporal import zoned_time
from producer.transcode.plan import ColumnPlan, Form, FormError, TablePlan, ValuePlan
from producer.transcode.walker import Walker

MODES = Modes(prefix="shop")
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


def avro_type(type: PgType, typmod: int, dimensions: int, modes: Modes = MODES) -> AvroType:
    return types.avro_type(type, typmod, dimensions, modes)


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


ADDRESS = PgType(
    oid=6,
    schema="q s",
    name="addr ess",
    kind="composite",
    fields=(
        TypeField(name="zip code", type=base("int4")),
        TypeField(name="tags", type=array(base("text")), dimensions=2),
        TypeField(name="price", type=base("numeric"), typmod=numeric(4, 1)),
    ),
)
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


POINT = "000000000000f03f0000000000000040"


@pytest.mark.parametrize(
    ("type", "typmod", "modes", "schema", "text", "body"),
    [
        (base("numeric"), numeric(4, 1), Modes(decimals="double"), "double", b"1.5", "000000000000f83f"),
        (base("numeric"), -1, Modes(decimals="double"), "double", b"-Infinity", "000000000000f0ff"),
        (base("numeric"), -1, Modes(decimals="string"), "string", b"NaN", "064e614e"),
        (base("money"), -1, Modes(decimals="double"), "double", b"-$1,234.50", "0000000000" + "4a93c0"),
        (base("money"), -1, Modes(decimals="string"), "string", b"-$1,234.50", "10" + b"-1234.50".hex()),
        (base("money"), -1, Modes(money_digits=3), "bytes", b"$0.01", "020a"),
        (base("money"), -1, Modes(money_digits=0), "bytes", b"-$128.00", "0280"),
        (base("date"), -1, Modes(times="isostring"), "string", b"2005-05-12", "16" + b"2005-05-12Z".hex()),
        (base("date"), -1, Modes(times="isostring"), "string", b"0044-03-15 BC", "18" + b"-0043-03-15Z".hex()),
        (base("date"), -1, Modes(times="isostring"), "string", b"0001-03-15 BC", "16" + b"0000-03-15Z".hex()),
        (base("date"), -1, Modes(times="isostring"), "string", b"10000-01-01", "1a" + b"+10000-01-01Z".hex()),
        (base("date"), -1, Modes(times="isostring"), "string", b"infinity", "10" + b"infinity".hex()),
        (base("time"), 3, Modes(times="isostring"), "string", b"13:51:30.1", "16" + b"13:51:30.1Z".hex()),
        (base("date"), -1, Modes(times="connect"), "int", b"1970-01-02", "02"),
        (base("time"), -1, Modes(times="connect"), "int", b"00:00:00.001999", "02"),
        (base("timestamp"), -1, Modes(times="connect"), "long", b"1969-12-31 23:59:59.998001", "03"),
        (base("time"), 3, Modes(times="adaptive_time_microseconds"), "long", b"00:00:00.001", "d00f"),
        (base("timestamp"), 3, Modes(times="adaptive_time_microseconds"), "long", b"1970-01-01 00:00:00.001", "02"),
        (base("timestamp"), 3, Modes(times="microseconds"), "long", b"1970-01-01 00:00:00.001", "d00f"),
        (base("time"), 3, Modes(times="nanoseconds"), "long", b"00:00:00.000001", "d00f"),
        (base("timestamp"), -1, Modes(times="nanoseconds"), "long", b"1970-01-01 00:00:00.000001", "d00f"),
        (base("interval"), -1, Modes(intervals="numeric"), "long", b"PT0.000001S", "02"),
        (base("bytea"), -1, Modes(binaries="base64"), "string", b"\\xfbff", "08" + b"+/8=".hex()),
        (base("bytea"), -1, Modes(binaries="base64-url-safe"), "string", b"fbff", "08" + b"-_8=".hex()),
        (base("bytea"), -1, Modes(binaries="hex"), "string", b"\\xfbff", "08" + b"fbff".hex()),
        (base("hstore", "x"), -1, Modes(hstores="map"), "map", b'"a"=>"1", "b"=>NULL', "04026102023102620000"),
        (base("hstore", "x"), -1, Modes(hstores="map"), "map", b"", "00"),
        (base("hstore", "x"), -1, MODES, "string", rb'"k\"ey"=>"v\\al"', "22" + rb'{"k\"ey":"v\\al"}'.hex()),
        (base("bit"), 1, MODES, "boolean", b"1", "01"),
        (base("bit"), 2, MODES, "bytes", b"11", "0203"),
        (base("bit"), 2, MODES, "bytes", b"00", "00"),
        (base("bit"), 16, MODES, "bytes", b"1000000000000000", "040080"),
        (base("point"), -1, MODES, "record", b"(1,2)", POINT + "022a0101000000" + POINT + "00"),
        (base("vector", "x"), -1, MODES, "array", b"[1,2]", "04" + POINT + "00"),
        (base("geometry", "x"), -1, MODES, "record", b"0101000000" + POINT.encode(), "2a0101000000" + POINT + "00"),
        (
            base("geography", "x"),
            -1,
            MODES,
            "record",
            b"0101000020E6100000" + POINT.encode(),
            "320101000020e6100000" + POINT + "02cc43",
        ),
        (
            ADDRESS,
            -1,
            MODES,
            "record",
            b'(7,"{{a,NULL},{""b c"",d}}",)',
            "020e0204020402026100000204020662206302026400" + "0000",
        ),
    ],
)
def test_modes_and_rare_types(type: PgType, typmod: int, modes: Modes, schema: str, text: bytes, body: str) -> None:
    """The Avro type's name, and a value's bytes."""
    found = avro_type(type, typmod, 0, modes)
    assert (found.schema if isinstance(found.schema, str) else found.schema["type"]) == schema
    fastavro.parse_schema(found.schema)
    column = ColumnPlan(name="v", head=b"", value=found.value, nullable=False)
    plan = TablePlan(topic="t", columns=(column,), key=(0,), key_frame=b"", value_frame=b"", names=b"", json_names=b"")
    walker = Walker()
    walker.copy_row(text.replace(b"\\", b"\\\\") + b"\n", plan, 1)
    assert walker.key is not None
    assert walker.key.hex() == body


@pytest.mark.parametrize(
    ("type", "typmod", "modes", "text", "words"),
    [
        (base("numeric"), -1, Modes(decimals="double"), b"1" * 400, "does not fit"),
        (base("money"), -1, Modes(money_digits=1), b"$0.01", "money.fraction.digits"),
        (base("timestamp"), -1, Modes(times="nanoseconds"), b"2262-04-12 00:00:00", "2262"),
        (base("timestamp"), -1, Modes(times="nanoseconds"), b"1677-09-20 00:00:00", "2262"),
        (base("interval"), -1, Modes(intervals="numeric"), b"P178000000Y", "longer"),
        (base("interval"), -1, Modes(intervals="numeric"), b"infinity", "infinite"),
        (MOOD, -1, MODES, b"furious", "label"),
        (ADDRESS, -1, MODES, b"(1,,,)", "attributes"),
        (array(base("int4")), -1, MODES, b"{{1}}", "more dimensions"),
        (domain(array(ADDRESS)), -1, MODES, b"[0:0]={}", "lower bounds"),
    ],
)
def test_what_cannot_be_carried(type: PgType, typmod: int, modes: Modes, text: bytes, words: str) -> None:
    column = ColumnPlan(name="v", head=b"", value=avro_type(type, typmod, 0, modes).value)
    plan = TablePlan(topic="t", columns=(column,), key=(), key_frame=b"", value_frame=b"", names=b"", json_names=b"")
    with pytest.raises(FormError, match=words) as caught:
        Walker().copy_row(text + b"\n", plan, 1)
    assert text.decode() not in caught.value.reason
    assert caught.value.remedy


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
