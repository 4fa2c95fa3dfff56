"""Key, Value and Envelope of a relation, whole."""

import io
import json
from typing import Any

import fastavro
import pytest

from producer.events import Column, PgType, Relation
from producer.schema.avro import define_once, table_schema
from producer.schema.fixed import SOURCE, TRANSACTION_BLOCK
from producer.schema.types import Modes

INT4 = PgType(oid=23, schema="pg_catalog", name="int4", kind="base")
INT8 = PgType(oid=20, schema="pg_catalog", name="int8", kind="base")
TEXT = PgType(oid=25, schema="pg_catalog", name="text", kind="base")
NUMERIC = PgType(oid=1700, schema="pg_catalog", name="numeric", kind="base")
NUMERICS = PgType(oid=1231, schema="pg_catalog", name="_numeric", kind="base", category="A", element=NUMERIC)
QUERY = PgType(oid=3615, schema="pg_catalog", name="tsquery", kind="base")


def relation(*columns: Column, key: tuple[str, ...] = (), schema: str = "public", name: str = "orders") -> Relation:
    return Relation(
        oid=1,
        schema=schema,
        name=name,
        columns=columns,
        key=key,
        identity="default",
        identity_columns=frozenset(key),
    )


ORDERS = relation(
    Column(name="line", attnum=1, type=INT4, not_null=True),
    Column(name="note", attnum=2, type=TEXT),
    Column(name="id", attnum=3, type=INT8, not_null=True),
    Column(name="order-date", attnum=5, type=TEXT, not_null=True),
    Column(name="price", attnum=6, type=QUERY),
    key=("id", "line"),
)


def test_envelope() -> None:
    found = table_schema(ORDERS, modes=Modes(prefix="shop"))
    assert found.relation is ORDERS
    assert found.topic == "shop.public.orders"
    value = {
        "type": "record",
        "name": "Value",
        "fields": [
            {"name": "line", "type": "int"},
            {"name": "note", "type": ["null", "string"], "default": None},
            {"name": "id", "type": "long"},
            {
                "name": "order_u2d_date",
                "type": ["null", "string"],
                "default": None,
                "postgres.name": "order-date",
                "postgres.not_null": True,
            },
            {
                "name": "price",
                "type": ["null", {"type": "string", "postgres.type": "tsquery"}],
                "default": None,
            },
        ],
        "connect.name": "shop.public.orders.Value",
    }
    assert json.loads(found.value_schema) == {
        "type": "record",
        "name": "Envelope",
        "namespace": "shop.public.orders",
        "fields": [
            {"name": "before", "type": ["null", value], "default": None},
            {"name": "after", "type": ["null", "Value"], "default": None},
            {"name": "source", "type": SOURCE},
            {"name": "transaction", "type": ["null", TRANSACTION_BLOCK], "default": None},
            {"name": "op", "type": "string"},
            {"name": "ts_ms", "type": ["null", "long"], "default": None},
            {"name": "ts_us", "type": ["null", "long"], "default": None},
            {"name": "ts_ns", "type": ["null", "long"], "default": None},
        ],
        "connect.version": 2,
        "connect.name": "shop.public.orders.Envelope",
    }


def test_key_in_key_order() -> None:
    found = table_schema(ORDERS, modes=Modes(prefix="shop"))
    assert found.key_schema is not None
    assert json.loads(found.key_schema) == {
        "type": "record",
        "name": "Key",
        "namespace": "shop.public.orders",
        "fields": [{"name": "id", "type": "long"}, {"name": "line", "type": "int"}],
        "connect.name": "shop.public.orders.Key",
    }


def test_no_key() -> None:
    found = table_schema(relation(Column(name="x", attnum=1, type=INT4, not_null=True)), modes=Modes(prefix="shop"))
    assert found.key_schema is None
    before = json.loads(found.value_schema)["fields"][0]["type"][1]
    assert before["fields"] == [{"name": "x", "type": ["null", "int"], "default": None, "postgres.not_null": True}]


