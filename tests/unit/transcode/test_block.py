"""The `transaction` block: what fastavro reads back, in both builds; what is counted, and what not twice."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import fastavro
import pytest

from producer.events import Column, PgType, Relation
from producer.lsn import Lsn
from producer.schema.avro import table_schema
from producer.schema.plan import table_plan
from producer.schema.types import Modes
from producer.transcode.source_block import string, times

Build = dict[str, Any]
HEAD = b',"xid":745,"timestamp":"2026-11-22 10:25:46+00","lsn":"'
ID = "745:500"
INT8 = PgType(oid=20, schema="pg_catalog", name="int8", kind="base")


def relation(table: str) -> Relation:
    key = Column(name="id", attnum=1, type=INT8, not_null=True)
    return Relation(
        oid=1, schema="public", name=table, columns=(key,), key=("id",), identity="default",
        identity_columns=frozenset({"id"}),
    )  # fmt: skip


def names(table: str) -> bytes:
    return string("public") + string(table)


class Rows:
    """A walker of the tables t and u, and what a consumer sees of its records."""

    def __init__(self, build: Build) -> None:
        self.codes = build["walker"]
        self.walker = build["walker"].Walker()
        self.plans = {}
        for table in ("t", "u"):
            self.plans[table] = table_plan(relation(table), topic=table, key_id=1, value_id=2, modes=Modes())
            self.walker.install(self.plans[table])
        parts = (
            build["source_block"]
            .SourceBlock(version="1", name="p", database="db")
            .transaction(record_head=HEAD, xid=745, commit_lsn=Lsn(500), commit_us=1, previous=-1)
        )
        self.walker.begin(parts)
        self.walker.clock(times(1))

    def row(self, action: str, ordinal: int, table: str = "t", *, old: int | None = None) -> int:
        column = '{"name":"id","typeoid":20,"value":%d}'
        text = '{"action":"' + action + '"' + HEAD.decode() + f'0/1F4","schema":"public","table":"{table}"'
        text += "" if action == "D" else f',"columns":[{column % 5}]'
        text += "" if action == "I" else f',"identity":[{column % (5 if old is None else old)}]'
        code: int = self.walker.row((text + "}").encode(), 0, ordinal)
        return code

    def block(self, value: bytes | None = None, table: str = "t") -> Any:
        """(total_order, data_collection_order) of a record, the last one's by default; its id is the transaction's."""
        schema = fastavro.parse_schema(json.loads(table_schema(relation(table), modes=Modes(prefix="p")).value_schema))
        reader = io.BytesIO((value or self.walker.value)[5:])
        event: Any = fastavro.schemaless_reader(reader, schema, None)
        assert not reader.read()
        found = event["transaction"]
        if found is None:
            return None
        assert found["id"] == ID
        return found["total_order"], found["data_collection_order"]


@pytest.fixture
def rows(build: Build) -> Rows:
    return Rows(build)


def test_it_is_null_unless_asked_for_and_outside_of_a_transaction(rows: Rows) -> None:
    rows.row("I", 1)
    assert rows.block() is None
    rows.walker.blocks.begin(ID)
    rows.row("I", 1)
    assert rows.block() == (1, 1)
    rows.walker.blocks.end()
    rows.walker.copy_row(b"5\n", rows.plans["t"], 500)
    assert rows.block() is None


def test_the_order_is_counted_in_all_and_for_each_table(rows: Rows) -> None:
    rows.walker.blocks.begin(ID)
    seen = []
    for ordinal, (action, table) in enumerate(zip("IUDIUD", "tututt", strict=True), start=1):
        rows.row(action, ordinal, table)
        seen.append(rows.block(table=table))
    assert seen == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 4)]
    assert rows.walker.blocks.end() == {names("t"): 4, names("u"): 2}


def test_a_change_of_the_key_is_two_events(rows: Rows) -> None:
    rows.walker.blocks.begin(ID)
    rows.row("I", 1)
    assert rows.row("U", 2, old=4) == rows.codes.KEY_CHANGE
    assert (rows.block(rows.walker.old_value), rows.block()) == ((2, 2), (3, 3))
    rows.row("I", 4)
    assert rows.block() == (4, 4)
    assert rows.walker.blocks.end() == {names("t"): 4}


def test_a_row_that_is_walked_again_is_counted_once(rows: Rows) -> None:
    """It was completed meanwhile."""
    rows.walker.blocks.begin(ID)
    rows.row("I", 1, "u")
    for _ in range(2):
        rows.row("I", 2)
        assert rows.block() == (2, 1)
    for _ in range(2):
        rows.row("U", 3, old=4)
        assert (rows.block(rows.walker.old_value), rows.block()) == ((3, 2), (4, 3))
    rows.row("D", 5)
    assert rows.block() == (5, 4)
    assert rows.walker.blocks.end() == {names("u"): 1, names("t"): 4}


def test_a_table_of_another_shape_or_another_partition_is_the_same_table(rows: Rows) -> None:
    rows.walker.blocks.begin(ID)
    rows.row("I", 1)
    rows.walker.install(replace(rows.plans["t"], names=names("t")))
    rows.row("I", 2)
    assert rows.block() == (2, 2)
    rows.walker.install(replace(rows.plans["u"], names=names("t")))
    rows.row("I", 3, "u")
    assert rows.block() == (3, 3)


def test_events_that_no_walker_writes_are_counted_too(rows: Rows) -> None:
    """TRUNCATE and logical messages."""
    blocks = rows.walker.blocks
    assert blocks.block(names("t"), 1) == b"\x00"
    blocks.begin(ID)
    rows.row("I", 1)
    assert blocks.block(names("t"), 2) == b"\x02" + string(ID) + b"\x04\x04"
    rows.row("I", 3)
    assert rows.block() == (3, 3)


def test_the_next_transaction_begins_at_one(rows: Rows) -> None:
    blocks = rows.walker.blocks
    blocks.begin("1:2")
    rows.row("I", 1)
    assert blocks.end() == {names("t"): 1}
    blocks.begin(ID)
    rows.row("I", 1)
    assert rows.block() == (1, 1)
    blocks.begin("3:4")
    assert blocks.end() == {}
