"""Plans: heads as wal2json prints them, and rows that fastavro reads back by the table's schema."""

import io
import json
from dataclasses import replace

import fastavro
import pytest

from producer.decode.json_text import json_string
from producer.events import Column, PgType, Relation
from producer.lsn import Lsn
from producer.schema.avro import table_schema
from producer.schema.plan import table_plan
from producer.schema.types import Modes
from producer.transcode.plan import Form, ValuePlan
from producer.transcode.source_block import SourceBlock
from producer.transcode.walker import RECORD, Walker

INT4 = PgType(oid=23, schema="pg_catalog", name="int4", kind="base", category="N")
TEXT = PgType(oid=25, schema="pg_catalog", name="text", kind="base", category="S")
NUMERIC = PgType(oid=1700, schema="pg_catalog", name="numeric", kind="base", category="N")
NUMERICS = PgType(oid=1231, schema="pg_catalog", name="_numeric", kind="base", category="A", element=NUMERIC)
TIMETZ = PgType(oid=1266, schema="pg_catalog", name="timetz", kind="base", category="D")
FAR = PgType(oid=4_000_000_000, schema="public", name="mood", kind="enum", category="E", labels=("ok",))
NUMERIC_10_2 = (10 << 16 | 2) + 4

ORDERS = Relation(
    oid=1,
    schema="public",
    name="orders",
    columns=(
        Column(name="line", attnum=1, type=INT4, not_null=True),
        Column(name="prices", attnum=2, type=NUMERICS, typmod=NUMERIC_10_2, dimensions=1),
        Column(name="id", attnum=3, type=INT4, not_null=True),
        Column(name='say "hi"', attnum=4, type=TEXT),
        Column(name="at", attnum=5, type=TIMETZ),
        Column(name="total", attnum=6, type=NUMERIC),
        Column(name="mood", attnum=7, type=FAR),
    ),
    key=("id", "line"),
    identity="default",
    identity_columns=frozenset({"id", "line"}),
)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("id", '"id"'),
        ("größe 😀", '"größe 😀"'),
        ('a"b', r'"a\"b"'),
        ("a\\b", r'"a\\b"'),
        ("a/b", '"a/b"'),
        ("\b\f\n\r\t", r'"\b\f\n\r\t"'),
        ("\x01\x1f\x7f", '"\\u0001\\u001f\x7f"'),
    ],
)
def test_json_strings_as_escape_json_writes_them(text: str, printed: str) -> None:
    assert json_string(text) == printed
    assert json.loads(printed) == text


def test_what_a_plan_says() -> None:
    plan = table_plan(ORDERS, topic="shop.public.orders", key_id=1, value_id=0x01020304, modes=Modes())
    assert plan.topic == "shop.public.orders"
    assert plan.key == (2, 0)
    assert plan.key_frame == b"\0\0\0\0\1"
    assert plan.value_frame == b"\0\1\2\3\4"
    assert plan.names == b"\x0cpublic\x0corders"
    assert plan.json_names == b'"schema":"public","table":"orders"'
    assert not plan.full_identity
    line, prices, id_, say, at, total, mood = plan.columns
    assert line.head == b'{"name":"line","typeoid":23,"value":'
    assert say.head == rb'{"name":"say \"hi\"","typeoid":25,"value":'
    assert say.name == 'say "hi"'
    assert mood.head == b'{"name":"mood","typeoid":-294967296,"value":'
    assert [column.nullable for column in plan.columns] == [False, True, False, True, True, True, True]
    assert [column.in_identity for column in plan.columns] == [True, False, True, False, False, False, False]
    decimals = ValuePlan(form=Form.DECIMAL, scale=2, precision=10)
    assert prices.value == ValuePlan(form=Form.ARRAY, element=decimals)
    assert at.value is not None
    assert at.value.form is Form.FUNCTION
    assert (id_.value, total.value) == (ValuePlan(form=Form.LONG), ValuePlan(form=Form.VARIABLE_DECIMAL))


def test_oids_may_be_printed_unsigned() -> None:
    plan = table_plan(ORDERS, topic="t", key_id=1, value_id=2, modes=Modes(), signed_oids=False)
    assert plan.columns[-1].head == b'{"name":"mood","typeoid":4000000000,"value":'


def test_the_primary_key_may_be_left_out() -> None:
    relation = replace(ORDERS, primary=(("id", 20),))
    told, untold = (
        table_plan(relation, topic="t", key_id=1, value_id=2, modes=Modes(), primary_told=told)
        for told in (True, False)
    )
    assert told.tail == b',"pk":[{"name":"id","typeoid":20}]}'
    assert untold.tail == b"}"


def test_without_a_key_and_under_full_identity() -> None:
    relation = Relation(
        oid=1,
        schema='a"b',
        name="größe",
        columns=(Column(name="x", attnum=1, type=INT4),),
        key=(),
        identity="full",
        identity_columns=frozenset({"x"}),
    )
    plan = table_plan(relation, topic="t", key_id=None, value_id=2, modes=Modes())
    assert plan.key == ()
    assert plan.key_frame == b""
    assert plan.full_identity
    assert plan.columns[0].nullable
    assert plan.json_names == '"schema":"a\\"b","table":"größe"'.encode()
    assert plan.names == b'\x06a"b' + b"\x0e" + "größe".encode()


def test_a_row_walked_by_the_plan_is_read_by_the_schema() -> None:
    schema = table_schema(ORDERS, modes=Modes(prefix="shop"))
    plan = table_plan(ORDERS, topic=schema.topic, key_id=1, value_id=2, modes=Modes())
    walker = Walker()
    walker.install(plan)
    parts = SourceBlock(version="1", name="shop", database="db").transaction(
        record_head=b',"lsn":"', xid=5, commit_lsn=Lsn(300), commit_us=1, previous=-1
    )
    walker.begin(parts)
    values = ["2", '"{1.10,NULL}"', "7", r'"a\nb"', '"13:51:30.5+02"', '"1.50"', '"ok"']
    columns = ",".join(column.head.decode() + value + "}" for column, value in zip(plan.columns, values, strict=True))
    head = '{"action":"I","lsn":"0/C8",' + plan.json_names.decode()
    assert walker.row(f'{head},"columns":[{columns}]}}'.encode(), 0, 1) == RECORD
    assert walker.key is not None
    assert walker.value is not None
    assert schema.key_schema is not None
    assert _read(schema.key_schema, walker.key) == {"id": 7, "line": 2}
    event = _read(schema.value_schema, walker.value)
    assert isinstance(event, dict)
    assert event["op"] == "c"
    assert event["source"]["table"] == "orders"
    after = event["after"]
    assert [str(price) for price in after.pop("prices")] == ["1.10", "None"]
    assert after == {
        "line": 2,
        "id": 7,
        "say_u20__u22_hi_u22_": "a\nb",
        "at": "13:51:30.5+02:00",
        "total": {"scale": 2, "value": b"\x00\x96"},
        "mood": "ok",
    }


def _read(schema: str, framed: bytes) -> object:
    body = io.BytesIO(framed[5:])
    value: object = fastavro.schemaless_reader(body, fastavro.parse_schema(json.loads(schema)), None)
    assert body.tell() == len(framed) - 5
    return value