def test_texts_are_compact_and_stable() -> None:
    found = table_schema(ORDERS, modes=Modes(prefix="shop"))
    assert found == table_schema(ORDERS, modes=Modes(prefix="shop"))
    assert found.key_schema == (
        '{"type":"record","name":"Key","namespace":"shop.public.orders","fields":[{"name":"id","type":"long"},'
        '{"name":"line","type":"int"}],"connect.name":"shop.public.orders.Key"}'
    )


@pytest.mark.parametrize(
    ("schema", "name", "prefix", "space"),
    [
        ("public", "größe", "shop", "shop.public.gr_uf6__udf_e"),
        ("my schema", "a.b", "eu.shop-1", "eu.shop_u2d_1.my_u20_schema.a_u2e_b"),
        ("1", "2", "3", "_u33_._u31_._u32_"),
    ],
)
def test_illegal_names_parse_once_escaped(schema: str, name: str, prefix: str, space: str) -> None:
    column = Column(name="naïve “x”", attnum=1, type=INT4, not_null=True)
    found = table_schema(relation(column, key=(column.name,), schema=schema, name=name), modes=Modes(prefix=prefix))
    for text, record in ((found.key_schema, "Key"), (found.value_schema, "Envelope")):
        assert text is not None
        parsed = fastavro.parse_schema(json.loads(text))
        assert isinstance(parsed, dict)
        assert parsed["name"] == f"{space}.{record}"
        assert '"postgres.name":"naïve “x”"' in text


def test_named_types_are_defined_once() -> None:
    table = relation(
        Column(name="a", attnum=1, type=NUMERIC),
        Column(name="b", attnum=2, type=NUMERICS, dimensions=1),
        Column(name="c", attnum=3, type=NUMERIC, not_null=True),
        key=("c",),
    )
    found = table_schema(table, modes=Modes(prefix="shop"))
    full = "io.debezium.data.VariableScaleDecimal"
    fields = json.loads(found.value_schema)["fields"][0]["type"][1]["fields"]
    assert fields[0]["type"][1]["connect.name"] == full
    assert fields[1]["type"] == ["null", {"type": "array", "items": ["null", full]}]
    assert fields[2]["type"] == full
    assert found.key_schema is not None
    assert json.loads(found.key_schema)["fields"][0]["type"]["connect.name"] == full
    fastavro.parse_schema(json.loads(found.value_schema))
    fastavro.parse_schema(json.loads(found.key_schema))


def test_define_once_leaves_its_input_alone() -> None:
    record: dict[str, Any] = {"type": "record", "name": "R", "namespace": "n", "fields": []}
    schema = ["null", record, {"type": "array", "items": record}]
    assert define_once(schema, set()) == ["null", record, {"type": "array", "items": "n.R"}]
    assert schema == ["null", record, {"type": "array", "items": record}]
    assert define_once(record, {"n.R"}) == "n.R"


def test_defaults_are_valid() -> None:
    value = json.loads(table_schema(ORDERS, modes=Modes(prefix="shop")).value_schema)
    parsed = fastavro.parse_schema(value)
    # A reader that knows columns, and fields of the source, which the writer did not.
    older = table_schema(
        relation(*(column for column in ORDERS.columns if column.name in ORDERS.key), key=ORDERS.key),
        modes=Modes(prefix="shop"),
    )
    writer = fastavro.parse_schema(json.loads(older.value_schema))
    assert _resolve(writer, parsed) == {
        "line": 1, "note": None, "id": 2, "order_u2d_date": None, "price": None
    }  # fmt: skip


def _resolve(writer: Any, reader: Any) -> object:
    body = io.BytesIO()
    source = {
        "version": "", "connector": "", "name": "", "ts_ms": 0, "snapshot": "false", "db": "", "schema": "",
        "table": "",
    }  # fmt: skip
    event = {"after": {"line": 1, "id": 2}, "source": source, "op": "c"}
    fastavro.schemaless_writer(body, writer, event)
    body.seek(0)
    found = fastavro.schemaless_reader(body, writer, reader)
    assert isinstance(found, dict)
    return found["after"]
