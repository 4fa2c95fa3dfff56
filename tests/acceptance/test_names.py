"""Names that need quoting, escaping, or both: in SQL, in the plugin's filter, in JSON, Avro and Kafka."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Command, Source

pytestmark = pytest.mark.matrix

ODD = """"Q S.ü"."T.a,b*'""x\\ é\""""
LONG = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789x"


def test_odd_names_of_schemas_tables_columns_and_types(source: Source, command: Command) -> None:
    """Snapshot and stream, topics and fields."""
    source.execute(
        'CREATE SCHEMA "Q S.ü"',
        f'CREATE TABLE {ODD} ("order-id" int, "größe" text, "1st" int, "a""b\\c" text, "_u2d_" int, '
        'PRIMARY KEY ("order-id", "größe"))',
        f"INSERT INTO {ODD} VALUES (1, 'x', 2, 'q\"\\', 3)",
        'CREATE TABLE "select" ("table" int PRIMARY KEY, "from" text)',
        f'CREATE TABLE "{LONG}" (id int PRIMARY KEY)',
        'CREATE TYPE "Q S.ü"."My Enum" AS ENUM (\'a b\', \'"c"\')',
        'CREATE TABLE e (id int PRIMARY KEY, e "Q S.ü"."My Enum", es "Q S.ü"."My Enum"[])',
    )
    assert command.run("run", "--once").returncode == 0
    source.execute(
        f"UPDATE {ODD} SET \"größe\" = 'neu'",
        "INSERT INTO \"select\" VALUES (1, 'x')",
        f'INSERT INTO "{LONG}" VALUES (1)',
        'INSERT INTO e VALUES (2, \'"c"\', ARRAY[\'a b\', NULL]::"Q S.ü"."My Enum"[])',
    )
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    records: list[Any] = list(command.records())
    found: dict[str, list[Any]] = {}
    for record in records:
        found.setdefault(record.topic.removeprefix(command.prefix + "."), []).append(record)
    odd = found["Q_S._.T.a_b___x___"]
    row = {
        "order_u2d_id": 1, "gr_uf6__udf_e": "x", "_u31_st": 2, "a_u22_b_u5c_c": 'q"\\', "_u5f_u2d_": 3,
    }  # fmt: skip
    assert [record.value and record.value["op"] for record in odd] == ["r", "d", None, "c"]
    assert odd[0].value["after"] == row
    assert odd[3].value["after"] == {**row, "gr_uf6__udf_e": "neu"}
    assert odd[3].value["source"]["table"] == "T.a,b*'\"x\\ é"
    assert found["public.select"][0].value["after"] == {"table": 1, "from": "x"}
    assert found[f"public.{LONG}"][0].key == {"id": 1}
    assert found["public.e"][0].value["after"] == {"id": 2, "e": '"c"', "es": ["a b", None]}


def test_inheritance_generated_and_unlogged(source: Source, command: Command) -> None:
    """A child's rows are its own; a generated column is as its type; an unlogged table is not captured."""
    source.execute(
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE TABLE child (w int, PRIMARY KEY (id)) INHERITS (parent)",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (2, 3)",
        "CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, "
        "b int GENERATED ALWAYS AS (a * 2) STORED)",
        "INSERT INTO g (a) VALUES (1)",
        "CREATE UNLOGGED TABLE u (id int PRIMARY KEY)",
        "INSERT INTO u VALUES (1)",
    )
    assert command.run("run", "--once").returncode == 0
    source.execute("UPDATE g SET a = 5", "INSERT INTO child VALUES (4, 5)")
    assert command.run("run", "--once").returncode == 0
    records: list[Any] = list(command.records())
    after = {
        table: [r.value["after"] for r in records if r.topic.endswith("." + table)]
        for table in ("parent", "child", "g", "u")
    }
    assert after == {
        "parent": [{"id": 1}],
        "child": [{"id": 2, "w": 3}, {"id": 4, "w": 5}],
        "g": [{"id": 1, "a": 1, "b": 2}, {"id": 1, "a": 5, "b": 10}],
        "u": [],
    }
